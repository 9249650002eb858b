import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { runProgram } from '../../src/base/program.ts'
import { memorySink } from '../../src/disk/testing/mod.ts'
import { checkRepository, copyDisk } from '../../src/repository/mod.ts'
import {
  afterCommit, backup, newRepository, PASSWORD, pointsOf, readyGuest, testFolder, withRepository,
} from './rig.ts'

const LIMITS = { timeout: 240_000 }

function restic(t: TestContext, repository: string, ...args: readonly string[]): Promise<string> {
  return runProgram('restic', ['--no-cache', '-r', repository, ...args], {
    signal: t.signal, maxOutputBytes: 16 * 1024 * 1024,
    env: { PATH: process.env['PATH'] ?? '', RESTIC_PASSWORD: PASSWORD, HOME: '/nonexistent' },
  }).then(({ stdout }) => Buffer.from(stdout).toString())
}

async function isIdentical(t: TestContext, one: string, other: string): Promise<boolean> {
  const { code } = await runProgram('cmp', [one, other], { signal: t.signal, okCodes: [0, 1] })
  return code === 0
}

test('stock restic checks, restores and prunes what a live backup stored', LIMITS, async (t) => {
  const guest = await readyGuest(t)
  const repositoryPath = await newRepository(t)
  const folder = await testFolder(t)
  const witness = guest.witness
  await witness.until('20 rows', () => (witness.lastAcknowledged('rows')?.id ?? 0) >= 20, t.signal)

  // While the guest is frozen its disks are copied by another program, out of band.
  const copy = async (): Promise<void> => {
    for (const { id, path, format } of guest.disks) {
      await runProgram('qemu-img', [
        'convert', '-U', '-f', format, '-O', 'raw', path, join(folder, `virtio-${id}.copy`),
      ], { signal: t.signal })
    }
  }
  const first = await backup(t, {
    guest, repositoryPath, wrap: (platform) => afterCommit(platform, copy) })
  assert.equal(first.result.grade, 'filesystem')
  assert.ok('snapshotId' in first.stored)
  const rowsThen = witness.lastAcknowledged('rows')?.id ?? 0
  await witness.until('more rows',
    () => (witness.lastAcknowledged('rows')?.id ?? 0) >= rowsThen + 20, t.signal)
  const second = await backup(t, { guest, repositoryPath })
  assert.ok('snapshotId' in second.stored)

  await t.test('check --read-data by restic finds nothing', async (t) => {
    assert.match(await restic(t, repositoryPath, 'check', '--read-data'), /no errors were found/)
  })

  await t.test('the commands of RESTORE.txt, as written, give the disks back', async (t) => {
    const { stored } = first
    assert.ok('snapshotId' in stored)
    const text = await restic(t, repositoryPath, 'dump', stored.snapshotId, '/RESTORE.txt')
    const script = text.split('\n')
      .filter((line) => !/^export RESTIC_|^ID=|^restic snapshots/.test(line)).join('\n')
    const where = await testFolder(t)
    await runProgram('bash', ['-e', '-c', commandsOf(script)], {
      signal: t.signal, cwd: where,
      env: {
        PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ID: stored.snapshotId,
        RESTIC_PASSWORD: PASSWORD, RESTIC_REPOSITORY: repositoryPath,
      },
    })
    for (const disk of ['virtio-disk0', 'virtio-disk1']) {
      const [restored, copied] = [join(where, `${disk}.raw`), join(folder, `${disk}.copy`)]
      assert.ok(await isIdentical(t, restored, copied), disk)
    }
    // The other point differs, so that the comparison can fail.
    const [, point] = await pointsOf(repositoryPath, t)
    assert.ok(point?.state === 'readable')
    const later = await withRepository(repositoryPath, t, async (repository) => {
      await repository.loadIndex(t.signal)
      const [disk] = point.disks
      assert.ok(disk !== undefined)
      const bytes = Buffer.alloc(disk.sizeBytes)
      await copyDisk(repository, disk.treeId, disk, memorySink(bytes), {}, () => {}, t.signal)
      return bytes
    })
    assert.ok(!later.equals(await readFile(join(folder, 'virtio-disk0.copy'))))
  })

  await t.test('forget --prune by restic leaves what our own check finds whole', async (t) => {
    const { stored } = first
    assert.ok('snapshotId' in stored)
    await restic(t, repositoryPath, 'forget', '--prune', stored.snapshotId)
    const report = await withRepository(repositoryPath, t, (repository) =>
      checkRepository(repository, { readData: true }, () => {}, t.signal))
    assert.deepEqual(report.findings, [])
    const points = await pointsOf(repositoryPath, t)
    assert.deepEqual(points.map(({ snapshotId }) => snapshotId), [
      'snapshotId' in second.stored ? second.stored.snapshotId : ''])
  })
})

/** The lines of RESTORE.txt that are commands: prose is told apart by its place above them. */
function commandsOf(text: string): string {
  const start = text.indexOf('set -o pipefail')
  assert.ok(start >= 0)
  return text.slice(start).split(/\n(?=[A-Z][a-z])/)[0] ?? ''
}
