/** How much a database had to recover when it started, by its own log. */

import type { BootReport } from './witness.ts'

/** Bytes of its log that it read again; 0 if none, undefined if its log does not say. */
export interface Redo {
  readonly postgresql: number | undefined
  readonly mariadb: number | undefined
}

/**
 * PostgreSQL says `redo starts at 0/1A2B3C0` and `redo done at …`; MariaDB (10.11) `Starting crash
 * recovery from checkpoint LSN=…` and `End of log at LSN=…`, of which the first is left out if it
 * was shut down in order.
 */
export function redoOf({ logs }: Pick<BootReport, 'logs'>): Redo {
  const postgresql = logs.get('postgresql') ?? []
  const mariadb = logs.get('mariadb') ?? []
  return {
    postgresql: difference(
      found(postgresql, /redo starts at ([0-9A-F]{1,8})\/([0-9A-F]{1,8})/),
      found(postgresql, /redo done at ([0-9A-F]{1,8})\/([0-9A-F]{1,8})/)) ??
      (postgresql.some((line) => line.includes('redo is not required')) ? 0 : undefined),
    mariadb: difference(
      found(mariadb, /recovery from checkpoint LSN=(\d{1,20})/),
      found(mariadb, /End of log at LSN=(\d{1,20})/)),
  }
}

function difference(from: bigint | undefined, to: bigint | undefined): number | undefined {
  return from === undefined || to === undefined || to < from ? undefined : Number(to - from)
}

/** A decimal number, or PostgreSQL's two hexadecimal halves. */
function found(lines: readonly string[], pattern: RegExp): bigint | undefined {
  for (const line of lines) {
    const [, first, second] = pattern.exec(line) ?? []
    if (first === undefined) continue
    return second === undefined
      ? BigInt(first) : (BigInt(`0x${first}`) << 32n) + BigInt(`0x${second}`)
  }
  return undefined
}
