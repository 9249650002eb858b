/**
 * What a freeze by qemu-ga asks of a Windows: it is a shadow copy of VSS, whose type decides what
 * applications make of their logs afterwards. The agent (qga/vss-win32/requester.cpp of QEMU 8.0)
 * reads the type from the registry at each freeze, and takes FULL where nothing valid is there; an
 * older one always takes FULL. After FULL and INCREMENTAL applications may truncate their logs, and
 * SQL Server's differential backups refer to ours.
 */

import { isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { FreezerMissing, GuestFileSystem, GuestPrograms } from '../../consistency/mod.ts'

/** `C:\`, as guest-get-fsinfo names what Windows has mounted. */
const DRIVE = /^[A-Za-z]:(?:[\\/]|$)/
const KEY = 'HKLM\\SYSTEM\\CurrentControlSet\\Services\\QEMU Guest Agent VSS Provider'
const VALUE = 'VssOption'
const REG = 'C:\\Windows\\System32\\reg.exe'
const REG_MS = 10_000
/** The value as reg.exe prints it, whatever the language of the rest. */
const PRINTED = /^\s+VssOption\s+REG_DWORD\s+0x([0-9a-f]{1,8})\s*$/im

/** VSS_BACKUP_TYPE (vss.h). */
const TYPES: Readonly<Record<number, string>> = {
  1: 'FULL', 2: 'INCREMENTAL', 3: 'DIFFERENTIAL', 4: 'LOG', 5: 'COPY',
}
const COPY = 5
const FULL = 1

/** To be run in the guest by an administrator; counts from the next freeze on. */
export const MAKE_COPY = `reg add "${KEY}" /v ${VALUE} /t REG_DWORD /d ${COPY} /f`

export interface GuestVssQuestion {
  /** As guest-info states it. Foreign text. */
  readonly agentVersion: string
  /** What the agent lists; undefined where it gives no list. */
  readonly fileSystems: readonly GuestFileSystem[] | undefined
  readonly programs: GuestPrograms
  /** The operator accepts that applications truncate their logs. */
  readonly acceptsTruncation: boolean
}

export type GuestVss =
  | { readonly kind: 'none' }
  /** What the freeze will be, in words, for the evidence. */
  | { readonly kind: 'fine'; readonly words: string }
  | { readonly kind: 'refused'; readonly missing: FreezerMissing }

/** Asked before a freeze. Faults: the signal's reason. */
export async function guestVss(question: GuestVssQuestion, signal: AbortSignal): Promise<GuestVss> {
  const { agentVersion, fileSystems, acceptsTruncation } = question
  if (fileSystems?.every(({ mountpoint }) => !DRIVE.test(mountpoint)) === true) {
    return { kind: 'none' }
  }
  const read = await readType(question, signal)
  if (read === 'no-windows') return { kind: 'none' }
  const counts = heedsRegistry(agentVersion)
  if (read.type === COPY && counts) return { kind: 'fine', words: 'VSS type COPY' }
  const why = !counts ? `qemu-ga ${printable(agentVersion, 64)} always asks for FULL: ` +
    'install one of QEMU 8.0 or newer (virtio-win 107 or newer), then run in it'
    : `${read.why}: run in the guest, as an administrator`
  if (acceptsTruncation) {
    const type = counts ? TYPES[read.type ?? FULL] ?? '' : 'FULL'
    return { kind: 'fine', words: `VSS type ${type}, which the operator accepts` }
  }
  return { kind: 'refused',
    missing: { missing: 'would-truncate-logs', detail: `${why}: ${MAKE_COPY}` } }
}

interface ReadType {
  /** Undefined: none that is valid, or it could not be read. */
  readonly type: number | undefined
  readonly why: string
}

/** Where the agent gives no list, what cannot start the program of Windows is no Windows. */
async function readType(
  { programs, fileSystems }: GuestVssQuestion, signal: AbortSignal,
): Promise<ReadType | 'no-windows'> {
  try {
    const { code, stdout } =
      await programs.run(REG, ['query', KEY, '/v', VALUE], REG_MS, signal)
    if (code !== 0) return { type: undefined, why: 'no VSS type is set, which means FULL' }
    const number = Number.parseInt(PRINTED.exec(stdout)?.[1] ?? '', 16)
    const name = TYPES[number]
    return name === undefined ? { type: undefined, why: 'the VSS type that is set is none' }
      : { type: number, why: `the VSS type is ${name}` }
  } catch (error) {
    signal.throwIfAborted()
    if (!isFault(error)) throw error
    const isForbidden = error.message.includes('has been disabled')
    if (fileSystems === undefined && error.code === 'agent-refused' && !isForbidden) {
      return 'no-windows'
    }
    return { type: undefined,
      why: `the VSS type cannot be read (${printable(error.message, 200)})` }
  }
}

/**
 * Whether this agent asks the registry. QEMU's own numbers since 8.0; virtio-win counts from 100
 * and is taken to have it from 107 on (docs/unproven.md).
 */
function heedsRegistry(version: string): boolean {
  const major = Number(/^(\d{1,6})\./.exec(version)?.[1] ?? 0)
  return major >= 100 ? major >= 107 : major >= 8
}
