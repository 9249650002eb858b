/** qemu-ga in the guest, as `FakeGuestAgent` was measured to behave, over the model's guest. */

import { FakeGuestAgent } from '../../../src/providers/testing/mod.ts'
import type { ModelGuest } from './model-guest.ts'
import { PipeEnd } from './pipe.ts'
import { NEVER, type VirtualClock } from './virtual-clock.ts'

/** How it behaves in one run. */
export interface GuestAgentHabits {
  readonly freezeTakesMs: number
  readonly thawTakesMs: number
  /** Its answers arrive so much later. */
  readonly answersLaterMs: number
  readonly isSilent: boolean
  /** It freezes all but the file system at this mountpoint, and counts rightly. */
  readonly passesOver: string | undefined
  readonly freezeHookFails: boolean
  readonly thawHookFails: boolean
}

export const GOOD_HABITS: GuestAgentHabits = {
  freezeTakesMs: 5, thawTakesMs: 5, answersLaterMs: 0.2, isSilent: false, passesOver: undefined,
  freezeHookFails: false, thawHookFails: false,
}

export class ModelGuestAgent {
  readonly #guest: ModelGuest
  readonly #common: VirtualClock
  #habits = GOOD_HABITS
  onFrozen: () => void = () => {}
  #agent: FakeGuestAgent
  #open: PipeEnd[] = []

  constructor(guest: ModelGuest, common: VirtualClock) {
    this.#guest = guest
    this.#common = common
    this.#agent = this.#start()
  }

  get habits(): GuestAgentHabits {
    return this.#habits
  }

  set habits(habits: GuestAgentHabits) {
    this.#habits = habits
    this.#take(this.#agent)
  }

  /** The host's end of a new connection. */
  connect(): PipeEnd {
    const [host, agent] = PipeEnd.pair(this.#common)
    agent.latencyMs = this.#habits.answersLaterMs
    this.#open = [...this.#open.filter((it) => !it.destroyed), agent]
    this.#agent.accept(agent)
    return host
  }

  /** Killed and started again: what was asked is forgotten, what is frozen stays so. */
  restart(): void {
    stop(this.#agent)
    this.#agent = this.#start()
    // The agent keeps a file that says that it has frozen.
    if (this.#guest.isFrozen) this.#agent.freezeByOthers(this.#guest.fileSystems.length)
    for (const end of this.#open) {
      for (const event of ['data', 'close', 'error']) end.removeAllListeners(event)
      if (!end.destroyed) this.#agent.accept(end)
    }
  }

  #start(): FakeGuestAgent {
    const agent = new FakeGuestAgent()
    const { behaviour } = agent
    const takes = async (ms: number): Promise<void> => {
      await this.#common.sleep(ms, NEVER)
      if (this.#agent !== agent) await new Promise(() => {}) // it was killed meanwhile
    }
    behaviour.beforeFreeze = () => takes(this.#habits.freezeTakesMs)
    behaviour.beforeThaw = () => takes(this.#habits.thawTakesMs)
    behaviour.onThaw = () => this.#guest.thaw()
    behaviour.onFreeze = () => {
      const { passesOver } = this.#habits
      const count = this.#guest.freeze(passesOver === undefined ? [] : [passesOver])
      this.onFrozen()
      return count
    }
    this.#take(agent)
    return agent
  }

  #take({ behaviour }: FakeGuestAgent): void {
    const { isSilent, freezeHookFails, thawHookFails } = this.#habits
    behaviour.isSilent = isSilent
    behaviour.freezeHookStatus = freezeHookFails ? 1 : 0
    behaviour.thawHookStatus = thawHookFails ? 1 : 0
    behaviour.fsinfo = this.#guest.fileSystems.map(({ plan }, slot) => ({
      name: plan.id, mountpoint: plan.mountpoint, type: plan.type,
      disk: [{ 'bus-type': 'virtio', 'bus': 0, 'target': 0, 'unit': 0,
        'pci-controller': { domain: 0, bus: 0, slot, function: 0 } }] }))
  }
}

function stop({ behaviour }: FakeGuestAgent): void {
  behaviour.isSilent = true
  behaviour.beforeFreeze = () => new Promise(() => {})
  behaviour.beforeThaw = () => new Promise(() => {})
}
