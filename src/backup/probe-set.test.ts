import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../base/random.ts'
import type { VolumeEvidence } from '../consistency/mod.ts'
import { memorySource, ntfsImage } from '../disk/testing/mod.ts'
import { probeSet } from './probe-set.ts'

const signal = new AbortController().signal
const PART_BYTES = 1024 * 1024

/** A disk with an MBR and a partition of 1 MiB for each type, of these contents. */
function diskOf(...parts: readonly (readonly [number, Uint8Array])[]): Uint8Array {
  const disk = Buffer.alloc(PART_BYTES * (parts.length + 1))
  for (const [index, [type, content]] of parts.entries()) {
    const at = 446 + 16 * index
    disk.writeUInt8(type, at + 4)
    disk.writeUInt32LE((index + 1) * PART_BYTES / 512, at + 8)
    disk.writeUInt32LE(PART_BYTES / 512, at + 12)
    disk.set(content.subarray(0, PART_BYTES), (index + 1) * PART_BYTES)
  }
  disk.writeUInt16LE(0xaa55, 510)
  return disk
}

async function volumesOf(disk: Uint8Array): Promise<readonly VolumeEvidence[]> {
  const { volumes, probes } = await probeSet([{ id: 'vda', source: memorySource(disk) }], signal)
  assert.deepEqual(probes, [{ diskId: 'vda', state: 'probed' }])
  return volumes
}

function swap(signature: string): Buffer {
  const bytes = Buffer.alloc(8192)
  bytes.write(signature, 4086, 'latin1')
  return bytes
}

const NOISE = seededRandom(1)(PART_BYTES)

test('swap says whether a hibernated machine is in it', async () => {
  const found = await volumesOf(diskOf([0x82, swap('SWAPSPACE2')], [0x82, swap('S1SUSPEND')]))
  assert.deepEqual(
    found.map(({ role, hibernation }) => [role, hibernation]),
    [['swap', 'none'], ['swap', 'present']])
})

test('an open log of NTFS says nothing, as a freeze may leave it', async () => {
  const signs = async (restartFlags: number): Promise<unknown> =>
    (await volumesOf(ntfsImage({ restartFlags }))).map(({ type, sign }) => [type, sign])
  assert.deepEqual(await signs(0), [['ntfs', 'silent']])
  assert.deepEqual(await signs(2), [['ntfs', 'clean']])
})

test('blank partitions and those of boot code are left out, what is found in one is not', async () => {
  const found = await volumesOf(diskOf(
    [0x83, Buffer.alloc(0)], [0x41, NOISE], [0x41, swap('SWAPSPACE2')], [0x83, NOISE]))
  assert.deepEqual(found.map(({ where, type, role }) => [where, type, role]), [
    ['partition 3', 'swap', 'swap'], ['partition 4', 'unknown', 'opaque']])
  assert.deepEqual(await volumesOf(Buffer.alloc(4 * PART_BYTES)), [])
})
