/** Programs and files inside a machine, through what the platform has there. */

export interface GuestPrograms {
  /**
   * Runs a program as root to its end, with its output up to a mebibyte, foreign bytes. What an
   * abort leaves behind: the program goes on. Faults: `agent-*`, `timed-out`.
   */
  run(
    program: string, args: readonly string[], limitMs: number, signal: AbortSignal,
  ): Promise<GuestExit>
  /**
   * All of a file, foreign bytes. Faults: `agent-refused` if it cannot be read, `agent-protocol`
   * if it is longer than `maxBytes`, the other `agent-*`, `timed-out`.
   */
  read(path: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array>
}

export interface GuestExit {
  /** Null where a signal ended it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}
