/** Signed evidence, with everything that stock restic does to a repository, and read by hand. */

import { strict as assert } from 'node:assert'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { isFault } from '../../src/base/fault.ts'
import { runProgram } from '../../src/base/program.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Secret } from '../../src/base/secret.ts'
import { createBench, type Bench } from '../../src/cli/testing/bench.ts'
import { initRepository } from '../../src/repository/mod.ts'
import { openLocalStorage, type Storage } from '../../src/storage/mod.ts'

const signal = new AbortController().signal
const PASSWORD = 'correct horse'
const SCRYPT = { N: 1024, r: 8, p: 1 }
const limits = { timeout: 300_000 }
const root = await mkdtemp(join(tmpdir(), 'stillpoint-evidence-'))
after(() => rm(root, { recursive: true, force: true }))
const version = await resticVersion()
const options = version === undefined ? { skip: 'restic is missing' } : limits
let copies = 0

async function resticVersion(): Promise<number | undefined> {
  try {
    const { stdout } = await runProgram('restic', ['version'], { signal })
    return Number(/restic 0\.(\d+)/.exec(Buffer.from(stdout).toString())?.[1])
  } catch (error) {
    if (!isFault(error, 'program-missing')) throw error
    return undefined
  }
}

interface Point {
  readonly point: string
  readonly snapshot: string
  readonly evidenceDigest: string
}

interface Scene {
  readonly folder: string
  readonly bench: Bench
  /** Oldest first. */
  readonly points: readonly [Point, Point, Point, Point]
  readonly fingerprint: string
  /** Its findings' codes, by the pinned key; none: intact. */
  readonly verify: (point: string) => Promise<readonly string[]>
  /** The whole `verification` of the newest point. */
  readonly latest: () => Promise<Readonly<Record<string, unknown>>>
  readonly restic: (...args: readonly string[]) => Promise<string>
  readonly shell: (
    script: string, variables?: Readonly<Record<string, string>>) => Promise<string>
}

/** Four points of web1, made once. */
const original = (async (): Promise<Pick<Scene, 'folder' | 'points' | 'fingerprint'>> => {
  const folder = join(root, 'original')
  const storage = openLocalStorage(folder)
  await initRepository(storage, {
    password: new Secret(PASSWORD), hostname: 'x', username: 'x', clock: systemClock,
    random: systemRandom, scryptCost: SCRYPT }, signal)
  const bench = benchOn(folder, storage)
  const backup = async (): Promise<Point> => {
    const { lines } = await bench.runJson(
      'backup', 'web1', '--on', 'qemu:qmp=/run/qmp', '--require', 'crash')
    return lines.at(-1) as unknown as Point
  }
  const points = [await backup(), await backup(), await backup(), await backup()] as const
  const { lines } = await bench.runJson('points')
  const [listed] = (lines.at(-1)?.['points'] ?? []) as readonly { readonly signer: string }[]
  return { folder, points, fingerprint: listed?.signer ?? '' }
})()

function benchOn(folder: string, storage: Storage): Bench {
  return createBench({
    stores: new Map([[folder, storage]]),
    environment: { RESTIC_REPOSITORY: folder, RESTIC_PASSWORD: PASSWORD } })
}

/** A copy of the repository of its own. */
async function makeScene(): Promise<Scene> {
  const { folder: from, points, fingerprint } = await original
  const folder = join(root, `copy-${copies++}`)
  await cp(from, folder, { recursive: true })
  return sceneOf(folder, points, fingerprint)
}

function sceneOf(folder: string, points: Scene['points'], fingerprint: string): Scene {
  const bench = benchOn(folder, openLocalStorage(folder))
  const verified = async (point: string): Promise<Readonly<Record<string, unknown>>> => {
    const { lines, code } = await bench.runJson(
      'show', point, '--verify', '--fingerprint', fingerprint)
    const found = lines.at(-1)?.['verification'] as Record<string, unknown>
    assert.equal(code, found['result'] === 'intact' ? 0 : 3)
    return found
  }
  const env = {
    PATH: process.env['PATH'] ?? '', HOME: root, LC_ALL: 'C', TZ: 'UTC',
    RESTIC_REPOSITORY: folder, RESTIC_PASSWORD: PASSWORD, RESTIC_CACHE_DIR: join(root, 'cache'),
  }
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')
  return {
    folder, bench, points, fingerprint,
    verify: async (point) => ((await verified(point))['findings'] as
      readonly { readonly code: string }[]).map(({ code }) => code),
    latest: () => verified('latest'),
    restic: async (...args) =>
      text((await runProgram('restic', ['--no-cache', ...args], { signal, env })).stdout),
    shell: async (script, variables = {}) => {
      const cwd = await mkdtemp(join(root, 'shell-'))
      return text((await runProgram('bash', ['-euo', 'pipefail', '-c', script],
        { signal, cwd, env: { ...env, ...variables } })).stdout)
    },
  }
}

const WHOLE = { present: 4, forgotten: 0, missing: [], forked: [] }

test('restic finds no error among points and records, and its harmless commands alter nothing',
  options, async () => {
    const { restic, latest, verify, points } = await makeScene()
    assert.match(await restic('check', '--read-data'), /no errors were found/)
    await restic('tag', '--add', 'mine')
    await restic(...version !== undefined && version < 16 ? ['rebuild-index'] : ['repair', 'index'])
    await restic('recover')
    await restic('prune')
    const found = await latest()
    assert.deepEqual([found['result'], found['chain']], ['intact', WHOLE])
    for (const { point } of points) assert.deepEqual(await verify(point), [])
  })

test('a point that restic forgot is a missing link of those behind it', options, async () => {
  const { restic, verify, latest, points: [first, second, third, fourth] } = await makeScene()
  await restic('forget', second.snapshot, '--prune')
  assert.deepEqual(await verify(first.point), [])
  assert.deepEqual(await verify(second.point), ['missing'])
  assert.deepEqual(await verify(third.point), ['missing-link'])
  assert.deepEqual(await verify(fourth.point), ['missing-link'])
  assert.deepEqual((await latest())['chain'],
    { ...WHOLE, present: 3, missing: [{ from: 2, to: 2 }] })
})

for (const grouping of [[], ['--group-by', 'host']]) {
  test(`restic's rules, ${grouping.join(' ') || 'grouping by default'}, keep points and records`,
    options, async () => {
      const { restic, verify, points: [first, , third, fourth] } = await makeScene()
      await restic('forget', '--keep-last', '2', ...grouping, '--prune')
      const left = JSON.parse(await restic('snapshots', '--json')) as
        readonly { readonly hostname: string }[]
      assert.deepEqual(left.map(({ hostname }) => hostname).toSorted(),
        ['stillpoint-records.web1', 'stillpoint-records.web1', 'web1', 'web1'])
      assert.deepEqual(await verify(first.point.slice(0, 8)).catch(() => 'unknown'), 'unknown')
      for (const { point } of [third, fourth]) {
        assert.deepEqual(await verify(point), ['missing-link'])
      }
      assert.match(await restic('check', '--read-data'), /no errors were found/)
    })
}

test('what our forget removed has its tombstone, which restic carries along', options, async () => {
  const { restic, bench, verify, latest, points: [, second], fingerprint } = await makeScene()
  // This host has another key: who has pinned the first believes no tombstone of the second.
  assert.equal((await bench.run('forget', second.point, '--prune')).code, 0)
  assert.deepEqual(await verify(second.point).catch(() => 'unknown'), 'unknown')
  assert.deepEqual((await latest())['result'], 'missing-link')
  const { lines } = await bench.runJson('show', second.point, '--verify')
  const found = lines.at(-1)?.['verification'] as { readonly result: string; signer: string }
  assert.equal(found.result, 'forgotten')
  assert.notEqual(found.signer, fingerprint)
  const both = await bench.runJson(
    'show', 'latest', '--verify', '--fingerprint', fingerprint, found.signer)
  const { chain } = (both.lines.at(-1)?.['verification'] ?? {}) as
    { readonly chain?: Readonly<Record<string, unknown>> }
  assert.deepEqual([both.code, chain], [0, { ...WHOLE, present: 3, forgotten: 1 }])
  assert.match(await restic('check', '--read-data'), /no errors were found/)
})

test('copies in another repository verify as they did', options, async () => {
  const { folder, points, fingerprint, shell } = await makeScene()
  const other = join(root, `other-${copies++}`)
  await writeFile(join(root, 'password'), PASSWORD)
  await shell(`restic -q init -r "$OTHER" --from-repo "$RESTIC_REPOSITORY" \\
      --from-password-file "$PASSWORD_FILE" --copy-chunker-params
    restic -q copy -r "$OTHER" --from-repo "$RESTIC_REPOSITORY" \\
      --from-password-file "$PASSWORD_FILE"`,
  { OTHER: other, PASSWORD_FILE: join(root, 'password') })
  assert.notEqual(other, folder)
  const copied = sceneOf(other, points, fingerprint)
  const found = await copied.latest()
  assert.deepEqual([found['result'], found['chain']], ['intact', WHOLE])
  assert.match(String(found['remarks']), /sealed in another repository/)
})

test('a point that was restored, changed and backed up by restic is not what was sealed',
  options, async () => {
    const { restic, verify, bench, shell, points: [first, , , fourth] } = await makeScene()
    await shell(`restic restore "$ID" --target . >/dev/null
      printf x | dd of=disks/vda/0000/00/seg bs=1 seek=8192 conv=notrunc status=none
      restic backup . --host web1 --tag stillpoint --tag grade=application >/dev/null`,
    { ID: fourth.snapshot })
    await restic('forget', fourth.snapshot)
    assert.deepEqual(await verify('latest'), ['altered-since-seal'])
    assert.deepEqual(await verify(first.point), [])
    const { lines } = await bench.runJson('points')
    const listed = lines.at(-1)?.['points'] as readonly Readonly<Record<string, unknown>>[]
    assert.deepEqual(listed.map(({ grade }) => grade).at(-1), 'torn')
  })

if (version !== undefined && version >= 16) {
  test('a point that restic rewrote or repaired is not what was sealed', limits, async () => {
    const rewritten = await makeScene()
    const [first, second] = rewritten.points
    await rewritten.restic(
      'rewrite', '--exclude', '/disks/vdb', '--forget', first.snapshot)
    assert.deepEqual(await rewritten.verify(first.point), ['altered-since-seal'])
    assert.deepEqual(await rewritten.verify(second.point), [])
    assert.match((await rewritten.bench.run('points')).stdout, /\/disks\/vdb is (gone|another)/)

    const repaired = await makeScene()
    await loseDisk(repaired)
    await repaired.restic('repair', 'index')
    await repaired.restic('repair', 'snapshots', '--forget')
    const [lost, ...others] = repaired.points
    for (const { point } of others) {
      assert.deepEqual(await repaired.verify(point), ['altered-since-seal', 'missing-link'])
    }
    // Its evidence was in that pack too.
    assert.deepEqual(await repaired.verify(lost.point), ['missing'])
  })
}

/** Removes the largest pack: it has the content of the disks. */
async function loseDisk({ folder, shell }: Scene): Promise<void> {
  await shell('find "$RESTIC_REPOSITORY/data" -type f -printf "%s %p\\n" | sort -n | tail -1 | ' +
    'cut -d" " -f2 | xargs rm')
  assert.ok((await readdir(join(folder, 'data'))).length > 0)
}

test('docs/evidence.md: what it says to do by hand gives what it says', options, async () => {
  const { shell, points: [, , third, fourth], fingerprint } = await makeScene()
  const page = await readFile(new URL('../../docs/evidence.md', import.meta.url), 'utf8')
  const script = /```sh\n([\s\S]*?)```/.exec(page)?.[1] ?? ''
  const told = await shell(`${script}\njq -r .predicate.previous payload`, { ID: fourth.snapshot })
  assert.match(told, new RegExp(`^${fingerprint} `, 'm'))
  assert.match(told, /^Signature Verified Successfully$/m)
  for (const disk of ['vda', 'vdb']) {
    const trees = [...told.matchAll(new RegExp(`^([0-9a-f]{64}) {2}/disks/${disk}$`, 'gm'))]
    assert.equal(trees.length, 2)
    assert.equal(trees[0]?.[1], trees[1]?.[1])
  }
  const machine = /^([0-9a-f]{64}) {2}\/machine\.json$/m.exec(told)?.[1]
  assert.match(told, new RegExp(`^${machine} {2}-$`, 'm'))
  assert.match(told, new RegExp(`^${fourth.evidenceDigest} {2}payload$`, 'm'))
  assert.ok(told.trimEnd().endsWith(third.evidenceDigest))
  // A changed payload is not verified by hand either.
  await assert.rejects(shell(script.replace('{ printf',
    'sed -i s/pointId/pointID/ payload\n{ printf'), { ID: fourth.snapshot }),
  { code: 'program-failed' })
})
