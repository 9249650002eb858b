/** What goes wrong in one run of the requestor, drawn by seed. */

import type { PolicySettings } from '../../../src/consistency/mod.ts'
import type { Dice } from './dice.ts'
import type { Fates } from './line.ts'
import { GOOD_HABITS, type GuestAgentHabits } from './model-guest-agent.ts'
import { NO_STORE_TROUBLE, type StoreTroubles } from './model-store.ts'
import type { ApplicationTrouble, TroubleOf } from './model-writers.ts'
import type { MachinePlan } from './plan-of-machine.ts'

/** When something may happen: from then on, some milliseconds later. */
export const MOMENTS = [
  'start', 'prepared', 'application-held', 'frozen', 'committing', 'instant', 'reading',
] as const
export type Moment = (typeof MOMENTS)[number]

/** Each with the moments at which it matters most. */
const MATTERS = {
  'a file system is thawed': ['frozen', 'committing'],
  'all is thawed': ['frozen', 'committing'],
  'an application is restarted': ['application-held', 'frozen', 'committing'],
  'the agent is restarted': ['application-held', 'frozen', 'reading'],
  'qemu-ga is restarted': ['prepared', 'frozen', 'instant'],
  'qemu-ga is silent': ['frozen', 'committing', 'instant'],
  'the requestor is killed': ['application-held', 'frozen', 'committing', 'instant'],
  'the guardian is killed': ['prepared', 'frozen', 'committing', 'instant'],
  'both are killed': ['frozen', 'committing', 'instant'],
  'the requestor stands still': ['application-held', 'frozen', 'committing', 'instant'],
  'the host stands still': ['application-held', 'frozen', 'committing', 'instant'],
  'the wall clock is set': ['prepared', 'frozen', 'reading'],
  'the run is interrupted': ['application-held', 'frozen', 'committing', 'instant', 'reading'],
  'a disk is added': ['prepared', 'frozen', 'committing'],
  'the machine is started': ['prepared', 'committing'],
} as const satisfies Readonly<Record<string, readonly [Moment, ...Moment[]]>>

export type EventKind = keyof typeof MATTERS

export const EVENTS = Object.keys(MATTERS) as readonly EventKind[]

export interface FaultEvent {
  readonly kind: EventKind
  readonly on: Moment
  readonly afterMs: number
  /** How long it lasts, for what lasts. */
  readonly lastsMs: number
  /** Which one, of several: an index, to be taken modulo their number. */
  readonly which: number
}

export interface ProviderTroubles {
  readonly prepareFails: boolean
  /** Between the call and the instant, and from there to the answer. */
  readonly commitTakesMs: readonly [number, number]
  readonly commitFails: 'never' | 'before' | 'after'
  /** Between one disk's instant and the next one's: then it is no single one, and it says so. */
  readonly instantGapMs: number
  /** For one read: a large disk, whose backup goes on long after the hold. */
  readonly readTakesMs: number
  /** At this read the instant is lost: reads fault, or show the disk as it is by then. */
  readonly breaksAtRead: number
  readonly breaksLoudly: boolean
  /** The platform says that it quiesced, and its own documents do not. */
  readonly quiescesNothing: boolean
}

export interface RunPlan {
  readonly isCalm: boolean
  /** Messages arrive, agents are quick, and nothing happens by itself. */
  readonly isOrderly: boolean
  readonly settings: PolicySettings
  readonly full: boolean
  readonly habits: GuestAgentHabits
  readonly fates: Fates
  readonly troubleOf: TroubleOf
  readonly store: StoreTroubles
  readonly provider: ProviderTroubles
  readonly dieAt: number | undefined
  readonly events: readonly FaultEvent[]
  /** The agent hears at once that a dead requestor's channel is closed. */
  readonly closeIsTold: boolean
}

const ORDINARY: ProviderTroubles = {
  prepareFails: false, commitTakesMs: [2, 2], commitFails: 'never', instantGapMs: 0, readTakesMs: 1,
  breaksAtRead: Infinity, breaksLoudly: true, quiescesNothing: false,
}

export function calmRun(dice: Dice): RunPlan {
  return {
    isCalm: true, isOrderly: true, settings: { require: 'crash', onWeaker: 'keep' }, full: false,
    habits: GOOD_HABITS, troubleOf: () => undefined, store: NO_STORE_TROUBLE, provider: ORDINARY,
    fates: () => ({ arrivals: [0.5 + dice.draw()], overtakes: false }),
    dieAt: undefined, events: [], closeIsTold: true,
  }
}

/** One to four kinds of trouble at once. */
export function troubledRun(dice: Dice, machine: MachinePlan): RunPlan {
  const calm = calmRun(dice.fork('calm'))
  const readTakesMs = dice.fork('reading').chance(0.3) ? 20_000 : 1
  const plan: RunPlan = {
    ...calm, isCalm: false, provider: { ...ORDINARY, readTakesMs },
    full: dice.chance(0.2), settings: settingsOf(dice), closeIsTold: dice.chance(0.7),
  }
  const kinds = new Set(Array.from({ length: dice.between(1, 4) }, () => dice.pick([
    'habits', 'fates', 'applications', 'store', 'provider', 'death', 'events', 'events'])))
  return {
    ...plan,
    isOrderly: !kinds.has('habits') && !kinds.has('fates') && !kinds.has('events'),
    ...kinds.has('habits') ? { habits: habitsOf(dice, machine) } : {},
    ...kinds.has('fates') ? { fates: fatesOf(dice) } : {},
    ...kinds.has('applications') ? { troubleOf: troublesOf(dice, machine) } : {},
    ...kinds.has('store') ? { store: storeOf(dice) } : {},
    ...kinds.has('provider') ? { provider: { ...providerOf(dice), readTakesMs } } : {},
    ...kinds.has('death') ? { dieAt: dice.between(1, 160) } : {},
    ...kinds.has('events')
      ? { events: Array.from({ length: dice.between(1, 3) }, () => eventOf(dice, machine)) } : {},
  }
}

function settingsOf(dice: Dice): PolicySettings {
  return {
    require: dice.pick([undefined, 'crash', 'crash', 'filesystem', 'application', 'torn']),
    onWeaker: dice.pick([undefined, 'keep', 'keep', 'fail']),
  }
}

function habitsOf(dice: Dice, { disks }: MachinePlan): GuestAgentHabits {
  const slow = (): number => dice.pick([5, 5, 200, dice.between(1, 6000)])
  return {
    freezeTakesMs: slow(), thawTakesMs: slow(), answersLaterMs: dice.pick([0.2, 1, slow()]),
    isSilent: dice.chance(0.1),
    passesOver: dice.chance(0.3)
      ? disks[dice.between(0, disks.length - 1)]?.mountpoint : undefined,
    freezeHookFails: dice.chance(0.1), thawHookFails: dice.chance(0.15),
  }
}

/** Each message may be lost, late, doubled or overtaken. */
function fatesOf(dice: Dice): Fates {
  const [lost, twice, late, overtakes] =
    [dice.draw() * 0.1, dice.draw() * 0.3, dice.draw() * 0.3, dice.draw() * 0.5]
  const maxLateMs = dice.pick([50, 1000, 8000])
  const arrival = (): number => dice.chance(late) ? dice.between(1, maxLateMs) : 1
  return () => {
    if (dice.chance(lost)) return { arrivals: [], overtakes: false }
    return {
      arrivals: dice.chance(twice) ? [arrival(), arrival()] : [arrival()],
      overtakes: dice.chance(overtakes),
    }
  }
}

function troublesOf(dice: Dice, { applications }: MachinePlan): TroubleOf {
  const troubles = new Map<string, ApplicationTrouble>()
  for (const { name } of dice.some(applications, 0.6)) {
    troubles.set(name, dice.pick([
      'refuses', 'refuses-late', 'hangs', 'thaw-hangs', 'not-discoverable', 'not-preparable']))
  }
  return (name) => troubles.get(name)
}

function storeOf(dice: Dice): StoreTroubles {
  const at = dice.between(1, 60)
  const trouble = dice.pick<Partial<StoreTroubles>>([
    { errorChance: dice.draw() * 0.1 }, { unknownChance: dice.draw() },
    { lostAfter: at }, { fullAfter: at }, { hangsAt: at }])
  return { ...NO_STORE_TROUBLE, ...trouble }
}

function providerOf(dice: Dice): ProviderTroubles {
  const slow = (): number => dice.pick([2, 50, dice.between(1, 5000)])
  const trouble = dice.pick<Partial<ProviderTroubles>>([
    { prepareFails: true }, { quiescesNothing: true },
    { commitTakesMs: [slow(), slow()] }, { commitTakesMs: [slow(), slow()] },
    { commitFails: dice.pick(['before', 'after']) }, { instantGapMs: dice.between(1, 60) },
    { breaksAtRead: dice.between(0, 12), breaksLoudly: dice.chance(0.5) }])
  return { ...ORDINARY, ...trouble }
}

function eventOf(dice: Dice, machine: MachinePlan): FaultEvent {
  const possible = EVENTS.filter((kind) => isPossible(kind, machine))
  const kind = possible[dice.between(0, possible.length - 1)] ?? 'the requestor is killed'
  const anyTime = dice.chance(0.3)
  return {
    kind,
    on: anyTime ? dice.pick(MOMENTS) : dice.pick<Moment>(MATTERS[kind]),
    afterMs: anyTime ? dice.pick([0, dice.draw() * 50, dice.draw() * 3000])
      : dice.pick([0, dice.draw() * 3, dice.draw() * 10]),
    lastsMs: dice.pick([dice.between(1, 500), dice.between(1, 20_000)]),
    which: dice.between(0, 11),
  }
}

function isPossible(kind: EventKind, { power, heldBy, applications }: MachinePlan): boolean {
  switch (kind) {
    case 'the machine is started': return power !== 'running'
    case 'an application is restarted': return power === 'running' && applications.length > 0
    case 'a file system is thawed': case 'all is thawed': case 'qemu-ga is restarted':
    case 'qemu-ga is silent': case 'the guardian is killed':
      return power === 'running' && heldBy === 'requestor'
    default: return true
  }
}
