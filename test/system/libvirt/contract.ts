/** The contracts of a provider and of a freezer, on a real libvirt. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  freezerContract, providerContract, type FreezerBench, type ProviderBench,
} from '../../../src/consistency/testing/mod.ts'
import { uuid } from '../../../src/base/random.ts'
import { systemRandom as random } from '../../../src/base/random.ts'
import { checkpoints, leftOvers, type Libvirt, type LibvirtGuest } from './rig.ts'

const never = new AbortController().signal

export interface Shared {
  readonly libvirt: Libvirt
  readonly guest: LibvirtGuest
}

/** Runs both, each test with the one machine. */
export function libvirtContracts(shared: () => Promise<Shared>): void {
  providerContract('libvirt', async () => providerBench(await shared()))
  freezerContract('libvirt and its guardian', async () => freezerBench(await shared()))
}

async function providerBench({ libvirt, guest }: Shared): Promise<ProviderBench> {
  const platform = await libvirt.open()
  return {
    provider: platform.provider(guest.name),
    left: async () => [
      ...await leftOvers(libvirt, guest), ...await checkpoints(libvirt, guest)],
    overwrite: async (diskId, bytes) => {
      const file = join(libvirt.folder, 'pattern')
      await writeFile(file, bytes)
      const device = `/machine/peripheral/virtio-disk${diskId.charCodeAt(2) - 97}/virtio-backend`
      await libvirt.virsh('qemu-monitor-command', guest.name, '--hmp',
        `qemu-io -d ${device} "write -s ${file} 0 ${bytes.length}"`)
    },
    [Symbol.asyncDispose]: () => platform[Symbol.asyncDispose](),
  }
}

async function freezerBench({ libvirt, guest }: Shared): Promise<FreezerBench> {
  await using stack = new AsyncDisposableStack()
  const platform = stack.use(await libvirt.open())
  const set = stack.use(await platform.provider(guest.name)
    .prepare({ pointId: uuid(random), exclude: [] }, never))
  if (set.heldBy !== 'requestor' || 'missing' in set.freezer) {
    throw new Error(`no freezer: ${JSON.stringify(set)}`)
  }
  const owned = stack.move()
  return {
    freezer: set.freezer,
    isFrozen: async () => (await libvirt.virsh('qemu-agent-command', guest.name,
      '{"execute":"guest-fsfreeze-status"}')).includes('"frozen"'),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
