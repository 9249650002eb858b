import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { runProgram } from '../base/program.ts'
import { systemRandom } from '../base/random.ts'
import { NO_CONFIG, parseConfig } from './config.ts'
import type { EngineContext } from './context.ts'
import { findSigner } from './evidence-key.ts'
import { systemRegistry } from './registry.ts'

interface Home {
  readonly folder: string
  readonly path: string
  readonly context: EngineContext
}

async function home(t: TestContext): Promise<Home> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-key-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return {
    folder, path: join(folder, 'config/stillpoint/evidence.key'),
    context: {
      clock: systemClock, random: systemRandom, log: silentLog, registry: systemRegistry,
      config: NO_CONFIG,
      environment: { XDG_CONFIG_HOME: join(folder, 'config') }, workingDir: folder,
      hostname: 'h', username: 'u', version: '0', askPassword: undefined,
    },
  }
}

test('a host makes its key once, for its owner alone, and has it from then on', async (t) => {
  const { folder, path, context } = await home(t)
  const made = await findSigner(context, '/srv/repository')
  assert.deepEqual([made.isNew, made.path], [true, path])
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal((await stat(join(path, '..'))).mode & 0o777, 0o700)
  assert.deepEqual(await readdir(join(path, '..')), ['evidence.key'])
  const found = await findSigner(context, '/srv/repository')
  assert.deepEqual([found.isNew, found.signer.publicKey], [false, made.signer.publicKey])
  // OpenSSL reads it, and means the same key.
  const { stdout } = await runProgram('openssl', ['pkey', '-in', path, '-pubout'],
    { signal: t.signal, env: { PATH: process.env['PATH'] ?? '', HOME: folder } })
  assert.equal(Buffer.from(stdout).toString(), made.signer.publicKey.pem)
})

test('a key that openssl made signs too', async (t) => {
  const { folder, path, context } = await home(t)
  await mkdir(join(path, '..'), { recursive: true })
  await runProgram('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', path],
    { signal: t.signal, env: { PATH: process.env['PATH'] ?? '', HOME: folder } })
  await chmod(path, 0o600)
  assert.equal((await findSigner(context, '/srv/repository')).isNew, false)
})

test('processes that make a key at once all have the same one', async (t) => {
  const { context } = await home(t)
  const all = await Promise.all(Array.from({ length: 8 }, () => findSigner(context, '/srv/r')))
  assert.equal(all.filter(({ isNew }) => isNew).length, 1)
  assert.equal(new Set(all.map(({ signer }) => signer.publicKey.fingerprint)).size, 1)
})

test('what cannot be relied on as a key is a fault, and is not replaced', async (t) => {
  const { path, context } = await home(t)
  await findSigner(context, '/srv/repository')
  const text = await readFile(path)
  const refused = async (): Promise<void> => {
    const before = await readFile(path)
    await assert.rejects(findSigner(context, '/srv/repository'), { code: 'evidence-key-invalid' })
    assert.ok(before.equals(await readFile(path)))
  }
  for (const mode of [0o640, 0o604, 0o666]) {
    await chmod(path, mode)
    await refused()
  }
  await chmod(path, 0o600)
  for (const bad of ['', 'no key', 'x'.repeat(100_000), text.subarray(0, 60)]) {
    await writeFile(path, bad)
    await refused()
  }
  await rm(path)
  await mkdir(path)
  await assert.rejects(findSigner(context, '/srv/repository'), { code: 'evidence-key-invalid' })
  await rm(path, { recursive: true })
  await runProgram('mkfifo', ['-m', '600', path], { signal: t.signal, env: {
    PATH: process.env['PATH'] ?? '' } })
  await assert.rejects(findSigner(context, '/srv/repository'), { code: 'evidence-key-invalid' })
})

test('no key lies in the repository, or where nothing can be written', async (t) => {
  const { folder, context } = await home(t)
  for (const location of [folder, 'config', join(folder, 'config')]) {
    await assert.rejects(findSigner(context, location), { code: 'evidence-key-invalid' })
  }
  assert.deepEqual(await readdir(folder), [])
  await writeFile(join(folder, 'config'), '')
  await assert.rejects(findSigner(context, '/srv/repository'), { code: 'io-error' })
})

test('the configuration names the key and whom to believe, by fingerprints alone', () => {
  const digits = 'ab'.repeat(32)
  const { evidence } = parseConfig(
    `evidence: { key: keys/evidence.key, fingerprint: [SHA256:${digits.toUpperCase()}] }`,
    '/etc/stillpoint/x.yaml')
  assert.equal(evidence.key, '/etc/stillpoint/keys/evidence.key')
  assert.deepEqual([...evidence.pins], [digits])
  assert.deepEqual([...parseConfig(`evidence: { fingerprint: "${digits}" }`, '/x').evidence.pins],
    [digits])
  for (const bad of ['abc', '""', '[x]', '{}', '[[]]']) {
    assert.throws(() => parseConfig(`evidence: { fingerprint: ${bad} }`, '/x'),
      { code: 'config-invalid' })
  }
  assert.throws(() => parseConfig('evidence: { fingerprints: x }', '/x'), /fingerprints/)
})
