/** The machine and its host: what outlives every run of the requestor. */

import type { HoldSockets } from '../../../src/providers/testing/mod.ts'
import type { Dice } from './dice.ts'
import { ModelAgent } from './model-agent.ts'
import type { ModelGuardian } from './model-guardian.ts'
import { ModelGuestAgent } from './model-guest-agent.ts'
import { BLANK_BYTES, ModelGuest } from './model-guest.ts'
import { planMachine, type MachinePlan } from './plan-of-machine.ts'
import type { SimulatedProcess } from './process.ts'
import type { InstantTruth } from './truth.ts'
import type { VirtualClock } from './virtual-clock.ts'

export class ModelMachine {
  readonly plan: MachinePlan
  readonly guest: ModelGuest
  readonly guestAgent: ModelGuestAgent
  readonly agent: ModelAgent | undefined
  /** Where the guardians keep their records. */
  readonly runDir: string
  readonly sockets: HoldSockets
  /** What runs of the requestor have made in the machine and not removed. */
  readonly left = new Set<string>()
  /** By the point's id. */
  readonly instants = new Map<string, InstantTruth>()
  readonly guardians: { readonly guardian: ModelGuardian; readonly of: SimulatedProcess }[] = []
  #added: string | undefined

  constructor(
    name: string, runDir: string, dice: Dice, common: VirtualClock,
    note: (text: string) => void,
  ) {
    this.plan = planMachine(dice)
    this.runDir = runDir
    this.sockets = { agent: `/model/${name}`, qmp: undefined, guardianQmp: undefined }
    this.guest = new ModelGuest(this.plan, common)
    this.guestAgent = new ModelGuestAgent(this.guest, common)
    const { channel } = this.plan
    if (channel !== 'none') {
      this.agent = new ModelAgent({ guest: this.guest, common, channel, note })
    }
  }

  /** As the platform lists them. */
  get diskIds(): readonly string[] {
    const planned = this.plan.disks.map(({ id }) => id)
    return this.#added === undefined ? planned : [...planned, this.#added]
  }

  sizeOf(id: string): number {
    return this.plan.disks.find((disk) => disk.id === id)?.content.length ?? BLANK_BYTES
  }

  addDisk(): void {
    this.#added = 'vdx'
  }

  removeAddedDisk(): void {
    this.#added = undefined
  }

  /** Another run's guardian still is at work. */
  hasGuardian(but: SimulatedProcess): boolean {
    return this.guardians.some(({ guardian, of }) => of !== but && !guardian.hasExited)
  }

  /** Removes what was made under `prefix`; says what. */
  tidy(prefix: string): readonly string[] {
    const found = [...this.left].filter((name) => name.startsWith(prefix))
    for (const name of found) this.left.delete(name)
    return found
  }
}
