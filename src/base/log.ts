/**
 * The log: one JSON object a line, a fixed `event`, ids, and units in the keys (STYLE.md "Log").
 * Passed in, never global. Secrets print as `***` because `Secret` does.
 */

import { pino, stdTimeFunctions, type DestinationStream } from 'pino'

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

/** A log of `level` and above to `destination`, one synchronous write a line. */
export function openLog(level: LogLevel, destination: DestinationStream): Log {
  const root = pino(
    {
      level,
      base: null,
      messageKey: 'event',
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
  const wrap = (logger: typeof root): Log => ({
    error: (event, fields) => logger.error(fields ?? {}, event),
    warn: (event, fields) => logger.warn(fields ?? {}, event),
    info: (event, fields) => logger.info(fields ?? {}, event),
    debug: (event, fields) => logger.debug(fields ?? {}, event),
    with: (fields) => wrap(logger.child(fields)),
  })
  return wrap(root)
}

/** Keeps nothing. */
export const silentLog: Log = {
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
  with: () => silentLog,
}
