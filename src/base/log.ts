/**
 * The log: one JSON object a line, a fixed `event`, ids, and units in the keys (STYLE.md "Log").
 * Passed in, never global. Secrets print as `***` because `Secret` does. open-log.ts makes one.
 */

export type LogLevel = 'error' | 'warn' | 'info' | 'debug'
export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  /** Somebody must act. */
  error(event: string, fields?: LogFields): void
  /** Weaker than asked, and the run goes on. */
  warn(event: string, fields?: LogFields): void
  /** A step was taken. */
  info(event: string, fields?: LogFields): void
  debug(event: string, fields?: LogFields): void
  /** A log that adds `fields` to every line. */
  with(fields: LogFields): Log
}

/** Keeps nothing. */
export const silentLog: Log = {
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
  with: () => silentLog,
}
