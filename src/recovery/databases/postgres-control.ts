/**
 * PostgreSQL's control file (its source, src/include/catalog/pg_control.h, `ControlFileData`), as
 * versions 12 to 17 lay it out on little-endian machines.
 */

import { rawCrc32c } from '../../disk/mod.ts'

export interface PostgresControl {
  readonly systemId: bigint
  readonly version: number
  readonly state: number
  /** Where the record of the last checkpoint lies, and where a recovery begins. */
  readonly checkpoint: bigint
  readonly redo: bigint
  readonly timeline: number
  readonly previousTimeline: number
  /** A standby is of one piece from here on; 0 on a primary. */
  readonly minRecovery: bigint
  readonly segmentBytes: number
}

export const CONTROL_BYTES = 296
/** `pg_control_version` of the releases whose checksum lies where it is looked for. */
const VERSIONS: ReadonlySet<number> = new Set([1201, 1300, 1700])
const CRC_OFFSET = 288
const LOG_BLOCK_BYTES = 8192

/** `cluster states` of the same file. */
const STATES = [
  'starting up', 'shut down', 'shut down in recovery', 'shutting down', 'in crash recovery',
  'in archive recovery', 'in production',
]
export const IN_PRODUCTION = 6

export function stateName({ state }: PostgresControl): string {
  return STATES[state] ?? `in state ${state}`
}

/** `damaged`: with it no server starts. `unknown`: of a version that is not read here. */
export function parseControl(bytes: Buffer): PostgresControl | 'damaged' | 'unknown' {
  if (bytes.length < CONTROL_BYTES) return 'damaged'
  const version = bytes.readUInt32LE(8)
  if (!VERSIONS.has(version)) return 'unknown'
  const crc = ~rawCrc32c(bytes.subarray(0, CRC_OFFSET)) >>> 0
  if (crc !== bytes.readUInt32LE(CRC_OFFSET)) return 'damaged'
  const segmentBytes = bytes.readUInt32LE(228)
  const isKnown = bytes.readUInt32LE(224) === LOG_BLOCK_BYTES && segmentBytes >= 2 ** 20 &&
    segmentBytes <= 2 ** 30 && Number.isInteger(Math.log2(segmentBytes))
  return !isKnown ? 'unknown' : {
    systemId: bytes.readBigUInt64LE(0), version, state: bytes.readUInt32LE(16),
    checkpoint: bytes.readBigUInt64LE(32), redo: bytes.readBigUInt64LE(40),
    timeline: bytes.readUInt32LE(48), previousTimeline: bytes.readUInt32LE(52),
    minRecovery: bytes.readBigUInt64LE(136), segmentBytes,
  }
}
