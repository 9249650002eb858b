/** The writers of the model's applications, made of the parts that the real ones are made of. */

import { Fault } from '../../../src/base/fault.ts'
import type { Clock } from '../../../src/base/clock.ts'
import type {
  DataPlaces, DiscoveredApplication, PreparedWriter, Writer, WriterStatement, WriterThawOutcome,
} from '../../../src/consistency/mod.ts'
import {
  preparedWriter, type FreezeAnswer, type HoldSteps,
} from '../../../src/writers/testing/mod.ts'
import type { ModelApplication, Session } from './model-application.ts'
import type { ModelGuest } from './model-guest.ts'
import { NEVER } from './virtual-clock.ts'

/** What may be wrong with an application in one run. */
export type ApplicationTrouble =
  | 'refuses' // the freeze fails and holds nothing
  | 'refuses-late' // it holds, and the freeze fails all the same
  | 'hangs' // the freeze is never answered, though it holds
  | 'thaw-hangs' // it never answers the thaw, and goes on only when its session ends
  | 'not-discoverable'
  | 'not-preparable'

export type TroubleOf = (name: string) => ApplicationTrouble | undefined

export interface WriterParts {
  readonly guest: ModelGuest
  /** The agent's. */
  readonly clock: Clock
  readonly troubleOf: TroubleOf
  /** Sessions that end with the agent. */
  readonly sessions: Map<Session, ModelApplication>
}

/** One writer for each kind of application. */
export function modelWriters(parts: WriterParts): readonly Writer[] {
  return (['lock', 'pause', 'log'] as const).map((kind): Writer => {
    const mine = parts.guest.applications.filter(({ plan }) => plan.kind === kind)
    return {
      name: kind,
      async discover() {
        await parts.clock.sleep(5, NEVER)
        if (mine.some(({ plan }) => parts.troubleOf(plan.name) === 'not-discoverable')) {
          throw new Fault('writer-failed', 'it cannot be told what runs here')
        }
        return mine.map((application) => discovered(application, parts.guest))
      },
      async prepare(application): Promise<PreparedWriter> {
        await parts.clock.sleep(20, NEVER)
        const model = mine.find(({ plan }) => plan.name === application.name)
        if (model === undefined || parts.troubleOf(model.plan.name) === 'not-preparable') {
          throw new Fault('writer-failed', 'the application lets nobody in')
        }
        const { limits, durability } = model.plan
        const settings = { state: durability, settings: durability } as const
        const contract: PreparedWriter['contract'] = kind === 'log'
          ? { kind: 'recoverable', durability: settings } : { kind: 'held' }
        return preparedWriter(
          { application, contract, limits }, new ModelHold(model, parts), parts.clock)
      },
    }
  })
}

function discovered({ plan }: ModelApplication, guest: ModelGuest): DiscoveredApplication {
  const places = guest.fileSystems.filter((it) => plan.diskIds.includes(it.plan.id))
    .map(({ plan: { mountpoint, type } }) => ({ path: `${mountpoint}/data`, mountpoint, type }))
  const data: DataPlaces = { state: 'located', places: plan.isOutside
    ? [...places, { path: '/net/data', mountpoint: '/net', type: 'nfs4' }] : places }
  return { name: plan.name, kind: 'protected', recovery: 'self', data }
}

class ModelHold implements HoldSteps {
  readonly #application: ModelApplication
  readonly #parts: WriterParts
  readonly #session: Session = { isOver: false }
  readonly #run: number

  constructor(application: ModelApplication, parts: WriterParts) {
    this.#application = application
    this.#parts = parts
    this.#run = parts.guest.run
    parts.sessions.set(this.#session, application)
  }

  get #trouble(): ApplicationTrouble | undefined {
    return this.#parts.troubleOf(this.#application.plan.name)
  }

  async freeze(): Promise<FreezeAnswer> {
    const before = this.#application.record().done
    await this.#parts.clock.sleep(2, NEVER)
    if (this.#trouble === 'refuses') throw new Fault('writer-failed', 'it does not hold still')
    await this.#application.hold(this.#session)
    if (this.#trouble === 'refuses-late') throw new Fault('writer-failed', 'it said no')
    if (this.#trouble === 'hangs') await new Promise(() => {})
    const { done } = this.#application.record()
    return { statement: `holds at ${done}`,
      positions: { beforeCheckpoint: String(before), atFreeze: String(done) } }
  }

  async thaw(): Promise<WriterThawOutcome> {
    await this.#parts.clock.sleep(2, NEVER)
    if (this.#trouble === 'thaw-hangs') await new Promise(() => {})
    const heldThroughout = this.#application.plan.kind === 'log' ||
      this.#application.isHeldBy(this.#session)
    this.#application.release(this.#session)
    // A freeze that still waits for its turn must not take effect any more.
    this.#application.endSession(this.#session)
    return { state: 'thawed', heldThroughout, statement: 'goes on' }
  }

  letGo(why: string): WriterThawOutcome {
    this.#application.endSession(this.#session)
    return { state: 'unknown', detail: why }
  }

  async complete(): Promise<WriterStatement> {
    await this.#parts.clock.sleep(2, NEVER)
    this.#application.told.add(this.#run)
    return { statement: 'truncated its log' }
  }

  close(): Promise<void> {
    this.#application.endSession(this.#session)
    this.#parts.sessions.delete(this.#session)
    return Promise.resolve()
  }
}
