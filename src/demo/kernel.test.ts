import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { extractKernel, findModules, loadOrder } from './kernel.ts'

test('modules are loaded after what they need', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sp-modules-'))
  t.after(() => rm(folder, { recursive: true }))
  const needs = { virtio_blk: 'virtio,virtio-ring', virtio: 'virtio_ring', 'virtio-ring': '' }
  for (const [name, depends] of Object.entries(needs)) {
    await writeFile(join(folder, `${name}.ko`), `\x7fELF\0license=GPL\0depends=${depends}\0x`)
  }
  const modules = await findModules(folder)
  assert.deepEqual(loadOrder(['virtio_blk'], modules), ['virtio_ring', 'virtio', 'virtio_blk'])
  assert.throws(() => loadOrder(['nonesuch'], modules), { code: 'not-found' })
})

test('a kernel that is packed in another way is a fault', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sp-kernel-'))
  t.after(() => rm(folder, { recursive: true }))
  const image = new Uint8Array(4096)
  new DataView(image.buffer).setUint32(0x24c, 100, true)
  await writeFile(join(folder, 'vmlinuz'), image)
  await assert.rejects(
    extractKernel(join(folder, 'vmlinuz'), join(folder, 'vmlinux'), t.signal),
    { code: 'unsupported' })
})
