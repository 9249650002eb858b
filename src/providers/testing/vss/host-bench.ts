/**
 * A Windows host in memory for the provider: the simulator makes the shadow copies, its devices
 * are copies of the volumes at DoSnapshotSet, and are read in whole sectors only, as Windows wants.
 */

import assert from 'node:assert/strict'
import { systemClock } from '../../../base/clock.ts'
import { silentLog } from '../../../base/log.ts'
import { seededRandom } from '../../../base/random.ts'
import type { ReadableFile } from '../../../disk/mod.ts'
import type { FindData, RunningService } from '../../../consistency/mod.ts'
import type { HostVolume } from '../../vss/host-disks.ts'
import type { HostPorts } from '../../vss/host-ports.ts'
import { HostProvider } from '../../vss/host-provider.ts'
import type { RegistryValue } from '../../vss/registry.ts'
import type { VssBackupType } from '../../vss/session/transport.ts'
import { shadowSource } from '../../vss/shadow-device.ts'
import { DATA_VOLUME, sampleHost, SYSTEM_VOLUME } from './sample-host.ts'
import type { VssScenario } from './scenario.ts'
import { SimulatedVss } from './simulator.ts'

const SECTOR = 4096
const MIB = 1024 * 1024

export class HostBench {
  /** The volumes as they are now; tests write to them at will. */
  readonly contents: ReadonlyMap<string, Uint8Array>
  readonly vss: SimulatedVss
  readonly ports: HostPorts
  volumes: readonly HostVolume[]
  services: readonly RunningService[] = []
  /** By key. */
  readonly registry = new Map<string, readonly RegistryValue[]>()
  /** What a look through the volumes finds; default nothing. */
  findData: FindData = () => Promise.resolve([])
  readonly #copies = new Map<string, Uint8Array>()

  constructor(
    scenario: Partial<VssScenario> = {}, content: () => Uint8Array = () => new Uint8Array(MIB)) {
    this.contents = new Map([[SYSTEM_VOLUME, content()], [DATA_VOLUME, content()]])
    this.volumes = [
      this.#volume(SYSTEM_VOLUME, 'C:\\', 'NTFS'), this.#volume(DATA_VOLUME, 'D:\\', 'NTFS'),
      { name: '\\\\?\\Volume{efefefef-0000-4000-8000-0000000000ef}\\', mounts: [],
        sizeBytes: 100 * MIB, fileSystem: 'FAT32' }]
    this.vss = new SimulatedVss(sampleHost(scenario), seededRandom(1))
    this.vss.onStep = (step) => {
      if (step !== 'DoSnapshotSet') return
      for (const [volume, bytes] of this.contents) this.#copies.set(volume, bytes.slice())
    }
    this.ports = {
      transport: this.vss, clock: { ...systemClock, sleep: () => Promise.resolve() },
      log: silentLog, environment: new Map([['SystemRoot', 'C:\\Windows']]),
      volumes: () => Promise.resolve(this.volumes),
      services: () => Promise.resolve(this.services),
      registry: (key) => Promise.resolve(this.registry.get(key) ?? []),
      findData: (places, signal) => this.findData(places, signal),
      openDevice: (device, sizeBytes) => Promise.resolve(
        shadowSource(device, sizeBytes, this.#device(device))),
    }
  }

  provider(backupType: VssBackupType = 'copy'): HostProvider {
    return new HostProvider(this.ports, { backupType })
  }

  #volume(name: string, mount: string, fileSystem: string): HostVolume {
    return { name, mounts: [mount], fileSystem, sizeBytes: this.contents.get(name)?.length ?? 0 }
  }

  /** The simulator names devices after the end of the volume's GUID. */
  #device(device: string): ReadableFile {
    const [, number = ''] = /(\d+)$/.exec(device) ?? []
    const end = Number(number).toString(16).padStart(2, '0')
    const volume = [...this.#copies.keys()].find((name) => name.includes(`${end}}`))
    const bytes = this.#copies.get(volume ?? '')
    assert.ok(bytes !== undefined, `no shadow copy ${device}`)
    const read = (buffer: Uint8Array, at: number, length: number, position: number):
      Promise<{ bytesRead: number; buffer: Uint8Array }> => {
      assert.equal(position % SECTOR, 0, `read at ${position}`)
      assert.ok(length % SECTOR === 0 || position + length === bytes.length, `read ${length}`)
      const part = bytes.subarray(position, position + length)
      buffer.set(part, at)
      return Promise.resolve({ bytesRead: part.length, buffer })
    }
    return { read: read as ReadableFile['read'], close: () => Promise.resolve() }
  }
}
