/**
 * A Hyper-V host that is none: answers our scripts as a real one is documented to. Nothing of it
 * was recorded on a real host (docs/unproven.md). Its state is plain JSON, so that a stub program
 * can keep it in a file.
 */

import { randomUUID } from 'node:crypto'

export interface SimulatedDrive {
  readonly controller: string
  readonly number: number
  readonly location: number
  isPassThrough: boolean
  isShared: boolean
  chain: { path: string; id: string | null; format: string | null; sizeBytes: number }[]
}

interface SimulatedCheckpoint { id: string; name: string; notes: string; isRecovery: boolean }
interface SimulatedPoint {
  id: string; consistencyLevel: number; diskIds: string[]; trackingIds: string[] }

export interface SimulatedMachine {
  id: string
  name: string
  state: string
  version: string
  generation: number
  memoryBytes: number
  cpuCount: number
  checkpointType: string
  hasScsi: boolean
  hasFibreChannel: boolean
  isClustered: boolean
  ownerNode: string | null
  guestOs: string | null
  disks: SimulatedDrive[]
  services: { id: string; enabled: boolean; primary: string; secondary: string }[]
  nics: { mac: string; isLegacy: boolean }[]
  checkpoints: SimulatedCheckpoint[]
  referencePoints: SimulatedPoint[]
}

interface SimulatedJob {
  looks: number
  state: number
  errorCode: number
  error: string
  made: string[]
}

export interface SimulatedState {
  host: { name: string; version: string; canCopy: boolean }
  machines: SimulatedMachine[]
  jobs: Record<string, SimulatedJob>
  events: { source: string; id: number; level: number; at: string }[]
  /** Of every disk, since any reference point. */
  changes: { offset: number; length: number }[]
  /** How much of a disk one answer of changes covers. */
  changesCover: number
  /** What the job of a checkpoint of level 1 ends with. */
  level1Fails: { errorCode: number; error: string } | null
  convertReturns: number
  /** What asking for changes returns. */
  changesReturn: number
  /** How many surveys it takes until files are merged. */
  mergeLooks: number
  merging: number
  counter: number
  /** Scripts that were run, each with what went in. */
  journal: string[]
}

const MIB = 2 ** 20

export function simulatedState(path: string, sizeBytes = MIB): SimulatedState {
  return {
    host: { name: 'HOST1', version: '10.0.20348.0', canCopy: true }, jobs: {}, events: [],
    changes: [], changesCover: 1 << 30, level1Fails: null, convertReturns: 4096, changesReturn: 0,
    mergeLooks: 1, merging: 0, counter: 0, journal: [],
    machines: [{
      id: randomUUID(), name: 'web Ünïcode; $(x)', state: 'Running',
      version: '9.0', generation: 2, memoryBytes: 2 ** 32, cpuCount: 4,
      checkpointType: 'Production', hasScsi: true, hasFibreChannel: false, isClustered: false,
      ownerNode: null, guestOs: 'Windows Server 2022 Datacenter',
      disks: [{ controller: 'SCSI', number: 0, location: 0, isPassThrough: false, isShared: false,
        chain: [{ path, id: 'aaaaaaaa-0000-0000-0000-000000000001', format: 'VHDX', sizeBytes }] }],
      services: [
        { id: '5CED1297-4598-4915-A5FC-AD21BB4D02A4', enabled: true, primary: 'Ok', secondary: '' },
        { id: '84EAAE65-2F2E-45F5-9BB5-0E857DC8EB47', enabled: true, primary: 'Ok',
          secondary: '' }],
      nics: [{ mac: '00155D010203', isLegacy: false }], checkpoints: [], referencePoints: [],
    }],
  }
}

type Input = Readonly<Record<string, unknown>>

/** The answer as a script would print it. Changes `state`. */
export function answerScript(state: SimulatedState, script: string, input: Input): object {
  state.journal.push(`${script} ${JSON.stringify(input)}`)
  try {
    return { ok: true, result: carryOut(state, script, input) }
  } catch (error) {
    return { ok: false, error: { code: -1, category: 'NotSpecified', kind: 'RuntimeException',
      message: error instanceof Error ? error.message : '',
      ...error instanceof NotFound ? { category: 'ObjectNotFound' } : {} } }
  }
}

class NotFound extends Error {}

function carryOut(state: SimulatedState, script: string, input: Input): object {
  switch (script) {
    case 'survey': return survey(state, input)
    case 'checkpoint': return checkpoint(state, input)
    case 'job': return look(state, input)
    case 'convert': return convert(state, input)
    case 'destroy-checkpoint': {
      removeCheckpoint(state, text(input['checkpoint']))
      return start(state, [])
    }
    case 'destroy-reference-point': {
      for (const machine of state.machines) {
        machine.referencePoints = machine.referencePoints
          .filter(({ id }) => id !== input['referencePoint'])
      }
      return start(state, [])
    }
    case 'changes': return changes(state, input)
    case 'events': return { events: state.events }
    default: throw new Error(`no script ${script}`)
  }
}

function survey(state: SimulatedState, { id }: Input): object {
  if (state.merging > 0 && --state.merging === 0) {
    for (const machine of state.machines) for (const drive of machine.disks) drive.chain.shift()
  }
  const machines = state.machines.filter((machine) => id === null || machine.id === id)
  if (id !== null && machines.length === 0) throw new NotFound('no such machine')
  return { host: state.host, machines }
}

function checkpoint(state: SimulatedState, input: Input): object {
  const machine = machineOf(state, input)
  if (input['level'] === 1 && state.level1Fails !== null) {
    return start(state, [], { state: 10, ...state.level1Fails })
  }
  const made = guid(++state.counter)
  machine.checkpoints.push({ id: made, name: text(input['name']), notes: text(input['notes']),
    isRecovery: true })
  for (const drive of machine.disks) {
    const [head] = drive.chain
    if (head === undefined || drive.isPassThrough) continue
    drive.chain.unshift({
      ...head, path: head.path.replace(/(\.a?vhdx)$/, `_${state.counter}.avhdx`) })
  }
  return start(state, [made])
}

function convert(state: SimulatedState, { checkpoint }: Input): object {
  if (state.convertReturns !== 4096) return { returnValue: state.convertReturns, job: null }
  const machine = removeCheckpoint(state, text(checkpoint))
  const number = ++state.counter
  const tracked = machine.disks.filter(({ isPassThrough }) => !isPassThrough)
  machine.referencePoints.push({ id: guid(number), consistencyLevel: 1,
    diskIds: tracked.map(({ chain }) => (chain[0]?.id ?? '').toUpperCase()),
    trackingIds: tracked.map((_, at) => `rctX:${number}:${at}`) })
  return start(state, [])
}

function removeCheckpoint(state: SimulatedState, id: string): SimulatedMachine {
  const machine = state.machines.find(({ checkpoints }) => checkpoints.some((it) => it.id === id))
  if (machine === undefined) throw new NotFound('no such checkpoint')
  machine.checkpoints = machine.checkpoints.filter((it) => it.id !== id)
  state.merging = state.mergeLooks
  return machine
}

function look(state: SimulatedState, { job }: Input): object {
  const found = state.jobs[text(job)]
  if (found === undefined) throw new NotFound('no such job')
  const isOver = found.looks-- <= 0
  return { state: isOver ? found.state : 4, percent: isOver ? 100 : 50,
    errorCode: isOver ? found.errorCode : 0, error: isOver ? found.error : '',
    made: isOver ? found.made : null }
}

function changes(state: SimulatedState, { offset, length }: Input): object {
  const start = Number(offset)
  const processed = Math.min(Number(length), state.changesCover)
  const inside = state.changes.filter((it) => it.offset >= start && it.offset < start + processed)
  return { returnValue: state.changesReturn, job: null, processed,
    offsets: inside.map((it) => it.offset), lengths: inside.map((it) => it.length) }
}

function start(
  state: SimulatedState, made: string[], ends: Partial<SimulatedJob> = {}): object {
  const id = guid(++state.counter)
  state.jobs[id] = { looks: 1, state: 7, errorCode: 0, error: '', made, ...ends }
  return { returnValue: 4096, job: id.toUpperCase() }
}

function machineOf(state: SimulatedState, { id }: Input): SimulatedMachine {
  const found = state.machines.find((machine) => machine.id === id)
  if (found === undefined) throw new NotFound('no such machine')
  return found
}

function guid(number: number): string {
  return `00000000-0000-4000-8000-${`${number}`.padStart(12, '0')}`
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
