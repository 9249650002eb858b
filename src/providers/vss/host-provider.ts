/**
 * The volumes of the Windows host that this runs on, held by VSS: one shadow copy set with writers,
 * each volume a disk. What it needs of the host comes through `HostPorts`.
 */

import { throwIfAborted } from '../../base/clock.ts'
import { causesOf, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type {
  FoundData, ListedWriter, PlatformHeldSet, PrepareRequest, Provider, ProviderSurvey, SetDisk,
  SurveyRemark,
} from '../../consistency/mod.ts'
import { chosen, plain, remarkOn, type HostVolume } from './host-disks.ts'
import type { HostPorts, HostProviderOptions } from './host-ports.ts'
import { foretellSet, HostSet } from './host-set.ts'
import { readLeaveOut, type LeaveOutPatterns } from './leave-out.ts'
import { askWriters, listWriters, remarksOn } from './list-writers.ts'

export class HostProvider implements Provider {
  readonly name = 'vss'
  readonly #ports: HostPorts
  readonly #options: HostProviderOptions

  constructor(ports: HostPorts, options: HostProviderOptions) {
    this.#ports = ports
    this.#options = options
  }

  async survey(exclude: readonly string[], signal: AbortSignal): Promise<ProviderSurvey> {
    const volumes = await this.#ports.volumes(signal)
    const { disks, leftOut } = chosen(volumes, exclude)
    const { because, transport } = this.#ports
    const answers = await askWriters(this.#ports, signal)
    const found = await findOn(volumes, this.#ports, signal)
    const expected = await foretellSet(
      answers, { disks, volumes, found }, this.#ports, this.#options, signal)
    return {
      power: 'running', disks: disks.map(plain), leftOut,
      freezing: { by: 'platform', level: expected.claimed, expected },
      remarks: [
        { name: 'VSS', says: because === undefined ? `asked through ${transport.name}`
          : `asked through ${transport.name}, because ${because}` },
        ...disks.map(remarkOn),
        ...leaveOutRemarks(await readLeaveOut(this.#options.leaveOut ?? [], this.#ports, signal)),
        ...remarksOn(listWriters(answers))],
    }
  }

  /** Volumes that can be held, without a word to VSS. Faults: `platform-*`. */
  async disks(signal: AbortSignal): Promise<readonly SetDisk[]> {
    return chosen(await this.#ports.volumes(signal), []).disks.map(plain)
  }

  /** Faults: `platform-*`, `timed-out`. */
  async writers(signal: AbortSignal): Promise<readonly ListedWriter[]> {
    return listWriters(await askWriters(this.#ports, signal))
  }

  async prepare({ exclude }: PrepareRequest, signal: AbortSignal): Promise<PlatformHeldSet> {
    throwIfAborted(signal)
    const volumes = await this.#ports.volumes(signal)
    const leaveOut = await readLeaveOut(this.#options.leaveOut ?? [], this.#ports, signal)
    for (const { entry, why } of leaveOut.notUnderstood) {
      this.#ports.log.warn('vss.not-left-out', { entry: printable(entry, 300), reason: why })
    }
    const found = await findOn(volumes, this.#ports, signal)
    return new HostSet(
      { ...chosen(volumes, exclude), volumes, found, leaveOut }, this.#ports, this.#options)
  }
}

/** What would be left out, in the words of whoever wrote it. */
function leaveOutRemarks(
  { patterns, notUnderstood }: LeaveOutPatterns): readonly SurveyRemark[] {
  const entries = [...new Set(patterns.map(({ entry }) => entry))]
  return [
    ...entries.map((entry): SurveyRemark =>
      ({ name: 'left out', says: printable(entry, 300) })),
    ...notUnderstood.map(({ entry, why }): SurveyRemark =>
      ({ name: 'NOT left out', says: `${printable(entry, 300)}: ${why}` })),
  ].slice(0, MAX_REMARKS)
}

const MAX_REMARKS = 100

/** What lies on the volumes; a look of seconds, before anything is held. */
async function findOn(
  volumes: readonly HostVolume[], ports: HostPorts, signal: AbortSignal,
): Promise<readonly FoundData[]> {
  const { environment, log } = ports
  const running = await ports.services(signal).catch((error: unknown) => {
    throwIfAborted(signal)
    if (!isFault(error)) throw error
    log.warn('vss.services-unknown', { reason: error.message })
    return { unknown: causesOf(error).join(': ') }
  })
  return ports.findData({
    roots: volumes.flatMap(({ mounts }) => mounts[0] ?? []),
    systemFolder: environment.get('SystemRoot') ?? 'C:\\Windows', services: running,
  }, signal)
}
