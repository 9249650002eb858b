/** Stock restic on the repositories of these tests. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { runProgram } from '../../src/base/program.ts'
import { PASSWORD, testFolder } from './rig.ts'

/** Runs restic and returns what it prints. */
export async function restic(
  t: TestContext, repositoryPath: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await runProgram('restic', ['--no-cache', '-r', repositoryPath, ...args], {
    signal: t.signal, maxOutputBytes: 16 * 1024 * 1024,
    env: { PATH: process.env['PATH'] ?? '', RESTIC_PASSWORD: PASSWORD, HOME: '/nonexistent' },
  })
  return Buffer.from(stdout).toString()
}

/** Carries out the commands of a point's RESTORE.txt; the folder with `<disk>.raw`. */
export async function restoreByText(
  t: TestContext, repositoryPath: string, snapshotId: string): Promise<string> {
  const text = await restic(t, repositoryPath, 'dump', snapshotId, '/RESTORE.txt')
  const script = text.split('\n')
    .filter((line) => !/^export RESTIC_|^ID=|^restic snapshots/.test(line)).join('\n')
  const where = await testFolder(t)
  await runProgram('bash', ['-e', '-c', commandsOf(script)], {
    signal: t.signal, cwd: where,
    env: {
      PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ID: snapshotId,
      RESTIC_PASSWORD: PASSWORD, RESTIC_REPOSITORY: repositoryPath,
    },
  })
  return where
}

/** The lines of RESTORE.txt that are commands: prose is told apart by its place above them. */
function commandsOf(text: string): string {
  const start = text.indexOf('set -o pipefail')
  assert.ok(start >= 0)
  return text.slice(start).split(/\n(?=[A-Z][a-z])/)[0] ?? ''
}
