/**
 * Snapshots of ours: made, found again, removed. Others are never touched.
 *
 * A snapshot carries from its creation on who made it: the point in its name, host, boot and
 * process in its description. So nothing has to be written down beside it, and whatever is killed
 * when, the next run on that host knows it for an orphan, also if it was still being made then.
 */

import { Fault, isFault } from '../../base/fault.ts'
import { MARK, markedProcess, processMark, type MarkedProcess } from '../../base/process-mark.ts'
import { printable } from '../../base/text.ts'
import type { VimMachine, VimSnapshot } from './machine.ts'
import { MACHINE_PATHS, parseMachine } from './machine.ts'
import type { VimClient } from './vim/client.ts'
import { faultFrom } from './vim/faults.ts'
import { propertiesOf } from './vim/properties.ts'
import { isVimFault, morefOf, textElement, type Moref } from './vim/soap.ts'
import { taskResult } from './vim/tasks.ts'
import { childOf, type XmlElement } from '../../base/xml.ts'

/** vCenter gives a quiesced snapshot a quarter of an hour, and so do VMware Tools. */
const CREATE_LIMIT_MS = 16 * 60_000
/** The merging of what was written meanwhile; it goes on at the server when nobody waits. */
const REMOVE_LIMIT_MS = 30 * 60_000
const RECONFIGURE_LIMIT_MS = 5 * 60_000
/** In minutes; the least that vSphere takes is 5. */
const QUIESCE_MINUTES = 15

const NAME = /^Stillpoint ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/
const OWNER = new RegExp(`stillpoint-owner (${MARK})$`)

export function nameFor(pointId: string): string {
  return `Stillpoint ${pointId}`
}

/** Who made it is told last: a process, by its mark. */
export function descriptionFor(mark = processMark()): string {
  return `Made for a backup, which removes it at its end. stillpoint-owner ${mark}`
}

/** The mark at the end of a description, if one is there. */
export function ownerIn(description: string): string | undefined {
  return OWNER.exec(description)?.[1]
}

/** Points whose runs in this process have not ended. */
const active = new Set<string>()

/** Says that a run for the point is at work in this process, until it is disposed. */
export function markActive(pointId: string): Disposable {
  active.add(pointId)
  return { [Symbol.dispose]: () => { active.delete(pointId) } }
}

export type Standing = 'foreign' | 'orphan' | 'in-use' | 'elsewhere'

/** Whether a snapshot is one of ours, and whether its run still lives. */
export function standingOf(
  { name, description }: Pick<VimSnapshot, 'name' | 'description'>, {
    fateOf = (mark: string): MarkedProcess => markedProcess(mark),
    isActive = (pointId: string): boolean => active.has(pointId) } = {},
): Standing {
  const [, pointId] = NAME.exec(name) ?? []
  const owner = ownerIn(description)
  if (pointId === undefined || owner === undefined) return 'foreign'
  const fate = fateOf(owner)
  if (fate === 'elsewhere') return 'elsewhere'
  const lives = fate === 'alive' && (owner !== processMark() || isActive(pointId))
  return lives ? 'in-use' : 'orphan'
}

export type Quiescing = 'windows' | 'linux' | 'none'

/**
 * Begins the snapshot and resolves with its task. The older method is used where the newer one is
 * not there: it cannot say how to quiesce. Faults: `machine-*`, `platform-*`, `snapshot-failed`.
 */
export async function startSnapshot(
  client: VimClient, machine: Moref, pointId: string, quiescing: Quiescing, signal: AbortSignal,
): Promise<Moref> {
  const head = textElement('name', nameFor(pointId)) +
    textElement('description', descriptionFor()) + textElement('memory', false)
  const start = async (method: string, how: string): Promise<Moref> => morefOf(childOf(
    await client.callRaw(method, machine, head + how, { changes: true }, signal),
    'returnval'), 'the task of the snapshot')
  try {
    return await start('CreateSnapshotEx_Task', quiesceSpec(quiescing))
  } catch (error) {
    if (!isVimFault(error, 'MethodNotFound', 'InvalidRequest')) {
      throw faultFrom(error, 'the snapshot')
    }
  }
  try {
    return await start('CreateSnapshot_Task', textElement('quiesce', quiescing !== 'none'))
  } catch (error) {
    throw faultFrom(error, 'the snapshot')
  }
}

/**
 * The snapshot that a task makes. Faults: `freeze-failed` where the guest could not be held,
 * `snapshot-failed`, `machine-*`, `platform-*`, `timed-out`. The task goes on after an abort.
 */
export async function finishSnapshot(
  client: VimClient, task: Moref, signal: AbortSignal): Promise<Moref> {
  const wait = { doing: 'the snapshot', limitMs: CREATE_LIMIT_MS }
  return morefOf(await taskResult(client, task, wait, signal), 'the new snapshot')
}

/** Copies alone, so that no log is truncated; never a context that leaves the writers out. */
function quiesceSpec(quiescing: Quiescing): string {
  if (quiescing === 'none') return ''
  const timeout = textElement('timeout', QUIESCE_MINUTES)
  return quiescing === 'linux'
    ? `<quiesceSpec xsi:type="VirtualMachineGuestQuiesceSpec">${timeout}</quiesceSpec>`
    : `<quiesceSpec xsi:type="VirtualMachineWindowsQuiesceSpec">${timeout}` +
      '<vssBackupType>5</vssBackupType><vssBootableSystemState>true</vssBootableSystemState>' +
      '<vssPartialFileSupport>false</vssPartialFileSupport>' +
      '<vssBackupContext>ctx_backup</vssBackupContext></quiesceSpec>'
}

/** Switches change tracking on. Only for a machine without snapshots: with one it is not kept. */
export async function enableTracking(
  client: VimClient, machine: Moref, signal: AbortSignal): Promise<void> {
  const doing = 'to track the changes of the machine'
  const answer = await client.call('ReconfigVM_Task', machine,
    '<spec><changeTrackingEnabled>true</changeTrackingEnabled></spec>',
    { changes: true, doing }, signal)
  await taskResult(client, morefOf(childOf(answer, 'returnval'), 'the task of a change'),
    { doing, limitMs: RECONFIGURE_LIMIT_MS }, signal)
}

/**
 * Removes one snapshot, keeping those below it, and waits until its disks are merged. One that is
 * gone already is no fault. Faults: `timed-out` (the server goes on), `platform-*`, `machine-*`.
 */
export async function removeSnapshot(
  client: VimClient, snapshot: Moref, signal: AbortSignal): Promise<void> {
  const doing = 'the removal of our snapshot'
  try {
    const answer = await client.callRaw('RemoveSnapshot_Task', snapshot,
      textElement('removeChildren', false) + textElement('consolidate', true),
      { changes: true }, signal)
    await taskResult(client, morefOf(childOf(answer, 'returnval'), 'the task of a removal'),
      { doing, limitMs: REMOVE_LIMIT_MS }, signal)
  } catch (error) {
    if (isVimFault(error, 'ManagedObjectNotFound') || isFault(error, 'machine-lost')) return
    throw faultFrom(error, doing)
  }
}

/**
 * Removes the snapshots that dead runs of this host left in the machine. Resolves with a sentence
 * for each. Fault: `machine-busy` if one is of a run that lives, or of another host.
 */
export async function sweepSnapshots(
  client: VimClient, machine: VimMachine, signal: AbortSignal): Promise<readonly string[]> {
  const swept: string[] = []
  for (const snapshot of machine.snapshots) {
    const standing = standingOf(snapshot)
    if (standing === 'in-use') {
      const name = printable(machine.name, 100)
      throw new Fault('machine-busy', `another backup of ${name} is at work`, {
        retry: 'later', advice: 'Wait until it has ended.' })
    }
    if (standing === 'elsewhere') {
      throw new Fault('machine-busy',
        `a backup of ${printable(machine.name, 100)} by another host or container has a ` +
        `snapshot there: ${printable(snapshot.name, 100)}`, {
          advice: 'If no backup is at work there any more, remove that snapshot in vSphere.' })
    }
    if (standing === 'foreign') continue
    await removeSnapshot(client, snapshot.ref, signal)
    swept.push(`removed ${snapshot.name}, which a run that was killed had left`)
  }
  return swept
}

/** The machine as it is now. Faults: `machine-lost`, `platform-*`. */
export async function readMachine(
  client: VimClient, ref: Moref, signal: AbortSignal): Promise<VimMachine> {
  return parseMachine(await propertiesOf(client, ref, MACHINE_PATHS, signal))
}

/** The hardware as the snapshot keeps it. */
export async function snapshotHardware(
  client: VimClient, snapshot: Moref, signal: AbortSignal): Promise<XmlElement | undefined> {
  const { values } = await propertiesOf(client, snapshot, ['config.hardware'], signal)
  return values.get('config.hardware')
}
