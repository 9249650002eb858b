import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { POINT, recordPlace, STILLPOINT_TAG } from '../catalog/mod.ts'
import { openPointRepository } from '../catalog/testing/mod.ts'
import { signAnything, testSigner } from '../consistency/testing/mod.ts'
import {
  beginWrite, dirNode, fileNode, type Repository, type SnapshotFile,
  type TreeNode, type WriteSession,
} from '../repository/mod.ts'
import type { Storage } from '../storage/mod.ts'
import { openMemoryStorage } from '../storage/testing/mod.ts'
import { createBench, type Bench, type BenchOptions, type Ended } from './testing/bench.ts'

const signal = new AbortController().signal
const ON = ['--on', 'qemu:qmp=/run/qmp']

interface Verified {
  readonly code: number
  readonly result: string
  readonly codes: readonly string[]
  readonly json: Readonly<Record<string, unknown>>
}

interface Scene {
  readonly bench: Bench
  readonly storage: Storage
  readonly fingerprint: string
  /** UUIDs of points, oldest first. */
  readonly points: readonly string[]
  verify(point: string, ...more: string[]): Promise<Verified>
}

/** A repository with so many points of web1, all signed by one key. */
async function makeScene(count: number): Promise<Scene> {
  const storage = openMemoryStorage()
  // A guess of its password costs nothing: the program opens it for each command.
  await using _ = await openPointRepository(storage)
  const bench = benchOn(storage)
  const points: string[] = []
  for (let n = 0; n < count; n++) {
    const { lines } = await bench.runJson('backup', 'web1', ...ON, '--require', 'crash')
    points.push(String(lines.at(-1)?.['point']))
  }
  const { lines } = await bench.runJson('points')
  const [listed] = (lines.at(-1)?.['points'] ?? []) as readonly { readonly signer: string }[]
  const fingerprint = listed?.signer ?? assert.fail('no point')
  return {
    bench, storage, fingerprint, points,
    verify: async (point, ...more) => {
      const { code, lines } = await bench.runJson('show', point, '--verify', ...more)
      const json = lines.at(-1)?.['verification'] as Record<string, unknown> | undefined ?? {}
      const findings = json['findings'] as readonly { readonly code: string }[] | undefined
      const codes = findings?.map((it) => it.code) ?? []
      return { code, json, codes, result: String(json['result']) }
    },
  }
}

function benchOn(storage: Storage, options: BenchOptions = {}): Bench {
  return createBench({
    stores: new Map([['/memory', storage]]),
    environment: { RESTIC_REPOSITORY: '/memory', RESTIC_PASSWORD: 'correct horse' }, ...options })
}

type Change = (
  root: ReadonlyMap<string, TreeNode>, session: WriteSession, repository: Repository,
) => Promise<readonly TreeNode[]>

/** Replaces the point's snapshot by one with a changed root, as a rewrite does. */
async function alter(
  { storage }: Scene, pointId: string, change: Change, more: Partial<SnapshotFile> = {},
): Promise<void> {
  await using repository = await openPointRepository(storage)
  const { id, snapshot, root } = await findPoint(repository, pointId)
  await using session = await beginWrite(repository, {}, signal)
  const changed = await change(root, session, repository)
  const nodes = changed.toSorted((a, b) => a.name < b.name ? -1 : 1)
  const tree = await session.saveTree({ nodes })
  await session.flush(signal)
  await session.saveSnapshot({ ...snapshot, tree, ...more }, signal)
  await storage.remove({ kind: 'snapshots', name: id }, signal)
}

async function findPoint(repository: Repository, pointId: string): Promise<{
  readonly id: string; readonly snapshot: SnapshotFile
  readonly root: ReadonlyMap<string, TreeNode>
}> {
  await repository.loadIndex(signal)
  for (const { id, snapshot } of await repository.snapshots(signal)) {
    if (snapshot.tags?.includes(STILLPOINT_TAG) !== true) continue
    const { nodes } = await repository.readTree(snapshot.tree, signal)
    const root = new Map(nodes.map((node) => [node.name, node]))
    if ((await evidenceOf(repository, root)).includes(pointId)) return { id, snapshot, root }
  }
  return assert.fail('no such point')
}

async function evidenceOf(
  repository: Repository, root: ReadonlyMap<string, TreeNode>): Promise<string> {
  const node = root.get(POINT.evidence)
  assert.ok(node?.type === 'file' && node.content[0] !== undefined)
  const envelope = Buffer.from(await repository.readBlob('data', node.content[0], signal))
  const { payload } = JSON.parse(envelope.toString()) as { readonly payload: string }
  return Buffer.from(payload, 'base64').toString()
}

/** The evidence exchanged for what `forge` makes of the envelope. */
function exchange(forge: (payload: string, envelope: object) => string): Change {
  return async (root, session, repository) => {
    const payload = await evidenceOf(repository, root)
    const node = root.get(POINT.evidence)
    assert.ok(node?.type === 'file' && node.content[0] !== undefined)
    const envelope = JSON.parse(Buffer.from(
      await repository.readBlob('data', node.content[0], signal)).toString()) as object
    const bytes = Buffer.from(forge(payload, envelope))
    const forged = fileNode(POINT.evidence, bytes.length, [await session.saveData(bytes)])
    return [...root.values()].map((it) => it.name === POINT.evidence ? forged : it)
  }
}

const forgeGrade = exchange((payload, envelope) => JSON.stringify({ ...envelope,
  payload: Buffer.from(payload.replace('"require":"crash"', '"require":"torn"'))
    .toString('base64') }))

/** Somebody else's key, rightly signed. */
const signByOther = exchange((payload) => {
  const statement = JSON.parse(payload) as { readonly predicate: { signer: object } }
  const other = testSigner(99)
  statement.predicate.signer = { publicKey: other.publicKey.pem }
  return signAnything(statement, other)
})

const withoutDisk = (id: string): Change => async (root, session, repository) => {
  const disks = root.get(POINT.disks)
  assert.ok(disks?.type === 'dir')
  const { nodes } = await repository.readTree(disks.subtree, signal)
  const tree = await session.saveTree({ nodes: nodes.filter(({ name }) => name !== id) })
  return [...root.values()].map((it) => it.name === POINT.disks ? dirNode(POINT.disks, tree) : it)
}

/** Its first disk is the content of the second, or rather nothing. */
const emptyDisk: Change = async (root, session, repository) => {
  const disks = root.get(POINT.disks)
  assert.ok(disks?.type === 'dir')
  const { nodes } = await repository.readTree(disks.subtree, signal)
  const empty = await session.saveTree({ nodes: [] })
  const tree = await session.saveTree({
    nodes: nodes.map((node, at) => at === 0 ? dirNode(node.name, empty) : node) })
  return [...root.values()].map((it) => it.name === POINT.disks ? dirNode(POINT.disks, tree) : it)
}

async function gradeListed({ bench }: Scene, pointId: string): Promise<unknown> {
  const { lines } = await bench.runJson('points')
  const points = lines.at(-1)?.['points'] as readonly Readonly<Record<string, unknown>>[]
  const point = points.find((it) => it['point'] === pointId)
  const reasons = point?.['reasons'] as readonly { readonly code: string }[] | undefined
  return [point?.['grade'], reasons?.[0]?.code]
}

suite('show --verify', () => {
  test('a point as it was sealed is intact if its key is pinned, else its signer is unknown',
    async () => {
      const scene = await makeScene(2)
      const { points: [, second = ''], fingerprint } = scene
      const pinned = await scene.verify('latest', '--fingerprint', fingerprint.toUpperCase())
      assert.deepEqual([pinned.code, pinned.result, pinned.codes], [0, 'intact', []])
      assert.deepEqual(pinned.json['chain'], { present: 2, forgotten: 0, missing: [], forked: [] })
      assert.equal(pinned.json['sequence'], 2)
      assert.equal(pinned.json['pinned'], true)
      assert.match(String(pinned.json['completedAt']), /^2\d{3}-/)
      const unpinned = await scene.verify(second)
      assert.deepEqual([unpinned.code, unpinned.codes], [3, ['signer-unknown']])
      const { stdout } = await scene.bench.run('show', 'latest', '--verify')
      assert.match(stdout, /verification: self-consistent, signer unknown/)
      const { code, stderr } = await scene.bench.run(
        'show', 'latest', '--verify', '--fingerprint', 'abc')
      assert.deepEqual([code, /is no fingerprint/.test(stderr)], [2, true])
      assert.equal((await scene.bench.run('show', 'latest', '--fingerprint', fingerprint)).code, 2)
    })

  test('evidence that was changed is forged, and its grade is none', async () => {
    const scene = await makeScene(1)
    const [point = ''] = scene.points
    await alter(scene, point, forgeGrade)
    const verified = await scene.verify('latest', '--fingerprint', scene.fingerprint)
    assert.deepEqual([verified.code, verified.result], [3, 'forged'])
    assert.deepEqual(await gradeListed(scene, point), ['torn', 'evidence-forged'])
  })

  test('evidence that another key signed is foreign to who has pinned ours', async () => {
    const scene = await makeScene(2)
    const [first = ''] = scene.points
    await alter(scene, first, signByOther)
    const foreign = await scene.verify(first, '--fingerprint', scene.fingerprint)
    assert.deepEqual([foreign.code, foreign.result], [3, 'foreign-signer'])
    const theirs = testSigner(99).publicKey.fingerprint
    assert.equal((await scene.verify(first, '--fingerprint', theirs)).result, 'intact')
    // And the place of the first is empty to who looks from the second.
    const second = await scene.verify('latest', '--fingerprint', scene.fingerprint)
    assert.deepEqual([second.code, second.codes], [3, ['missing-link']])
    // Who has pinned nobody sees that the second names another first.
    assert.deepEqual((await scene.verify('latest')).codes,
      ['forked', 'missing-link', 'signer-unknown'])
  })

  const alterations: readonly (readonly [string, Change, RegExp, string])[] = [
    ['a disk that is gone', withoutDisk('vdb'), /\/disks\/vdb is gone/, 'damaged'],
    ['a disk of another content', emptyDisk, /\/disks\/vda is another/, 'torn'],
    ['a file that was added', async (root) => [...root.values(), fileNode('zzz', 0, [])],
      /\/zzz was added/, 'torn'],
    ['other instructions', async (root) => [...root.values()].map((it) =>
      it.name === POINT.restoreText ? fileNode(it.name, 0, []) : it), /RESTORE\.txt is another/,
    'torn'],
    ['a document that is gone', async (root, session) => {
      const empty = await session.saveTree({ nodes: [] })
      return [...root.values()].map((it) =>
        it.name === POINT.platform ? dirNode(it.name, empty) : it)
    }, /\/platform is another/, 'torn'],
    ['no machine', async (root) => [...root.values()].filter(({ name }) =>
      name !== POINT.machine), /machine\.json is gone/, 'damaged'],
    ['no disks', async (root) => [...root.values()].filter(({ name }) => name !== POINT.disks),
      /\/disks\/vda is gone; \/disks\/vdb is gone/, 'damaged'],
  ]
  for (const [name, change, difference, listed] of alterations) {
    test(`altered since the seal: ${name}`, async () => {
      const scene = await makeScene(1)
      const [point = ''] = scene.points
      await alter(scene, point, change)
      const verified = await scene.verify('latest', '--fingerprint', scene.fingerprint)
      assert.deepEqual([verified.code, verified.codes], [3, ['altered-since-seal']])
      assert.match(String(verified.json['differences']).replaceAll(',', '; '), difference)
      if (listed === 'torn') {
        assert.deepEqual(await gradeListed(scene, point), ['torn', 'altered-since-seal'])
      }
      const { stdout } = await scene.bench.run('points')
      assert.match(stdout, listed === 'torn' ? / torn \(!\)/ : / DAMAGED /)
      assert.match(stdout, /altered after it was sealed/)
    })
  }

  test('what was altered is restored as what it is: not to be relied on', async (t) => {
    const scene = await makeScene(1)
    const folder = await mkdtemp(join(tmpdir(), 'stillpoint-altered-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const sound = await scene.bench.run('restore', 'latest', '--to', join(folder, 'a'))
    assert.deepEqual([sound.code, /RELIED/.test(sound.stdout)], [0, false])
    await alter(scene, scene.points[0] ?? '', async (root) =>
      [...root.values(), fileNode('zzz', 0, [])])
    const { code, stdout } = await scene.bench.run('restore', 'latest', '--to', join(folder, 'b'))
    assert.equal(code, 3)
    assert.match(stdout, /NOT TO BE RELIED ON: The point was altered after it was sealed: \/zzz/)
  })

  test('without evidence, or with some that nobody understands, it says so', async () => {
    const scene = await makeScene(1)
    const [point = ''] = scene.points
    await alter(scene, point, exchange(() => '{"payload":1}'))
    const garbled = await scene.verify('latest')
    assert.deepEqual([garbled.code, garbled.codes], [3, ['unreadable']])
    const other = await makeScene(1)
    await alter(other, other.points[0] ?? '', async (root) =>
      [...root.values()].filter(({ name }) => name !== POINT.evidence))
    const bare = await other.verify('latest')
    assert.deepEqual([bare.code, bare.codes], [3, ['unreadable']])
    const { stdout, code } = await other.bench.run('show', 'latest', '--verify')
    assert.match(stdout, /NO READABLE EVIDENCE\n {2}There is no evidence that can be read/)
    assert.equal(code, 3)
  })

  test('what our forget removed is forgotten, and not missed', async () => {
    const scene = await makeScene(4)
    const { points: [, second = '', third = ''], fingerprint, bench } = scene
    assert.equal((await bench.run('forget', second)).code, 0)
    assert.equal((await bench.run('forget', third, '--prune')).code, 0)
    const verified = await scene.verify('latest', '--fingerprint', fingerprint)
    assert.deepEqual([verified.code, verified.result], [0, 'intact'])
    assert.deepEqual(verified.json['chain'], { present: 2, forgotten: 2, missing: [], forked: [] })
    const gone = await scene.verify(second.slice(0, 8), '--fingerprint', fingerprint)
    assert.deepEqual([gone.code, gone.codes, gone.json['sequence']], [3, ['forgotten'], 2])
    const { lines: [error] } = await bench.runJson('show', 'ffff', '--verify')
    assert.equal(error?.['code'], 'point-not-found')
    // Both tombstones are in one record; the completion records of both points are gone.
    await using repository = await openPointRepository(scene.storage)
    const { hostname } = recordPlace('web1')
    const records = (await repository.snapshots(signal))
      .filter(({ snapshot }) => snapshot.hostname === hostname)
    assert.equal(records.filter(({ snapshot }) => snapshot.tags?.length === 1).length, 1)
    assert.equal(records.length, 3)
  })

  test('what another program removed is missing', async () => {
    const scene = await makeScene(3)
    const { points: [, second = ''], fingerprint } = scene
    await using repository = await openPointRepository(scene.storage)
    const { id: name } = await findPoint(repository, second)
    await scene.storage.remove({ kind: 'snapshots', name }, signal)
    const verified = await scene.verify('latest', '--fingerprint', fingerprint)
    assert.deepEqual([verified.code, verified.codes], [3, ['missing-link']])
    assert.deepEqual(verified.json['chain'], {
      present: 2, forgotten: 0, missing: [{ from: 2, to: 2 }], forked: [] })
    const gone = await scene.verify(second, '--fingerprint', fingerprint)
    assert.deepEqual([gone.code, gone.codes], [3, ['missing']])
    assert.equal((await scene.verify(scene.points[0] ?? '', '--fingerprint', fingerprint)).code, 0)
  })

  test('the newest point that was removed is missed by the next one, for its record stayed',
    async () => {
      const scene = await makeScene(2)
      {
        await using repository = await openPointRepository(scene.storage)
        const { id: name } = await findPoint(repository, scene.points[1] ?? '')
        await scene.storage.remove({ kind: 'snapshots', name }, signal)
      }
      const first = await scene.verify('latest', '--fingerprint', scene.fingerprint)
      assert.deepEqual([first.code, first.json['sequence']], [0, 1])
      assert.match(String(first.json['remarks']), /number 2, is gone without a tombstone/)
      await scene.bench.run('backup', 'web1', ...ON, '--require', 'crash')
      const verified = await scene.verify('latest', '--fingerprint', scene.fingerprint)
      assert.deepEqual([verified.json['sequence'], verified.codes], [3, ['missing-link']])
    })

  test('a host whose key is not among the pinned ones is told, and its points count as torn',
    async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'stillpoint-pins-'))
      t.after(() => rm(folder, { recursive: true, force: true }))
      const scene = await makeScene(1)
      const config = join(folder, 'stillpoint.yaml')
      const backup = async (pin: string, ...more: string[]): Promise<Ended> => {
        await writeFile(config, `evidence: { fingerprint: ${pin} }\n`)
        return scene.bench.run(
          'backup', 'web1', ...ON, '--require', 'crash', '--config', config, ...more)
      }
      const other = testSigner(99).publicKey.fingerprint
      const told = await backup(other)
      assert.equal(told.code, 0)
      assert.match(told.stderr, new RegExp(`signs with the key ${scene.fingerprint}, and others`))
      const json = await backup(other, '--json')
      assert.match(json.stderr, /"event":"evidence\.key-not-pinned"/)
      const { stdout } = await scene.bench.run('points', '--config', config)
      assert.equal([...stdout.matchAll(/ torn \(!\)/g)].length, 3)
      assert.match(stdout, /signed by a key that is not pinned/)
      assert.equal((await backup(`[${other}, ${scene.fingerprint}]`)).stderr, '')
      const { code } = await scene.bench.run('show', 'latest', '--verify', '--config', config)
      assert.equal(code, 0)
    })

  test('two histories fork', async () => {
    const scene = await makeScene(1)
    const copy = await copyOf(scene.storage)
    // A copy of the repository and of the key goes on by itself, and comes back.
    const other = benchOn(copy, { keys: scene.bench.keys, seed: 7 })
    for (const bench of [scene.bench, other]) {
      assert.equal((await bench.run('backup', 'web1', ...ON, '--require', 'crash')).code, 0)
    }
    await copyFiles(copy, scene.storage)
    assert.equal((await scene.bench.run('backup', 'web1', ...ON, '--require', 'crash')).code, 0)
    const verified = await scene.verify('latest', '--fingerprint', scene.fingerprint)
    assert.deepEqual([verified.code, verified.codes], [3, ['forked']])
    assert.deepEqual(verified.json['chain'], {
      present: 3, forgotten: 0, missing: [], forked: [2] })
  })

  test('a point of a pinned key stays intact beside a host with a new key', async () => {
    const scene = await makeScene(1)
    const stranger = benchOn(scene.storage, { seed: 7 })
    const { code, stderr } = await stranger.run('backup', 'web1', ...ON, '--require', 'crash')
    assert.equal(code, 0)
    assert.match(stderr, /This host had no key to sign evidence with; it has one now/)
    const latest = await scene.verify('latest', '--fingerprint', scene.fingerprint)
    assert.deepEqual([latest.code, latest.result], [3, 'foreign-signer'])
    const [first = ''] = scene.points
    const verified = await scene.verify(first, '--fingerprint', scene.fingerprint)
    assert.deepEqual([verified.code, verified.result], [0, 'intact'])
    assert.match(String(verified.json['remarks']), /forged or foreign evidence: 1/)
  })
})

async function copyOf(storage: Storage): Promise<Storage> {
  const copy = openMemoryStorage()
  await copyFiles(storage, copy)
  return copy
}

async function copyFiles(from: Storage, to: Storage): Promise<void> {
  for (const kind of ['config', 'keys', 'data', 'index', 'snapshots'] as const) {
    const known = new Set((await Array.fromAsync(to.list(kind, signal))).map(({ name }) => name))
    for await (const { name } of from.list(kind, signal)) {
      if (known.has(name)) continue
      await to.put({ kind, name }, [await from.get({ kind, name }, {}, signal)], signal)
    }
  }
}
