/** A requestor: the steps of the protocol, taken one after another with VSS itself. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../../../base/clock.ts'
import { Fault } from '../../../base/fault.ts'
import { printable } from '../../../base/text.ts'
import { TurnWatch, type LongestTurn } from '../../../base/turns.ts'
import { S_ASYNC_CANCELLED, VSS_E, VssFault } from '../session/hresult.ts'
import type { BackupComponents, TakePart } from './backup-components.ts'
import type { Vss } from './com.ts'
import type { Message, NumberedRequest, Request } from './protocol.ts'

export interface RequestorPorts {
  readonly clock: Clock
  /** `C:\Windows\System32` */
  readonly systemFolder: string
  /** Resolves when the line has been taken. */
  readonly send: (message: Message) => Promise<void>
}

export class Requestor {
  readonly #ports: RequestorPorts
  #turns: TurnWatch | undefined
  #backup: BackupComponents | undefined
  #tail: Promise<void> = Promise.resolve()
  /** Requests with lower numbers are not begun any more. */
  #cancelledBelow = 0
  /** Rejects when nobody hears us any more. */
  readonly #forsaken = Promise.withResolvers<never>()
  /** How far the writers were led: past `prepared`, they wait for BackupComplete or Abort. */
  #led: 'not' | 'prepared' | 'completing' = 'not'

  constructor(ports: RequestorPorts) {
    this.#ports = ports
    this.#forsaken.promise.catch(() => {})
  }

  /** Takes the step when those before it have ended, and answers. */
  receive(request: NumberedRequest): void {
    if (request.step === 'abortBackup' || request.step === 'release') {
      this.#cancelledBelow = Math.max(this.#cancelledBelow, request.id)
      this.#backup?.cancel().catch(() => {}) // one that cannot be cancelled is waited for
    }
    this.#tail = this.#tail.then(() => this.#answer(request))
  }

  /**
   * Whoever began the backup is gone. What its writers wait for is sent in its place, as far as VSS
   * takes it: the end of BackupComplete where that was begun, since the backup is sealed then, else
   * Abort; and Release. Not called twice.
   */
  async forsake(): Promise<void> {
    this.#cancelledBelow = Infinity
    this.#forsaken.reject(new VssFault('send', S_ASYNC_CANCELLED))
    if (this.#led !== 'completing') this.#backup?.cancel().catch(() => {})
    await this.#tail
    const backup = this.#backup
    this.#backup = undefined
    if (this.#led === 'prepared') await backup?.abortBackup().catch(() => {})
    await backup?.release().catch(() => {})
  }

  async #answer(request: NumberedRequest): Promise<void> {
    const { id } = request
    try {
      if (id < this.#cancelledBelow) throw new VssFault(request.step, S_ASYNC_CANCELLED)
      const value = await this.#take(request)
      await this.#send({ id, value })
    } catch (error) {
      await this.#send(error instanceof VssFault
        ? { id, hresult: error.hresult, of: error.step }
        : { id, fault: plainFault(error) }).catch(() => {}) // the pipe's end is heard of elsewhere
    }
  }

  #send(message: Message): Promise<void> {
    return Promise.race([this.#ports.send(message), this.#forsaken.promise])
  }

  async #take(request: NumberedRequest): Promise<unknown> {
    if (request.step === 'open') return this.#open(request)
    if (request.step === 'release') return this.#release()
    const backup = this.#backup
    if (backup === undefined) throw new VssFault(request.step, VSS_E.BAD_STATE)
    switch (request.step) {
      case 'gatherWriterMetadata':
        await backup.step('GatherWriterMetadata')
        return { count: await backup.writerCount() }
      case 'writerDocument':
        return backup.writerDocument(request.index, this.#sending(request.id))
      case 'freeWriterMetadata': return nothing(backup.freeWriterMetadata())
      case 'addComponent': return nothing(backup.addComponent(request.component))
      case 'startSnapshotSet': return backup.startSnapshotSet()
      case 'isVolumeSupported': return backup.isVolumeSupported(request.volume)
      case 'addToSnapshotSet': return backup.addToSnapshotSet(request.volume)
      case 'prepareForBackup':
        this.#led = 'prepared'
        return nothing(backup.step('PrepareForBackup'))
      case 'gatherWriterStatus':
        await backup.step('GatherWriterStatus')
        return backup.writerStatuses()
      case 'addedWriters': return backup.components.writers()
      case 'failedComponent': return backup.components.failed(request.writer, request.index)
      case 'doSnapshotSet': return nothing(backup.step('DoSnapshotSet'))
      case 'snapshotProperties': return backup.snapshotProperties(request.snapshotId)
      case 'setBackupSucceeded':
        return nothing(backup.setBackupSucceeded(request.component, request.succeeded))
      case 'backupComplete':
        this.#led = 'completing'
        return nothing(backup.step('BackupComplete'))
      case 'componentsDocument':
        return nothing(backup.componentsDocument(this.#sending(request.id)))
      case 'abortBackup': return nothing(backup.abortBackup())
      default: return request satisfies never
    }
  }

  async #open(request: Extract<Request, { step: 'open' }>): Promise<null> {
    if (this.#backup !== undefined) throw new VssFault('open', VSS_E.BAD_STATE)
    const { com, components } = await loadLibraries()
    const vss = loadVss(com, this.#ports.systemFolder)
    // Loading is behind us, and no session has begun: from here on nothing may take long.
    await nextTurn()
    this.#turns = new TurnWatch()
    const backup = await components.BackupComponents.create(vss, this.#ports.clock)
    this.#backup = backup
    await backup.initialize(request.context, request.backupType, request.isBootable)
    return null
  }

  async #release(): Promise<LongestTurn> {
    await this.#backup?.release()
    this.#backup = undefined
    using turns = this.#turns
    return turns?.longest ?? { wallMs: 0, cpuMs: 0 }
  }

  #sending(id: number): TakePart {
    return async (part) => {
      await this.#send({ id, part })
      await nextTurn() // a reader that is fast would make one turn of them all
    }
  }
}

/** Loaded here alone, so that a koffi that is not there is a fault with a name. */
async function loadLibraries(): Promise<{
  readonly com: typeof import('./com.ts')
  readonly components: typeof import('./backup-components.ts')
}> {
  try {
    return { com: await import('./com.ts'), components: await import('./backup-components.ts') }
  } catch (cause) {
    throw new Fault('platform-unreachable', 'koffi, through which VSS is called, is not there', {
      cause, advice: 'Install the program again with npm, on this system: npm ci.' })
  }
}

function loadVss(com: typeof import('./com.ts'), systemFolder: string): Vss {
  try {
    return com.loadVss(systemFolder)
  } catch (cause) {
    if (cause instanceof Fault) throw cause
    throw new Fault('platform-unreachable',
      `a library of Windows cannot be loaded: ${printable(String(cause), 300)}`, { cause })
  }
}

async function nothing(done: Promise<void>): Promise<null> {
  await done
  return null
}

function plainFault(error: unknown): Extract<Message, { fault: unknown }>['fault'] {
  if (error instanceof Fault) {
    const { code, message, advice } = error
    return { code, message, ...(advice === undefined ? {} : { advice }) }
  }
  return { code: 'platform-protocol', message: String(error).slice(0, 1000) }
}
