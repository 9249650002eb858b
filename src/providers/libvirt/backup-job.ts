/**
 * The one backup job that libvirt lets a machine have (libvirt.org, "Domain backup XML format").
 *
 * Whose job it is, is told by the names of its scratch files; only a job of ours is ever ended.
 */

import { basename } from 'node:path'
import { deadline, type Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { childAt, childrenOf, escapeXml, parseXml } from '../../base/xml.ts'
import type { LibvirtDisk } from './disks.ts'
import { ownerOf, type FileOwner } from './names.ts'
import type { VirshCommands } from './virsh.ts'

/** The name of the bitmap in each export that has one. */
export const EXPORTED_BITMAP = 'changes'
/** For a job to be gone: what QEMU copies just then ends first. */
const GONE_MS = 30_000
const PAUSE_MS = 20

export interface JobDisk {
  readonly disk: LibvirtDisk
  readonly scratchFile: string
  /** The checkpoint whose changes are exported; undefined without a base. */
  readonly since: string | undefined
}

/** What `backup-begin` is given. Disks that are not named here are not in the job. */
export function backupXml(
  socketPath: string, disks: readonly JobDisk[], others: readonly string[]): string {
  const lines = disks.map(({ disk, scratchFile, since }) => {
    const mode = since === undefined ? `backupmode="full"`
      : `backupmode="incremental" incremental="${escapeXml(since)}" ` +
        `exportbitmap="${EXPORTED_BITMAP}"`
    return `<disk name="${escapeXml(disk.name)}" backup="yes" type="file" ${mode} ` +
      `exportname="${escapeXml(disk.id)}"><driver type="qcow2"/>` +
      `<scratch file="${escapeXml(scratchFile)}"/></disk>`
  })
  const left = others.map((name) => `<disk name="${escapeXml(name)}" backup="no"/>`)
  return '<domainbackup mode="pull">\n' +
    `<server transport="unix" socket="${escapeXml(socketPath)}"/>\n` +
    `<disks>\n${[...lines, ...left].join('\n')}\n</disks>\n</domainbackup>\n`
}

/** What `backup-begin` is given to begin recording: a bitmap on each disk that can keep one. */
export function checkpointXml(
  name: string, tracked: readonly string[], others: readonly string[]): string {
  return `<domaincheckpoint>\n<name>${escapeXml(name)}</name>\n` +
    '<description>Where an increment of Stillpoint begins</description>\n<disks>\n' +
    tracked.map((disk) => `<disk name="${escapeXml(disk)}" checkpoint="bitmap"/>\n`).join('') +
    others.map((disk) => `<disk name="${escapeXml(disk)}" checkpoint="no"/>\n`).join('') +
    '</disks>\n</domaincheckpoint>\n'
}

export interface RunningJob {
  readonly scratchFiles: readonly string[]
  /** Undefined if it is somebody else's. */
  readonly owner: FileOwner | undefined
}

/** The machine's backup job; undefined if there is none. Faults: `platform-*`, `machine-lost`. */
export async function findJob(
  virsh: VirshCommands, uuid: string, signal: AbortSignal): Promise<RunningJob | undefined> {
  let text: string
  try {
    text = await virsh.run(['backup-dumpxml', uuid], signal)
  } catch (error) {
    // Also once the machine is off.
    if (isFault(error, 'machine-not-found')) return undefined
    if (isFault(error, 'platform-refused') &&
      /no domain backup job|domain is not running/.test(error.message)) return undefined
    throw error
  }
  const xml = parseXml(text, 'the backup job of the machine', 'platform-protocol')
  const scratchFiles = childrenOf(childAt(xml, 'disks'), 'disk').flatMap((disk) =>
    childAt(disk, 'scratch')?.attributes.get('file') ?? [])
  const owners = scratchFiles.map((file) => ownerOf(basename(file)))
  const [owner] = owners
  const isOne = owners.every((it) => it?.run === owner?.run)
  return { scratchFiles, owner: isOne ? owner : undefined }
}

/**
 * Ends the machine's job if it is of the run, `before` which something may be done, and waits until
 * it is gone; libvirt removes the scratch files with it. True if there was one. Faults:
 * `platform-*`, `timed-out`, what `before` throws.
 */
export async function endJob(
  virsh: VirshCommands, uuid: string, run: string,
  { clock, before }: { readonly clock: Clock; readonly before?: () => Promise<void> },
  signal: AbortSignal,
): Promise<boolean> {
  const isThere = async (): Promise<boolean> =>
    (await findJob(virsh, uuid, signal))?.owner?.run === run
  if (!await isThere()) return false
  await before?.()
  using limit = deadline(clock, GONE_MS, 'the end of the backup job', signal)
  try {
    await virsh.run(['domjobabort', uuid], limit.signal)
  } catch (error) {
    // It may have ended by itself.
    if (!isFault(error, 'platform-refused', 'machine-not-found') || await isThere()) throw error
  }
  while (await isThere()) await clock.sleep(PAUSE_MS, limit.signal)
  return true
}

/** Faults: `machine-busy` if anything is at work on the machine. */
export async function checkNotBusy(
  virsh: VirshCommands, uuid: string, signal: AbortSignal): Promise<void> {
  const said = await virsh.run(['domjobinfo', uuid], signal)
  if (/^Job type:\s*None\s*$/m.test(said)) return
  const operation = /^Operation:\s*([\w -]{1,40}?)\s*$/m.exec(said)?.[1] ?? 'unknown'
  throw new Fault('machine-busy',
    `another program works on the machine: a job of libvirt runs (${operation})`, {
      retry: 'later', advice: 'Wait until it has ended; nothing of it was touched. ' +
        'Look at it with: virsh domjobinfo.' })
}
