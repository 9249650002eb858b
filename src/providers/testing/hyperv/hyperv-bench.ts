/** A platform of Hyper-V on a simulated host, with disks that are plain files. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../../base/clock.ts'
import { silentLog } from '../../../base/log.ts'
import { seededRandom } from '../../../base/random.ts'
import type { Platform } from '../../../catalog/mod.ts'
import type { Provider } from '../../../consistency/mod.ts'
import { openRawSource } from '../../../disk/mod.ts'
import type { HypervOptions } from '../../hyperv/options.ts'
import { hypervPlatform } from '../../hyperv/platform.ts'
import { temporaryFolder, type TemporaryFolder } from '../temporary-folder.ts'
import {
  answerScript, simulatedState, type SimulatedMachine, type SimulatedState,
} from './simulated-host.ts'

const MIB = 2 ** 20

export class HypervBench implements AsyncDisposable {
  readonly state: SimulatedState
  readonly platform: Platform
  readonly folder: TemporaryFolder
  readonly content: Uint8Array
  /** Asked before each script is answered. */
  before: (script: string) => void = () => {}

  private constructor(
    folder: TemporaryFolder, path: string, content: Uint8Array, options: HypervOptions) {
    this.folder = folder
    this.content = content
    this.state = simulatedState(path, content.length)
    this.platform = hypervPlatform(async (script, input) => {
      this.before(script)
      return Buffer.from(JSON.stringify(
        answerScript(this.state, script, JSON.parse(input) as Record<string, unknown>)))
    }, { ...options, stateDir: join(folder.path, 'state') },
    { clock: hasty, log: silentLog, random: seededRandom(1) }, (path, _chain, signal) =>
      openRawSource(path, signal))
  }

  static async start(options: HypervOptions = {}): Promise<HypervBench> {
    const folder = await temporaryFolder()
    const path = join(folder.path, 'disk.vhdx')
    const content = seededRandom(7)(MIB)
    await writeFile(path, content)
    return new HypervBench(folder, path, content, options)
  }

  get machine(): SimulatedMachine {
    const [machine] = this.state.machines
    if (machine === undefined) throw new Error('there is no machine')
    return machine
  }

  get provider(): Provider {
    return this.platform.provider(this.machine.name)
  }

  /** Checkpoints, and files that are not merged. */
  left(): readonly string[] {
    return [...this.machine.checkpoints.map(({ name }) => name),
      ...this.machine.disks.flatMap(({ chain }) => chain.slice(0, -1).map(({ path }) => path))]
  }

  /** The scripts that were run, without surveys and looks at jobs. */
  get deeds(): readonly string[] {
    return this.state.journal.map((line) => line.split(' ')[0] ?? '')
      .filter((script) => script !== 'survey' && script !== 'job')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.folder[Symbol.asyncDispose]()
  }
}

/** Nobody waits for a host that is none. */
const hasty = {
  ...systemClock,
  sleep: async (_ms: number, signal: AbortSignal): Promise<void> => { signal.throwIfAborted() },
}
