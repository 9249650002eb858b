/**
 * The machine's end where freezes come through hooks: the agent is told that file systems are about
 * to be frozen, or were thawed, by a client that ends before the next thing happens.
 *
 * So what is held outlives who asked for it, and each part has its dead man's handle; and the token
 * says what was held over which freeze. While file systems are frozen nothing is written.
 */

import { abortable, deadline, throwIfAborted, type Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import type {
  ApplicationHost, DiscoveredApplication, HookedApplication,
} from '../consistency/mod.ts'
import { asFault, DEAD_MAN_GRACE_MS, Held } from './held.ts'
import type { Announced } from './hook-answers.ts'
import { encodeToken, type HookToken } from './hook-token.ts'

export interface HookDeskParts {
  readonly host: ApplicationHost
  readonly clock: Clock
  /** Of this run of the machine. */
  readonly bootId: string
  /** Puts the token where the image has it, durably, in place of the last. */
  readonly keep: (token: Uint8Array) => Promise<void>
  /** What is held for requestors of any channel, ourselves among them. */
  readonly holds: Set<object>
}

/** From the announcement to the freeze: a requestor that takes longer is gone. */
const ANNOUNCED_MS = 600_000
/** A list of applications is as good as new for this long. */
const FRESH_MS = 60_000
/** The hook's own limit: one that nobody announced prepares in it, and checkpoints take time. */
export const HOOK_FREEZE_MS = 60_000
/** For the token to be on its disk. */
const KEEP_MS = 10_000

class Hold {
  readonly nonce: string | null
  /** In the order of freezing. */
  readonly prepared: ReadonlyMap<string, Held>
  readonly said = new Map<string, HookedApplication>()
  readonly frozenAtMs = new Map<string, number>()
  /** `lapsed`: the thaw did not come in time, and all is released. */
  phase: 'prepared' | 'frozen' | 'lapsed' = 'prepared'
  /** Releases what nobody came back for. */
  timer: Disposable = { [Symbol.dispose]: () => {} }

  constructor(nonce: string | null, prepared: ReadonlyMap<string, Held>) {
    this.nonce = nonce
    this.prepared = prepared
  }

  /** Together: one that hangs must not keep the others held. */
  async release(): Promise<void> {
    this.timer[Symbol.dispose]()
    await Promise.all([...this.prepared.values()].map((held) => held.release()))
  }
}

export class HookDesk {
  readonly #parts: HookDeskParts
  #found: { readonly atMs: number; readonly list: readonly DiscoveredApplication[] } | undefined
  #hold: Hold | undefined
  #announcing = new AbortController()
  #count = 0
  /** One thing after the other. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(parts: HookDeskParts) {
    this.#parts = parts
  }

  discover(signal: AbortSignal): Promise<readonly DiscoveredApplication[]> {
    return this.#inTurn(() => this.#discover(signal))
  }

  /** Prepares all applications for the freeze that the requestor with this nonce will ask for. */
  announce(nonce: string, signal: AbortSignal): Promise<Announced> {
    this.#announcing = new AbortController()
    const both = AbortSignal.any([signal, this.#announcing.signal])
    return this.#inTurn(async () => {
      if (this.#hold?.phase === 'frozen') {
        throw new Fault('machine-busy', 'the applications are held for another freeze', {
          retry: 'later' })
      }
      await this.#drop()
      const { clock } = this.#parts
      const isFresh = this.#found !== undefined &&
        clock.monotonicMs() - this.#found.atMs < FRESH_MS
      const list = isFresh ? this.#found?.list ?? [] : await this.#discover(both)
      const { prepared, announced } = await this.#prepareAll(list, both)
      this.#hold = new Hold(nonce, prepared)
      this.#hold.timer = clock.after(ANNOUNCED_MS, () => { void this.forget(nonce) })
      return announced
    })
  }

  /** The requestor with this nonce wants nothing more: releases what is left of it. */
  forget(nonce: string): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#hold?.nonce === nonce) await this.#drop()
    })
  }

  /**
   * Before file systems are frozen: holds all applications and leaves the token, or releases them
   * and rejects; also when the signal aborts, as its client is gone. Returns what to say.
   */
  freeze(signal: AbortSignal): Promise<string> {
    this.#announcing.abort(new Fault('interrupted', 'a freeze came meanwhile'))
    return this.#inTurn(async () => {
      const { holds, clock } = this.#parts
      if (this.#hold?.phase !== 'prepared') await this.#drop() // its thaw never came
      if (holds.size > 0) return 'the applications are held already, for a requestor on the port'
      using limit = deadline(clock, HOOK_FREEZE_MS, 'the freeze hook', signal)
      this.#hold ??= await this.#unannounced(limit.signal)
      const hold = this.#hold
      hold.timer[Symbol.dispose]()
      hold.phase = 'frozen'
      this.#count++
      try {
        for (const [name, held] of hold.prepared) {
          await this.#freezeOne(hold, name, held, limit.signal)
        }
        await this.#keep(hold, 'frozen', limit.signal)
        throwIfAborted(limit.signal)
      } catch (error) {
        await this.#giveUp(hold, error)
      }
      const longest = Math.max(0, ...[...hold.prepared.values()].map(
        ({ writer: { limits } }) => limits.holdMs + limits.thawMs))
      hold.timer = clock.after(longest + 2 * DEAD_MAN_GRACE_MS, () => { void this.#lapse(hold) })
      return `held: ${[...hold.prepared.keys()].join(', ') || 'nothing'}`
    })
  }

  /** After file systems were thawed: releases all, and completes the token. Returns what to say. */
  thaw(): Promise<string> {
    return this.#inTurn(async () => {
      const hold = this.#hold
      if (hold === undefined || hold.phase === 'prepared') return 'nothing was held for the hook'
      hold.timer[Symbol.dispose]()
      for (const [name, held] of [...hold.prepared].toReversed()) {
        await this.#thawOne(hold, name, held)
      }
      await this.#drop()
      await this.#keep(hold, 'thawed', new AbortController().signal)
      return `released: ${[...hold.prepared.keys()].join(', ')}`
    })
  }

  /** The agent ends: releases all. */
  end(): Promise<void> {
    this.#announcing.abort(new Fault('interrupted', 'the agent ends'))
    return this.#inTurn(() => this.#drop())
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(act)
    this.#last = turn.catch(() => {})
    return turn
  }

  async #discover(signal: AbortSignal): Promise<readonly DiscoveredApplication[]> {
    const { host, clock } = this.#parts
    const list = await host.discover(signal)
    this.#found = { atMs: clock.monotonicMs(), list }
    return list
  }

  async #unannounced(signal: AbortSignal): Promise<Hold> {
    const { prepared, announced } = await this.#prepareAll(await this.#discover(signal), signal)
    const hold = new Hold(null, prepared)
    for (const [name, answer] of announced) {
      if (!(answer instanceof Fault)) continue
      await hold.release()
      throw new Fault('writer-failed', `${printable(name, 100)} cannot be held: ${answer.message}`)
    }
    return hold
  }

  /** Aborted or failed it leaves nothing prepared. */
  async #prepareAll(
    list: readonly DiscoveredApplication[], signal: AbortSignal,
  ): Promise<{ readonly prepared: ReadonlyMap<string, Held>; readonly announced: Announced }> {
    const { host, clock, holds } = this.#parts
    const prepared: [string, Held][] = []
    const announced = new Map<string, Fault | Held['writer'] | null>()
    for (const application of list.filter(({ kind }) => kind === 'protected')) {
      const { name } = application
      try {
        throwIfAborted(signal)
        const writer = await host.prepare(application, signal)
        announced.set(name, writer ?? null)
        if (writer !== undefined) prepared.push([name, new Held(writer, clock, holds)])
      } catch (error) {
        if (signal.aborted) {
          await Promise.all(prepared.map(([, held]) => held.release()))
          throw error
        }
        announced.set(name, asFault(error))
      }
    }
    // Those that are locked come last, and so are locked the shortest.
    const weight = ([, { writer }]: [string, Held]): number =>
      writer.contract.kind === 'held' ? 1 : 0
    return { prepared: new Map(prepared.toSorted((a, b) => weight(a) - weight(b))), announced }
  }

  async #freezeOne(
    hold: Hold, name: string, held: Held, signal: AbortSignal): Promise<void> {
    try {
      const answer = await abortable(held.freeze(), signal)
      hold.frozenAtMs.set(name, this.#parts.clock.monotonicMs())
      hold.said.set(name, { held: answer, thawed: null, heldMs: null })
    } catch (error) {
      const { code, message } = asFault(error)
      hold.said.set(name, { held: { code, message }, thawed: null, heldMs: null })
      throw new Fault('writer-failed', `${printable(name, 100)} did not hold still: ${message}`)
    }
  }

  async #thawOne(hold: Hold, name: string, held: Held): Promise<void> {
    const said = hold.said.get(name)
    if (said === undefined) return
    const frozenAtMs = hold.frozenAtMs.get(name)
    const heldMs = frozenAtMs === undefined
      ? null : this.#parts.clock.monotonicMs() - frozenAtMs
    hold.said.set(name, { ...said, thawed: await held.thaw(), heldMs })
  }

  /** File systems are not frozen yet: releases all, says so in the token, and rejects. */
  async #giveUp(hold: Hold, error: unknown): Promise<never> {
    await this.#drop()
    // A token that cannot be written leaves that of another freeze, or none.
    await this.#keep(hold, 'failed', new AbortController().signal).catch(() => {})
    throw asFault(error)
  }

  async #keep(hold: Hold, state: HookToken['state'], signal: AbortSignal): Promise<void> {
    const { clock, keep, bootId } = this.#parts
    using limit = deadline(clock, KEEP_MS, 'writing the token', signal)
    await abortable(keep(encodeToken({
      nonce: hold.nonce, bootId, count: this.#count, state, applications: hold.said,
    })), limit.signal)
  }

  /** The thaw never came: each was let go at its limit, and now is given up; no file is written. */
  #lapse(hold: Hold): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#hold !== hold || hold.phase !== 'frozen') return
      hold.phase = 'lapsed'
      await hold.release()
    })
  }

  async #drop(): Promise<void> {
    const hold = this.#hold
    this.#hold = undefined
    await hold?.release()
  }
}
