/**
 * Names of machines that are restored: which is free, and what a killed restore left under one.
 *
 * A machine is `NAME (unfinished ab12cd34)` until all of it is written, its maker in its notes. The
 * digits keep its folder in the datastore apart from that of every other, which goes on to bear the
 * name that its machine was made with. One that is replaced is `NAME (replaced)` from the moment on
 * at which the new one is complete.
 */

import { Fault } from '../../base/fault.ts'
import { markedProcess } from '../../base/process-mark.ts'
import type { RandomBytes } from '../../base/random.ts'
import { printable } from '../../base/text.ts'
import type { VimMachine } from './machine.ts'
import { descriptionFor, ownerIn, readMachine } from './snapshots.ts'
import type { VimClient } from './vim/client.ts'
import { allProperties, type ObjectProperties } from './vim/properties.ts'
import type { Moref } from './vim/soap.ts'

/** Longer ones vSphere refuses. */
const MAX_NAME = 80
const UNFINISHED = / \(unfinished [0-9a-f]{8}\)$/

export function unfinished(name: string, random: RandomBytes): string {
  return fitting(name, ` (unfinished ${Buffer.from(random(4)).toString('hex')})`)
}

export function replaced(name: string): string {
  return fitting(name, ' (replaced)')
}

function fitting(name: string, suffix: string): string {
  return name.slice(0, MAX_NAME - suffix.length) + suffix
}

function isUnfinished(name: string, of: string): boolean {
  const [suffix] = UNFINISHED.exec(name) ?? []
  return suffix !== undefined && name === fitting(of, suffix)
}

/** The notes of a machine that is not complete: they tell a later run whose it was. */
export function unfinishedNotes(): string {
  return descriptionFor().replace(
    /^[^.]*\./, 'Being restored by Stillpoint, and not complete.')
}

/**
 * Sees that the name can be given; resolves with the machine that has it and is to be replaced.
 * What a dead run of this host left unfinished under it is destroyed by `destroy`. Faults:
 * `already-exists`, `machine-busy`, `machine-not-ready` for one that is not off, `platform-*`.
 */
export async function takeName(
  client: VimClient, name: string, replace: boolean,
  destroy: (machine: Moref) => Promise<void>, signal: AbortSignal,
): Promise<VimMachine | undefined> {
  const all = await allProperties(client, client.services.rootFolder, 'VirtualMachine',
    ['name', 'config.annotation'], signal)
  const nameOf = ({ values }: ObjectProperties): string => values.get('name')?.text ?? ''
  const called = (wanted: string): readonly ObjectProperties[] =>
    all.filter((it) => nameOf(it) === wanted)
  for (const left of all.filter((it) => isUnfinished(nameOf(it), name))) {
    const notes = left.values.get('config.annotation')?.text ?? ''
    const owner = ownerIn(notes)
    const fate = owner === undefined ? 'elsewhere' : markedProcess(owner)
    if (fate === 'alive') {
      throw new Fault('machine-busy', `another restore of ${printable(name, 100)} is at work`, {
        retry: 'later', advice: 'Wait until it has ended, or choose another name.' })
    }
    if (fate !== 'gone') throw exists(nameOf(left), '')
    await destroy(left.ref)
    client.log.warn('vsphere.swept', {
      released: `deleted ${printable(nameOf(left), 100)}, which a run that was killed had left` })
  }
  const [old, ...others] = called(name)
  if (old === undefined) return undefined
  if (others.length > 0) throw exists(name, '')
  if (!replace) throw exists(name, ', or say --replace to have it deleted at the end')
  if (called(replaced(name)).length > 0) throw exists(replaced(name), '')
  const machine = await readMachine(client, old.ref, signal)
  checkOff(machine)
  return machine
}

/** Fault: `machine-not-ready`. */
export function checkOff({ name, power }: VimMachine): void {
  if (power === 'off') return
  throw new Fault('machine-not-ready', `${printable(name, 100)} is not off`, {
    retry: 'later', advice: 'Shut the machine down before it is replaced.' })
}

function exists(name: string, otherwise: string): Fault {
  return new Fault('already-exists', `there is a machine ${printable(name, 100)} already`, {
    advice: `Choose another name, or delete that machine in vSphere first${otherwise}.` })
}
