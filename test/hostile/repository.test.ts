/** Repositories that lie in every kind of file, sealed with the right key. */

import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { deadline, systemClock } from '../../src/base/clock.ts'
import type { FaultCode } from '../../src/base/fault.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Secret } from '../../src/base/secret.ts'
import {
  NO_PINS, readCatalog, readRestorePoints, recordPlace, verifyGone, verifyPoint, type ListedPoint,
} from '../../src/catalog/mod.ts'
import { openPointRepository } from '../../src/catalog/testing/mod.ts'
import { signAnything, testSigner } from '../../src/consistency/testing/mod.ts'
import { temporaryFolder } from '../../src/providers/testing/mod.ts'
import { restoreDisks } from '../../src/recovery/mod.ts'
import { checkRepository, openRepository, type CheckReport } from '../../src/repository/mod.ts'
import type { Storage } from '../../src/storage/mod.ts'
import { beginForgery, DISK, fileEntry, folderEntry, type Forgery } from './forge.ts'
import { Dice, flipBits, mutateJson, outcomeOf } from './mutate.ts'

const CODES: readonly FaultCode[] = [
  'repository-damaged', 'repository-unsupported', 'point-invalid', 'point-not-found',
  'wrong-password', 'no-repository', 'no-space', 'unsupported', 'locked', 'not-found',
]
/** Far more than the slowest takes; a hang would be longer. */
const LIMIT_MS = 30_000
const folder = await temporaryFolder()
after(() => folder[Symbol.asyncDispose]())
let folders = 0

interface Found {
  /** How opening and listing ended. */
  readonly list: readonly ListedPoint[] | FaultCode
  /** How restoring each readable point ended. */
  readonly restored: readonly (FaultCode | 'restored')[]
  readonly check: CheckReport | FaultCode
}

const valueOr = <T>(outcome: { readonly value: T } | { readonly code: FaultCode }): T | FaultCode =>
  'value' in outcome ? outcome.value : outcome.code

/** Opens, lists, restores if wanted and checks, in time and with a Fault at the worst. */
async function lookAt(storage: Storage, what: string, restores = true): Promise<Found> {
  using limit = deadline(systemClock, LIMIT_MS, what)
  const { signal } = limit
  const opened = await outcomeOf(() => openRepository(storage, {
    password: new Secret('correct horse'), hostname: 'test', clock: systemClock,
    random: systemRandom, log: silentLog }, signal), CODES, what)
  if ('code' in opened) return { list: opened.code, restored: [], check: opened.code }
  await using repository = opened.value
  const list = valueOr(await outcomeOf(() => readRestorePoints(repository, signal), CODES, what))
  const restored: (FaultCode | 'restored')[] = []
  for (const point of typeof list === 'string' ? [] : list) {
    if (point.state !== 'readable' || !restores) continue
    const target = join(folder.path, `${folders++}`, 'target')
    const outcome = await outcomeOf(() => restoreDisks(
      { repository, point, folder: target, format: 'raw', copying: { workers: 1 } },
      () => {}, systemClock,
      signal), CODES, what)
    restored.push('code' in outcome ? outcome.code : 'restored')
    const around = await readdir(join(target, '..')).catch(() => [])
    assert.ok(around.every((name) => name === 'target'), `${what}: ${around.join()} was written`)
    if ('value' in outcome) await checkRestored(target, what)
    else assert.deepEqual(await readdir(target).catch(() => []), [], what)
  }
  const check = valueOr(await outcomeOf(
    () => checkRepository(repository, { readData: true }, () => {}, signal), CODES, what))
  return { list, restored, check }
}

async function checkRestored(target: string, what: string): Promise<void> {
  for (const name of await readdir(target, { recursive: true })) {
    assert.match(name, /^(machine\.json|platform|platform\/[a-z0-9._-]+|[a-z0-9._-]+\.raw)$/, what)
  }
  const disk = await readFile(join(target, 'vda.raw')).catch(() => undefined)
  if (disk?.length === DISK.length) assert.ok(disk.equals(DISK), `${what}: wrong bytes`)
}

const stateOf = ({ list }: Found): unknown =>
  typeof list === 'string' ? list : list.map(({ state }) => state)

test('a forged repository that tells the truth is read, restored and sound', async () => {
  const forgery = await beginForgery()
  await forgery.point()
  const found = await lookAt(forgery.storage, 'the truth')
  assert.deepEqual([stateOf(found), found.restored], [['readable'], ['restored']])
  assert.ok(typeof found.check !== 'string' && found.check.isSound)
})

/** Each lie stands beside a true point, which must stay listed and restorable. */
const LIES: readonly (readonly [string, (it: Forgery) => Promise<unknown>])[] = [
  ['a tree that does not exist', ({ forge }) => forge.snapshot('a'.repeat(64))],
  ['names that lead out', ({ point }) => point((it) => ({ ...it,
    disks: [folderEntry('../evil', 'b'.repeat(64)), ...it.disks] }))],
  ['a disk with a path for an id', ({ point, diskTree }) => point((it) => ({ ...it,
    disks: [folderEntry('..', diskTree)],
    machine: { ...it.machine as object, disks: [{ id: '..', sizeBytes: DISK.length, bus: 'virtio',
      chunkBytes: 65_536, segmentBytes: 2 ** 20 }] } }))],
  ['documents with paths', ({ point, forge }) => point((it) => ({ ...it,
    platform: [fileEntry('a\\u002f..\\u002fb', [forge.blob('data', Buffer.from('x'))], 1)] }))],
  ['documents that are links', ({ point }) => point((it) => ({ ...it,
    platform: [{ ...fileEntry('passwd', []), type: 'symlink', linktarget: '/etc/passwd' }] }))],
  ['one name twice', ({ point, forge }) => point((it) => ({ ...it, platform: [1, 2].map((n) =>
    fileEntry('same', [forge.blob('data', Buffer.from(`${n}`))], 1)) }))],
  ['entries out of order', ({ point }) => point((it) => ({ ...it,
    root: [fileEntry('aaa', [], 0)] }))],
  ['a thousand documents too many', ({ point }) => point((it) => ({ ...it,
    platform: Array.from({ length: 2000 }, (_, n) => fileEntry(`d${10_000 + n}`, [], 0)) }))],
  ['a size that is contradicted', ({ point }) => point((it) => ({ ...it, machine: {
    ...it.machine as object, disks: [{ id: 'vda', sizeBytes: 160 * 2 ** 40, bus: 'virtio',
      chunkBytes: 65_536, segmentBytes: 2 ** 20 }] } }))],
  ['evidence of another machine', ({ point }) => point((it) => ({ ...it,
    evidence: { ...it.evidence as object, machine: { name: 'other', platform: 'qemu' } } }))],
  ['a lying length', async ({ forge }) => {
    const blob = forge.blob('data', Buffer.from('{}'), { uncompressedLength: 2 ** 31 })
    const root = forge.tree({ nodes: [fileEntry('evidence.dsse.json', [blob], 2)] })
    await forge.flush((index) => index).catch(() => {})
    await forge.snapshot(root)
  }],
  ['a blob of another content', async ({ forge }) => {
    const id = forge.blob('tree', Buffer.from('{"nodes":[]}'), { id: 'c'.repeat(64) })
    await forge.flush()
    await forge.snapshot(id)
  }],
  ['a tree of data', async ({ forge }) => {
    const id = forge.blob('data', Buffer.from('{"nodes":[]}'))
    await forge.flush()
    await forge.snapshot(id)
  }],
]

const PLACE = { sequence: 1, previous: null }
const FRAME = { _type: 'https://in-toto.io/Statement/v1', subject: [
  { name: '0b5e7a52-3f0e-4b8c-9a3d-2f6f1f0c7d11', digest: { sha256: 'a'.repeat(64) } }] }
const COMMON = {
  machine: 'db1', repositoryId: 'e'.repeat(64),
  signer: { publicKey: testSigner().publicKey.pem } }
const RECORDS = {
  completion: { ...FRAME, predicateType: 'urn:stillpoint:completion:1', predicate: {
    ...COMMON, ...PLACE, completedAt: '2026-08-01T10:00:02Z', applications: [] } },
  tombstones: { ...FRAME, predicateType: 'urn:stillpoint:tombstones:1', predicate: {
    ...COMMON, forgotten: [{ ...PLACE, signer: 'b'.repeat(64), because: 'rules',
      forgottenAt: '2026-08-01T10:00:02Z' }] } },
} as const

for (const [name, lie] of LIES) {
  test(`${name}: the point is damaged, the one beside it is not`, async () => {
    const forgery = await beginForgery()
    await forgery.point()
    await lie(forgery)
    const found = await lookAt(forgery.storage, name)
    if (name === 'a lying length') {
      // An index that claims the impossible is not believed in anything.
      assert.equal(found.list, 'repository-damaged')
      return
    }
    assert.deepEqual((stateOf(found) as string[]).toSorted(), ['damaged', 'readable'])
    assert.deepEqual(found.restored, ['restored'])
  })
}

test('a tree that contains itself is read once by a check', async () => {
  const forgery = await beginForgery()
  const { forge } = forgery
  // No hash can be its own, but an index can say so where nobody has looked at the content.
  const id = 'd'.repeat(64)
  forge.blob('tree', Buffer.from(JSON.stringify({ nodes: [folderEntry('again', id)] })), { id })
  await forge.flush()
  await forge.snapshot(id)
  const found = await lookAt(forgery.storage, 'a cycle')
  assert.deepEqual(stateOf(found), ['damaged'])
  assert.ok(typeof found.check !== 'string' && !found.check.isSound)
})

test('folders in folders, with more paths than numbers, are walked once each', async () => {
  const forgery = await beginForgery()
  const { forge } = forgery
  let id = forge.tree({ nodes: [] })
  for (let depth = 0; depth < 3000; depth++) {
    id = forge.tree({ nodes: ['a', 'b'].map((name) => folderEntry(name, id)) })
  }
  await forge.flush()
  await forge.snapshot(id)
  const found = await lookAt(forgery.storage, 'doubling folders')
  assert.ok(typeof found.check !== 'string' && found.check.isSound)
  // Those of the disk are not in a snapshot.
  assert.equal(found.check.trees, 3001)
})

test('a file that is cut, too long or not sealed with this key spoils no other point', async () => {
  const dice = new Dice(11)
  for (const kind of ['data', 'snapshots', 'index', 'keys', 'locks', 'config'] as const) {
    for (const how of ['cut', 'flipped', 'endless', 'foreign'] as const) {
      const forgery = await beginForgery()
      await forgery.point()
      if (kind === 'locks') await forgery.forge.file('locks', { time: '2026-01-01T00:00:00Z' })
      const [file] = await Array.fromAsync(forgery.storage.list(kind, new AbortController().signal))
      const name = file?.name ?? 'config'
      const stop = new AbortController().signal
      const bytes = await forgery.storage.get({ kind, name }, {}, stop)
      await forgery.storage.remove({ kind, name }, stop)
      await forgery.storage.put({ kind, name }, [
        how === 'cut' ? bytes.subarray(0, dice.below(bytes.length))
          : how === 'flipped' ? flipBits(bytes, dice)
            : how === 'endless' ? Buffer.concat([bytes, Buffer.alloc(20 * 2 ** 20)])
              : dice.bytes(bytes.length)], stop)
      const found = await lookAt(forgery.storage, `${kind} ${how}`, how === 'cut')
      if (kind === 'snapshots') assert.deepEqual(stateOf(found), ['damaged'], how)
      if (kind === 'data') assert.ok(Array.isArray(found.list), `${kind} ${how}`)
      if (kind !== 'locks' && kind !== 'keys') {
        assert.ok(typeof found.check === 'string' || !found.check.isSound, `${kind} ${how}`)
      }
    }
  }
})

test('documents with any of their values replaced are damage, or still the truth', async () => {
  const states = new Map<string, number>()
  for (let seed = 1; seed <= 200; seed++) {
    const dice = new Dice(seed)
    const forgery = await beginForgery()
    const changed = <T>(which: string, value: T): T =>
      target === which ? mutateJson(value, dice) as T : value
    const target = dice.pick(
      ['evidence', 'evidence', 'place', 'machine', 'root', 'disks', 'snapshot'])
    await forgery.point((it) => ({
      evidence: changed('evidence', it.evidence), place: changed('place', it.place),
      machine: changed('machine', it.machine),
      root: target === 'root' ? [mutateJson(fileEntry('z', []), dice) as object] : it.root,
      disks: changed('disks', it.disks), platform: it.platform,
    }), target === 'snapshot'
      ? mutateJson({ tree: 'e'.repeat(64), parent: 'f'.repeat(64), summary: { files_new: 1 },
        program_version: 'x', tags: ['stillpoint'], time: '2026-08-01T10:00:02Z' }, dice) as object
      : {})
    const found = await lookAt(forgery.storage, `seed ${seed}, ${target}`)
    for (const state of typeof found.list === 'string' ? [found.list]
      : found.list.map((it) => it.state)) states.set(state, (states.get(state) ?? 0) + 1)
  }
  assert.ok((states.get('damaged') ?? 0) > 50, JSON.stringify([...states]))
})

test('records with any of their values replaced are left out, and harm no point', async () => {
  const kept = new Map<string, number>()
  for (let seed = 1; seed <= 200; seed++) {
    const dice = new Dice(seed)
    const forgery = await beginForgery()
    await forgery.point()
    const { forge } = forgery
    const name = dice.pick(['completion', 'tombstones'] as const)
    const bytes = Buffer.from(signAnything(mutateJson(RECORDS[name], dice)))
    const file = fileEntry(`${name}.dsse.json`, [forge.blob('data', bytes)], bytes.length)
    const root = forge.tree({ nodes: [file] })
    await forge.flush()
    const snapshot = { ...recordPlace('db1'), time: '2026-08-01T10:00:02Z' }
    const isSpoilt = dice.below(4) === 0
    await forge.snapshot(root, isSpoilt ? mutateJson(snapshot, dice) as object : snapshot)
    await using repository = await openPointRepository(forgery.storage)
    const { signal } = new AbortController()
    const catalog = await readCatalog(repository, signal)
    const point = catalog.points.find(({ state }) => state === 'readable')
    assert.ok(point !== undefined, `seed ${seed}`)
    const { chain } = verifyPoint(catalog, point, NO_PINS, repository.id)
    assert.equal(chain?.present, 1, `seed ${seed}`)
    verifyGone(catalog, '0b', NO_PINS)
    const what = catalog.records.length === 0 ? 'left out' : 'kept'
    kept.set(what, (kept.get(what) ?? 0) + 1)
  }
  const [out = 0, there = 0] = [kept.get('left out'), kept.get('kept')]
  assert.ok(out > 50 && there > 0, JSON.stringify([...kept]))
})

test('sealed files with any of their values replaced are a fault or a finding', async () => {
  for (let seed = 1; seed <= 120; seed++) {
    const dice = new Dice(seed)
    const forgery = await beginForgery()
    await forgery.point()
    const { forge } = forgery
    const kind = dice.pick(['index', 'lock', 'config', 'key', 'header'] as const)
    const id = 'a'.repeat(64)
    const blob = { id, type: 'data', offset: 0, length: 100, uncompressed_length: 80 }
    if (kind === 'index') {
      await forge.file('index', mutateJson({ packs: [{ id, blobs: [blob, { ...blob, id:
        'b'.repeat(64), offset: 100 }] }], supersedes: [] }, dice))
    } else if (kind === 'lock') {
      await forge.file('locks', mutateJson({ time: '2026-08-01T10:00:02Z', exclusive: true,
        hostname: 'h', username: 'u', pid: 1, uid: 2, gid: 3 }, dice))
    } else if (kind === 'config') {
      await forge.replaceConfig(Buffer.from(JSON.stringify(mutateJson(
        { version: 2, id, chunker_polynomial: '25b468838dcb75' }, dice)) ?? ''))
    } else if (kind === 'key') {
      await forge.raw('keys', Buffer.from(JSON.stringify(mutateJson({
        created: '2026-08-01T10:00:02Z', username: 'u', hostname: 'h', kdf: 'scrypt',
        N: dice.pick([2, 2 ** 30, 2 ** 40, 3]), r: dice.pick([1, 2 ** 20]), p: 1,
        salt: Buffer.alloc(64).toString('base64'), data: Buffer.alloc(200).toString('base64'),
      }, dice)) ?? ''))
    } else {
      const header = forge.seal(flipBits(Buffer.from(dice.bytes(41 * 3)), dice))
      const length = Buffer.alloc(4)
      length.writeUInt32LE(dice.pick([header.length, 0, 2 ** 32 - 1, header.length + 4]))
      await forge.raw('data', Buffer.concat([dice.bytes(64), header, length]))
    }
    await lookAt(forgery.storage, `seed ${seed}, ${kind}`, seed % 8 === 0)
  }
})
