/**
 * A Windows host of tests, seen from inside wine: the service behind the test's vssapi.dll, told
 * what to play, and its journal.
 */

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/base/clock.ts'
import type { VssScenario } from '../../src/providers/testing/vss/scenario.ts'
import { formatHresult } from '../../src/providers/vss/session/hresult.ts'

const SERVICE = fileURLToPath(new URL('../../.cache/windows/service.exe', import.meta.url))
const DEVICES = fileURLToPath(
  new URL('../../.cache/windows/globalroot/Device', import.meta.url))

/** Steps that end by an IVssAsync. */
const ASYNC_STEPS = [
  'GatherWriterMetadata', 'PrepareForBackup', 'GatherWriterStatus', 'DoSnapshotSet',
  'BackupComplete']

export interface TestHost {
  /** What the service noted: fields of a line. The first is the number of the session. */
  journal(): Promise<readonly (readonly string[])[]>
  /** The journal from the first line that `fits` on is there when this resolves. */
  until(fits: (line: readonly string[]) => boolean): Promise<void>
}

/**
 * Starts the service for `scenario`, and ends it when the test is over. Each volume holds its own
 * name as its bytes. `more` is lines of a script (script.h) beyond what a scenario can say.
 */
export async function startTestHost(
  t: TestContext, scenario: VssScenario, more: readonly string[] = []): Promise<TestHost> {
  const folder = await mkdtemp(join(tmpdir(), 'vss-'))
  const script = join(folder, 'script.txt')
  const journalFile = join(folder, 'journal.txt')
  const lines = [...await scriptOf(scenario, folder), ...more]
  await writeFile(script, lines.map((line) => `${line}\n`).join(''))
  await writeFile(journalFile, '')
  const service = spawn(SERVICE, [script, journalFile], { stdio: 'ignore' })
  let ended: string | undefined
  service.once('exit', (code) => { ended = `the test's VSS service ended with code ${code}` })
  t.after(async () => {
    if (ended === undefined) {
      const exited = new Promise<void>((resolve) => { service.once('exit', () => resolve()) })
      service.kill()
      await exited
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  const journal = async (): Promise<readonly (readonly string[])[]> =>
    (await readFile(journalFile, 'utf8')).split('\n').slice(0, -1).map((line) => line.split('\t'))
  const host: TestHost = {
    journal,
    until: async (fits) => {
      while (!(await journal()).some((line) => fits(line))) {
        if (ended !== undefined) throw new Error(ended)
        await systemClock.sleep(10, t.signal)
      }
    },
  }
  await host.until(([, word]) => word === 'ready')
  return host
}

/** Shadow copies that are there now: none is left by a test before. */
export function deviceExists(number: number): boolean {
  return existsSync(join(DEVICES, `HarddiskVolumeShadowCopy${number}`))
}

async function scriptOf(scenario: VssScenario, folder: string): Promise<readonly string[]> {
  const lines: string[] = []
  for (const [index, volume] of scenario.volumes.entries()) {
    const file = join(folder, `volume-${index}.raw`)
    await writeFile(file, volume)
    lines.push(['volume', volume, file].join('\t'))
  }
  for (const [index, writer] of scenario.writers.entries()) {
    const file = join(folder, `writer-${index}.xml`)
    await writeFile(file, writer.document)
    lines.push(
      ['writer', braced(writer.writerId), braced(writer.instanceId), writer.name, file].join('\t'))
    const { fails, silentFrom } = writer
    if (fails !== undefined) {
      lines.push(['at', writer.name, fails.at, 'fail', hex(fails.hresult), times(fails)].join('\t'))
    }
    if (silentFrom !== undefined) lines.push(['at', writer.name, silentFrom, 'silent'].join('\t'))
  }
  for (const failure of scenario.failures ?? []) {
    const kind = ASYNC_STEPS.includes(failure.step) ? 'finish' : 'call'
    lines.push([kind, failure.step, hex(failure.hresult), times(failure)].join('\t'))
  }
  return lines
}

function times(limit: { readonly times?: number }): string {
  return String(limit.times ?? 0)
}

function hex(hresult: number): string {
  return formatHresult(hresult).slice(2)
}

function braced(guid: string): string {
  return `{${guid.toUpperCase()}}`
}
