/** Repositories of stock restic read by us, and ours read and continued by stock restic. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  link, lstat, mkdir, mkdtemp, open, readdir, readFile, readlink, rm, symlink, writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { isFault, type FaultCode } from '../../src/base/fault.ts'
import { silentLog } from '../../src/base/log.ts'
import { runProgram } from '../../src/base/program.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { Secret } from '../../src/base/secret.ts'
import {
  beginWrite, checkRepository, dirNode, encodeTree, fileNode, goTime, initRepository, nameBytes,
  nameFromBytes, openRepository, type BlobId, type CheckReport, type Repository, type TreeNode,
} from '../../src/repository/mod.ts'
import { openLocalStorage } from '../../src/storage/mod.ts'

const signal = AbortSignal.timeout(10 * 60_000)
/** Exit code of restic from 0.17 on; before it is 1. */
const LOCKED = 11
const PASSWORD = 'correct horse <battery> "staple"'

interface Bench extends AsyncDisposable {
  readonly folder: string
  readonly repo: string
  readonly env: Readonly<Record<string, string>>
  /** What restic prints; fails if restic does. */
  restic(...args: readonly string[]): Promise<string>
  /** Whether restic fails. */
  resticFails(...args: readonly string[]): Promise<boolean>
  init(): Promise<{ readonly id: string }>
  open(password?: string): Promise<Repository>
}

async function openBench(t: TestContext): Promise<Bench | undefined> {
  try {
    await runProgram('restic', ['version'], { signal })
  } catch (error) {
    if (!isFault(error, 'program-missing')) throw error
    t.skip('restic is missing')
    return undefined
  }
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-format-'))
  const repo = join(folder, 'repo')
  await writeFile(join(folder, 'password'), PASSWORD)
  const env = {
    PATH: process.env['PATH'] ?? '', HOME: folder, LC_ALL: 'C', TMPDIR: folder,
    RESTIC_REPOSITORY: repo, RESTIC_PASSWORD_FILE: join(folder, 'password'),
    RESTIC_CACHE_DIR: join(folder, 'cache'),
  }
  const context = {
    hostname: 'here', username: 'us', clock: systemClock, random: systemRandom, log: silentLog }
  const run = (args: readonly string[]): ReturnType<typeof runProgram> =>
    runProgram('restic', args, { signal, env, cwd: folder, okCodes: [0, 1, LOCKED] })
  const owned = new AsyncDisposableStack()
  owned.defer(() => rm(folder, { recursive: true, force: true }))
  return {
    folder, repo, env,
    restic: async (...args) => {
      const result = await run(args)
      assert.equal(result.code, 0, `restic ${args.join(' ')}: ${result.stderr}`)
      return Buffer.from(result.stdout).toString('utf8')
    },
    resticFails: async (...args) => (await run(args)).code !== 0,
    init: () => initRepository(owned.use(openLocalStorage(repo)), {
      ...context, password: new Secret(PASSWORD), scryptCost: { N: 1024, r: 8, p: 1 } }, signal),
    open: (password = PASSWORD) => openRepository(
      owned.use(openLocalStorage(repo)), { ...context, password: new Secret(password) }, signal),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const fault = (code: FaultCode, text = /./) => (error: unknown): boolean =>
  isFault(error, code) && text.test(error.message)

const check = (repository: Repository): Promise<CheckReport> =>
  checkRepository(repository, { readData: true }, () => {}, signal)

/** Names that a quoting rule could get wrong; the last are not UTF-8. */
const ODD_NAMES: readonly Buffer[] = [
  ' space ', 'quote"s\'', 'back\\slash', '<html>&', 'tab\tnewline\n', 'bell\u0007esc\u001b\u007f',
  'grüße', 'e\u0301', '世界', '😀', 'nbsp\u00a0shy\u00ad', 'sep\u2028\u2029\ufeff', 'rtl\u202e',
  '\u0080\u009f', '\ue000\u{f0000}\u{10ffff}', '\ufffd', '%s%n', '-rf', '.hidden', '~', '日\u3000本',
].map((name) => Buffer.from(name)).concat([
  Buffer.from([0xff, 0x61]), Buffer.from([0x61, 0xc3, 0x28]), Buffer.from([0xed, 0xb2, 0x80]),
])

/** A folder with whatever a backup of files meets; returns its path. */
async function makeFolder(bench: Bench): Promise<string> {
  const root = join(bench.folder, 'source')
  await mkdir(join(root, 'deep', 'a', 'b', 'c'), { recursive: true })
  const random = seededRandom(9)
  await writeFile(join(root, 'empty'), '')
  await writeFile(join(root, 'text'), 'line\n'.repeat(100_000))
  await writeFile(join(root, 'noise'), random(3_000_000))
  await writeFile(join(root, 'deep/a/b/c/leaf'), 'x', { mode: 0o4711 })
  await link(join(root, 'text'), join(root, 'hardlink'))
  await symlink('../../somewhere <else>', join(root, 'link'))
  await symlink(Buffer.from('grüße'), join(root, 'link2'))
  await mkdir(join(root, 'empty-folder'), { mode: 0o1700 })
  await runProgram('mkfifo', [join(root, 'fifo')], { signal })
  const sparse = await open(join(root, 'sparse'), 'w')
  await sparse.truncate(20_000_000)
  await sparse.write(Buffer.from('in the middle'), 0, 13, 9_999_999)
  await sparse.close()
  await mkdir(join(root, 'odd'))
  for (const [i, name] of ODD_NAMES.entries()) {
    await writeFile(Buffer.concat([Buffer.from(`${root}/odd/`), name]), `content ${i}`)
  }
  return root
}

/** Calls `visit` for each node below a tree, with its path as bytes. */
async function walk(
  repository: Repository, id: BlobId, path: Buffer,
  visit: (node: TreeNode, path: Buffer) => Promise<void>,
): Promise<void> {
  const tree = await repository.readTree(id, signal)
  const stored = await repository.readBlob('tree', id, signal)
  assert.equal(Buffer.from(encodeTree(tree)).toString(), Buffer.from(stored).toString())
  for (const node of tree.nodes) {
    const below = Buffer.concat([path, Buffer.from('/'), nameBytes(node.name)])
    await visit(node, below)
    if (node.type === 'dir') await walk(repository, node.subtree, below, visit)
  }
}

/** Reads all of the newest snapshot and compares it with the folder it was made of. */
async function compareWithFolder(repository: Repository, root: string): Promise<void> {
  const snapshot = (await repository.snapshots(signal)).at(-1)?.snapshot
  assert.deepEqual(snapshot?.paths, [root])
  let files = 0
  let oddNames = 0
  await walk(repository, snapshot.tree, Buffer.alloc(0), async (node, path) => {
    const stat = await lstat(path)
    assert.equal(node.inode === undefined || Number(node.inode) === stat.ino, true)
    if (node.type === 'symlink') {
      assert.equal(node.linkTarget, nameFromBytes(await readlink(path, { encoding: 'buffer' })))
    } else if (node.type === 'file') {
      files++
      if (path.includes('/odd/')) oddNames++
      assert.equal(node.size, stat.size)
      const reading = node.content.map((id) => repository.readBlob('data', id, signal))
      const content = Buffer.concat(await Promise.all(reading))
      assert.ok((await readFile(path)).equals(content), String(path))
    }
  })
  assert.equal(oddNames, ODD_NAMES.length)
  assert.equal(files, ODD_NAMES.length + 6)
}

test('a repository of restic: trees encode to their bytes again, data are sound', async (t) => {
  await using bench = await openBench(t)
  if (bench === undefined) return
  const root = await makeFolder(bench)
  await bench.restic('init')
  await bench.restic('backup', '--tag', 'one', '--exclude', '*.tmp', '--host', 'h<1>', root)
  await writeFile(join(root, 'noise'), seededRandom(10)(1_000_000))
  await bench.restic('backup', '--compression', 'off', root)
  await using repository = await bench.open()
  const [first, second] = await repository.snapshots(signal)
  assert.deepEqual(first?.snapshot.tags, ['one'])
  assert.equal(first.snapshot.hostname, 'h<1>')
  assert.equal(second?.snapshot.parent, undefined) // another host
  await repository.loadIndex(signal)
  await compareWithFolder(repository, root)
  const report = await check(repository)
  assert.deepEqual(report.findings, [])
  assert.equal(report.snapshots, 2)
})

test('a repository upgraded from version 1, all raw, is read; version 1 is not', async (t) => {
  await using bench = await openBench(t)
  if (bench === undefined) return
  const root = await makeFolder(bench)
  await bench.restic('init', '--repository-version', '1')
  await bench.restic('backup', root)
  await assert.rejects(bench.open(), fault('repository-unsupported', /version 1/))
  await bench.restic('migrate', 'upgrade_repo_v2')
  await using repository = await bench.open()
  await repository.loadIndex(signal)
  assert.ok([...repository.index].every((blob) => blob.uncompressedLength === 0))
  await compareWithFolder(repository, root)
  assert.deepEqual((await check(repository)).findings, [])
})

test('restic continues a repository that we made, and we read on', async (t) => {
  await using bench = await openBench(t)
  if (bench === undefined) return
  const root = await makeFolder(bench)
  const { id } = await bench.init()
  const config = JSON.parse(await bench.restic('cat', 'config')) as Record<string, unknown>
  assert.equal(config['id'], id)
  assert.equal(config['version'], 2)
  await bench.restic('backup', root)
  await bench.restic('check', '--read-data')
  await writeFile(join(bench.folder, 'other'), 'a second password')
  await bench.restic('key', 'add', '--new-password-file', join(bench.folder, 'other'))
  await using repository = await bench.open('a second password')
  await repository.loadIndex(signal)
  await compareWithFolder(repository, root)
  assert.deepEqual((await check(repository)).findings, [])
})

test('trees with odd names that we write are restored by restic under those names', async (t) => {
  await using bench = await openBench(t)
  if (bench === undefined) return
  await bench.init()
  await using repository = await bench.open()
  {
    await using lock = await repository.lock('shared', signal)
    await using session = await beginWrite(repository, {}, lock.lost)
    const content = [await session.saveData(Buffer.from('content'))]
    const names = ODD_NAMES.toSorted((a, b) => Buffer.compare(a, b)).map(nameFromBytes)
    const odd = await session.saveTree({ nodes: names.map((name) => fileNode(name, 7, content)) })
    const tree = await session.saveTree({ nodes: [dirNode('odd <dir> "&"', odd)] })
    await session.flush(signal)
    const time = goTime(systemClock.nowMs())
    await session.saveSnapshot({
      time, tree, paths: ['/<odd>'], hostname: 'm "1"', username: 'us', tags: ['a&b'],
      programVersion: 'stillpoint', excludes: ['x'], uid: 7, gid: 8 }, signal)
  }
  await bench.restic('check', '--read-data')
  const listed = JSON.parse(await bench.restic('snapshots', '--json')) as readonly object[]
  const { paths, hostname, tags, uid } = listed[0] as Record<string, unknown>
  assert.deepEqual([paths, hostname, tags, uid], [['/<odd>'], 'm "1"', ['a&b'], 7])
  const target = join(bench.folder, 'target')
  await bench.restic('restore', 'latest', '--target', target)
  const found = await readdir(Buffer.from(join(target, 'odd <dir> "&"')), { encoding: 'buffer' })
  const sorted = (names: readonly Buffer[]): readonly string[] =>
    names.map((name) => name.toString('hex')).sort()
  assert.deepEqual(sorted(found), sorted(ODD_NAMES))
})

test('locks are respected both ways, and restic leaves ours alone', async (t) => {
  await using bench = await openBench(t)
  if (bench === undefined) return
  await bench.init()
  await using repository = await bench.open()
  {
    await using _ = await repository.lock('exclusive', signal)
    assert.ok(await bench.resticFails('backup', bench.folder))
    await bench.restic('unlock')
    assert.ok(await bench.resticFails('check'), 'our lock is still there')
  }
  {
    await using _ = await repository.lock('shared', signal)
    await bench.restic('backup', join(bench.folder, 'password'))
    assert.ok(await bench.resticFails('prune'))
  }
  const child = spawn(
    'restic', ['backup', '--stdin'], { env: bench.env, stdio: ['pipe', 'ignore', 'ignore'] })
  const ended = once(child, 'exit')
  await using storage = openLocalStorage(bench.repo)
  while ((await Array.fromAsync(storage.list('locks', signal))).length === 0) {
    await systemClock.sleep(20, signal)
  }
  await assert.rejects(
    repository.lock('exclusive', signal), fault('locked', new RegExp(`process ${child.pid}`)))
  await (await repository.lock('shared', signal))[Symbol.asyncDispose]()
  child.stdin.end('x')
  await ended
  await (await repository.lock('exclusive', signal))[Symbol.asyncDispose]()
  await bench.restic('check')
})

test('a wrong password, and a place without a repository, are told apart', async (t) => {
  await using bench = await openBench(t)
  if (bench === undefined) return
  await assert.rejects(bench.open(), fault('no-repository'))
  await mkdir(bench.repo)
  await assert.rejects(bench.open(), fault('no-repository'))
  await bench.restic('init')
  await assert.rejects(bench.open('wrong'), fault('wrong-password'))
  await assert.rejects(bench.init(), fault('repository-exists'))
})

test('whatever damage restic finds, we find, and the other way round', async (t) => {
  await using bench = await openBench(t)
  if (bench === undefined) return
  await bench.init()
  await writeFile(join(bench.folder, 'noise'), seededRandom(3)(100_000))
  await bench.restic('backup', join(bench.folder, 'noise'))
  const files = (await readdir(bench.repo, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /data|index|snapshots/.test(entry.parentPath))
    .map((entry) => join(entry.parentPath, entry.name))
  assert.ok(files.length >= 4)
  for (const path of files) {
    const original = await readFile(path)
    for (const at of [10, original.length - 40, original.length - 2]) {
      const damaged = Buffer.from(original)
      damaged[at] = (damaged[at] ?? 0) ^ 0x10
      await rm(path)
      await writeFile(path, damaged)
      const ours = await check(await bench.open())
      const theirs = await bench.resticFails('check', '--read-data', '--no-cache', '--no-lock')
      assert.deepEqual([ours.isSound, theirs], [false, true], `byte ${at} of ${path}`)
    }
    await rm(path)
    await writeFile(path, original)
  }
  assert.ok((await check(await bench.open())).isSound)
  await bench.restic('check', '--read-data')
})
