/**
 * The numbers of VSS: HRESULTs, writer states, and the fault that a step ends in.
 *
 * Sources: vss.h and vsserror.h as mingw-w64 ships them; names without the prefix VSS_E_.
 */

import { Fault, type FaultCode, type Retry } from '../../../base/fault.ts'

/** An HRESULT as an unsigned number of 32 bits: `0x80042319`. */
export type Hresult = number

export const S_OK: Hresult = 0
/** What IVssAsync::QueryStatus must have said before a step counts as done. */
export const S_ASYNC_PENDING: Hresult = 0x00042309
export const S_ASYNC_FINISHED: Hresult = 0x0004230a
export const S_ASYNC_CANCELLED: Hresult = 0x0004230b

export const E_NOTIMPL: Hresult = 0x80004001
export const E_NOINTERFACE: Hresult = 0x80004002
export const E_ACCESSDENIED: Hresult = 0x80070005
export const E_INVALIDARG: Hresult = 0x80070057
export const E_OUTOFMEMORY: Hresult = 0x8007000e
export const E_SERVICE_DISABLED: Hresult = 0x80070422

export const VSS_E = {
  BAD_STATE: 0x80042301,
  UNEXPECTED: 0x80042302,
  PROVIDER_ALREADY_REGISTERED: 0x80042303,
  PROVIDER_NOT_REGISTERED: 0x80042304,
  PROVIDER_VETO: 0x80042306,
  PROVIDER_IN_USE: 0x80042307,
  OBJECT_NOT_FOUND: 0x80042308,
  VOLUME_NOT_SUPPORTED: 0x8004230c,
  VOLUME_NOT_SUPPORTED_BY_PROVIDER: 0x8004230e,
  OBJECT_ALREADY_EXISTS: 0x8004230d,
  UNEXPECTED_PROVIDER_ERROR: 0x8004230f,
  CORRUPT_XML_DOCUMENT: 0x80042310,
  INVALID_XML_DOCUMENT: 0x80042311,
  MAXIMUM_NUMBER_OF_VOLUMES_REACHED: 0x80042312,
  FLUSH_WRITES_TIMEOUT: 0x80042313,
  HOLD_WRITES_TIMEOUT: 0x80042314,
  UNEXPECTED_WRITER_ERROR: 0x80042315,
  SNAPSHOT_SET_IN_PROGRESS: 0x80042316,
  MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED: 0x80042317,
  WRITER_INFRASTRUCTURE: 0x80042318,
  WRITER_NOT_RESPONDING: 0x80042319,
  WRITER_ALREADY_SUBSCRIBED: 0x8004231a,
  UNSUPPORTED_CONTEXT: 0x8004231b,
  VOLUME_IN_USE: 0x8004231d,
  MAXIMUM_DIFFAREA_ASSOCIATIONS_REACHED: 0x8004231e,
  INSUFFICIENT_STORAGE: 0x8004231f,
  NO_SNAPSHOTS_IMPORTED: 0x80042320,
  TRANSACTION_FREEZE_TIMEOUT: 0x80042328,
  TRANSACTION_THAW_TIMEOUT: 0x80042329,
  WRITERERROR_PARTIAL_FAILURE: 0x80042336,
  WRITERERROR_INCONSISTENTSNAPSHOT: 0x800423f0,
  WRITERERROR_OUTOFRESOURCES: 0x800423f1,
  WRITERERROR_TIMEOUT: 0x800423f2,
  WRITERERROR_RETRYABLE: 0x800423f3,
  WRITERERROR_NONRETRYABLE: 0x800423f4,
  WRITERERROR_RECOVERY_FAILED: 0x800423f5,
  AUTORECOVERY_FAILED: 0x800423fb,
  WRITER_STATUS_NOT_AVAILABLE: 0x80042409,
} as const satisfies Record<string, Hresult>

/** VSS_WRITER_STATE by number. */
export const WRITER_STATES = [
  'UNKNOWN', 'STABLE', 'WAITING_FOR_FREEZE', 'WAITING_FOR_THAW', 'WAITING_FOR_POST_SNAPSHOT',
  'WAITING_FOR_BACKUP_COMPLETE', 'FAILED_AT_IDENTIFY', 'FAILED_AT_PREPARE_BACKUP',
  'FAILED_AT_PREPARE_SNAPSHOT', 'FAILED_AT_FREEZE', 'FAILED_AT_THAW', 'FAILED_AT_POST_SNAPSHOT',
  'FAILED_AT_BACKUP_COMPLETE', 'FAILED_AT_PRE_RESTORE', 'FAILED_AT_POST_RESTORE',
  'FAILED_AT_BACKUPSHUTDOWN',
] as const

export type WriterStateName = (typeof WRITER_STATES)[number]

/** `0x80042319`: always ten characters. */
export function formatHresult(code: Hresult): string {
  return `0x${(code >>> 0).toString(16).padStart(8, '0')}`
}

const NAMES: ReadonlyMap<Hresult, string> = new Map<Hresult, string>([
  ...Object.entries(VSS_E).map(([name, code]) => [code, name] as const),
  [S_OK, 'S_OK'], [S_ASYNC_PENDING, 'S_ASYNC_PENDING'], [S_ASYNC_FINISHED, 'S_ASYNC_FINISHED'],
  [S_ASYNC_CANCELLED, 'S_ASYNC_CANCELLED'], [E_NOTIMPL, 'E_NOTIMPL'],
  [E_NOINTERFACE, 'E_NOINTERFACE'], [E_ACCESSDENIED, 'E_ACCESSDENIED'],
  [E_INVALIDARG, 'E_INVALIDARG'], [E_OUTOFMEMORY, 'E_OUTOFMEMORY'],
  [E_SERVICE_DISABLED, 'ERROR_SERVICE_DISABLED'],
])

/** `0x80042319 WRITER_NOT_RESPONDING`; the number alone where it has no name here. */
export function describeHresult(code: Hresult): string {
  const name = NAMES.get(code >>> 0)
  return name === undefined ? formatHresult(code) : `${formatHresult(code)} ${name}`
}

/** A step that VSS ended with a code of its own. */
export class VssFault extends Fault {
  /** The method of IVssBackupComponents that was called: `DoSnapshotSet`. */
  readonly step: string
  readonly hresult: Hresult

  constructor(step: string, hresult: Hresult, cause?: unknown) {
    const { code, retry, advice } = meaningOf(hresult >>> 0)
    super(code, `${step} ended with ${describeHresult(hresult)}`, {
      ...(cause === undefined ? {} : { cause }), retry,
      ...(advice === undefined ? {} : { advice }),
    })
    this.step = step
    this.hresult = hresult >>> 0
  }
}

/** True if `error` is a fault of VSS, with one of `codes` if any are given. */
export function isVssFault(error: unknown, ...codes: readonly Hresult[]): error is VssFault {
  return error instanceof VssFault && (codes.length === 0 || codes.includes(error.hresult))
}

interface Meaning {
  readonly code: FaultCode
  readonly retry: Retry
  readonly advice?: string
}

const OTHER: Meaning = { code: 'snapshot-failed', retry: 'never' }

const MEANINGS: ReadonlyMap<Hresult, Meaning> = new Map<Hresult, Meaning>([
  [E_ACCESSDENIED, {
    code: 'platform-refused', retry: 'never',
    advice: 'Run it from an elevated shell, as an administrator or a backup operator.' }],
  [E_SERVICE_DISABLED, {
    code: 'platform-unreachable', retry: 'never',
    advice: 'Set the service VSS (Volume Shadow Copy) to start on demand.' }],
  [E_NOTIMPL, { code: 'unsupported', retry: 'never' }],
  [S_ASYNC_CANCELLED, { code: 'interrupted', retry: 'now' }],
  [VSS_E.SNAPSHOT_SET_IN_PROGRESS, {
    code: 'machine-busy', retry: 'later', advice: 'Let the other backup of this host end.' }],
  [VSS_E.WRITER_STATUS_NOT_AVAILABLE, {
    code: 'machine-busy', retry: 'later', advice: 'Let the other backups of this host end.' }],
  [VSS_E.VOLUME_NOT_SUPPORTED, {
    code: 'unsupported', retry: 'never',
    advice: 'Leave this volume out: shadow copies of it cannot be made.' }],
  [VSS_E.VOLUME_NOT_SUPPORTED_BY_PROVIDER, { code: 'unsupported', retry: 'never' }],
  [VSS_E.OBJECT_NOT_FOUND, {
    code: 'not-found', retry: 'never', advice: 'Check the names of the volumes.' }],
  [VSS_E.FLUSH_WRITES_TIMEOUT, {
    code: 'snapshot-failed', retry: 'later',
    advice: 'Take fewer volumes in one backup, or run it when the disks have less to do.' }],
  [VSS_E.HOLD_WRITES_TIMEOUT, {
    code: 'snapshot-failed', retry: 'later',
    advice: 'Take fewer volumes in one backup, or run it when the disks have less to do.' }],
  [VSS_E.TRANSACTION_FREEZE_TIMEOUT, { code: 'snapshot-failed', retry: 'later' }],
  [VSS_E.TRANSACTION_THAW_TIMEOUT, { code: 'snapshot-failed', retry: 'later' }],
  [VSS_E.INSUFFICIENT_STORAGE, {
    code: 'scratch-full', retry: 'never',
    advice: 'Make room for shadow copies on the volume (vssadmin resize shadowstorage).' }],
  [VSS_E.CORRUPT_XML_DOCUMENT, { code: 'platform-protocol', retry: 'never' }],
  [VSS_E.INVALID_XML_DOCUMENT, { code: 'platform-protocol', retry: 'never' }],
])

function meaningOf(hresult: Hresult): Meaning {
  return MEANINGS.get(hresult) ?? OTHER
}
