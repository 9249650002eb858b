import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../base/random.ts'
import { memorySource, ntfsImage } from '../disk/testing/mod.ts'
import type { VolumeEvidence } from './evidence.ts'
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

test('blank partitions and those of boot code are left out, what is in one is not', async () => {
  const found = await volumesOf(diskOf(
    [0x83, Buffer.alloc(0)], [0x41, NOISE], [0x41, swap('SWAPSPACE2')], [0x83, NOISE]))
  assert.deepEqual(found.map(({ where, type, role }) => [where, type, role]), [
    ['partition 3', 'swap', 'swap'], ['partition 4', 'unknown', 'opaque']])
  assert.deepEqual(await volumesOf(Buffer.alloc(4 * PART_BYTES)), [])
})

test('more volumes than evidence holds are not probed rather than cut', async () => {
  const disk = Buffer.alloc(600 * 1024)
  // A chain of logical partitions, each of one sector of noise.
  for (let n = 0; n < 256; n++) {
    const at = n * 1024
    const entry = n === 0 ? 446 : 462
    disk.writeUInt8(5, at + entry + 4)
    disk.writeUInt32LE(n === 0 ? 2 : 2 * n, at + entry + 8)
    disk.writeUInt32LE(1, at + entry + 12)
    disk.writeUInt16LE(0xaa55, at + 510)
    if (n === 0) continue
    disk.writeUInt8(0x83, at + 450)
    disk.writeUInt32LE(1, at + 454)
    disk.writeUInt32LE(1, at + 458)
    disk.set(NOISE.subarray(n * 512, (n + 1) * 512), at + 512)
  }
  const set = await probeSet(['a', 'b', 'c', 'd', 'e'].map((id) =>
    ({ id, source: memorySource(disk) })), signal)
  assert.equal(set.volumes.length, 4 * 255)
  assert.deepEqual(set.probes.map(({ state }) => state),
    ['probed', 'probed', 'probed', 'probed', 'failed'])
})
