/** The platform SPI: where machines live, and what they are. */

import type { PowerState, Provider, WriterList } from '../consistency/mod.ts'
import type { BlockSource } from '../disk/mod.ts'
import type { GuestAccess } from './guest-access.ts'
import type { MachineDescription, PlatformDocument } from './machine.ts'

/** One line of `stillpoint machines`. */
export interface MachineSummary {
  readonly name: string
  readonly power: PowerState
  /** What is known of the guest's agent without touching the guest's state. */
  readonly agent:
    'answers' | 'silent' | 'not-configured' | 'disabled' | 'busy' | 'not-needed'
  readonly disks: readonly { readonly id: string; readonly sizeBytes: number }[]
}

export interface Platform extends AsyncDisposable {
  readonly kind: MachineDescription['platform']
  /** Everything that can be protected here. Faults: `platform-*`. */
  machines(signal: AbortSignal): Promise<readonly MachineSummary[]>
  /** Faults: `machine-not-found`, `platform-*`. */
  describe(name: string, signal: AbortSignal): Promise<{
    readonly machine: MachineDescription
    readonly documents: readonly PlatformDocument[]
  }>
  /** The provider that captures `name`. Faults: `machine-not-found`. */
  provider(name: string): Provider
  /**
   * Programs and files inside the machine, where the platform offers that. Faults:
   * `machine-not-found`, `machine-not-ready`, `platform-*`, `agent-*`.
   */
  openGuest?(name: string, signal: AbortSignal): Promise<GuestAccess>
  /**
   * The host's end of the port of Stillpoint's agent in the machine, a socket; undefined where
   * there is none, or nobody in the machine has it open, or this user may not use it. Faults:
   * `machine-not-found`, `platform-*`.
   */
  agentPort?(name: string, signal: AbortSignal): Promise<string | undefined>
  /**
   * Writers of VSS on this very system, asked in a session of its own that holds nothing. Faults:
   * `platform-*`, `timed-out`.
   */
  listWriters?(signal: AbortSignal): Promise<WriterList>
  /**
   * Begins a machine of that name, off and without content, where the platform can. With `replace`
   * it may take the place of one that is off, which is deleted when the new one is finished, and
   * not touched before. Faults: `already-exists`, `usage` where it is not said into which place,
   * `machine-not-ready`, `machine-busy`, `unsupported`, `platform-*`.
   */
  makeMachine?(
    name: string, description: MachineDescription, replace: boolean, signal: AbortSignal,
  ): Promise<MachineInMaking>
}

/**
 * A machine that is being made. It bears its name only from `finish` on; disposed before, it is
 * removed with all that was written.
 */
export interface MachineInMaking extends AsyncDisposable {
  /**
   * Fills a disk from its first byte to its last, and tells the bytes written so far. Faults: those
   * of reading `source`, `no-space`, `platform-*`, `disk-lost`.
   */
  fill(
    diskId: string, source: BlockSource, onWritten: (bytes: number) => void, signal: AbortSignal,
  ): Promise<void>
  /** Call it once, last. */
  finish(signal: AbortSignal): Promise<void>
}
