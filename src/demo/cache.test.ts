import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { builtOnce } from './cache.ts'

test('a folder is built once, also by two builders at once, and whole', async (t) => {
  const parent = await mkdtemp(join(tmpdir(), 'sp-cache-'))
  t.after(() => rm(parent, { recursive: true }))
  const folder = join(parent, 'image')
  let builds = 0
  const build = async (unfinished: string): Promise<void> => {
    builds++
    await writeFile(join(unfinished, 'file'), 'whole')
  }
  await Promise.all([
    builtOnce(folder, build, t.signal), builtOnce(folder, build, t.signal)])
  await builtOnce(folder, () => assert.fail('built again'), t.signal)
  assert.ok(builds >= 1)
  assert.equal(await readFile(join(folder, 'file'), 'utf8'), 'whole')
  assert.deepEqual(await readdir(parent), ['image'])
})

test('a build that fails leaves nothing', async (t) => {
  const parent = await mkdtemp(join(tmpdir(), 'sp-cache-'))
  t.after(() => rm(parent, { recursive: true }))
  const broken = builtOnce(join(parent, 'image'), async (unfinished) => {
    await writeFile(join(unfinished, 'file'), 'half')
    throw new Error('no network')
  }, t.signal)
  await assert.rejects(broken, /no network/)
  assert.deepEqual(await readdir(parent), [])
})
