/** What the NBD client allows a server: every wait, length and count has its limit here. */

export interface NbdLimits {
  /** From connecting to the end of the handshake. */
  readonly handshakeMs: number
  /** From sending one request to the last byte of its reply; a slow disk is not a dead one. */
  readonly requestMs: number
  /** The largest single request; a longer read is split. The server's own maximum also counts. */
  readonly requestBytes: number
  /** Requests under way at once on one connection. qemu serves 16 of a client at once. */
  readonly inFlight: number
}

export const NBD_LIMITS: NbdLimits = {
  handshakeMs: 20_000,
  requestMs: 120_000,
  requestBytes: 2 * 1024 * 1024,
  inFlight: 16,
}
