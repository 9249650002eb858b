/** Opens a log. Apart from log.ts, since few need pino, which takes 20 ms to load. */

import { pino, stdTimeFunctions, type DestinationStream } from 'pino'
import type { Log, LogLevel } from './log.ts'

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
