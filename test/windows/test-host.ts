/**
 * A Windows host of tests, seen from inside wine: the service behind the test's vssapi.dll, told
 * what to play, and its journal.
 */

import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/base/clock.ts'
import type { VssScenario } from '../../src/providers/testing/vss/scenario.ts'
import type { FailedComponent } from '../../src/providers/vss/session/transport.ts'
import { formatHresult } from '../../src/providers/vss/session/hresult.ts'

const SERVICE = fileURLToPath(new URL('../../.cache/windows/service.exe', import.meta.url))
const DEVICES = fileURLToPath(
  new URL('../../.cache/windows/globalroot/Device', import.meta.url))

/** Steps that end by an IVssAsync. */
const ASYNC_STEPS = [
  'GatherWriterMetadata', 'PrepareForBackup', 'GatherWriterStatus', 'DoSnapshotSet',
  'BackupComplete']

/** What a silent writer costs; 60 s on a real host. */
const WRITER_LIMIT_MS = 100

export interface TestHost extends AsyncDisposable {
  /** What the service noted: fields of a line. The first is the number of the session. */
  journal(): Promise<readonly (readonly string[])[]>
  /** The first line of the journal that `fits`, once it is there. */
  until(fits: (line: readonly string[]) => boolean): Promise<readonly string[]>
}

/**
 * Starts the service for `scenario`; disposing ends it. Each volume holds its own name as its
 * bytes, or what `content` says. `more` is lines of a script (script.h) beyond what a scenario can
 * say.
 */
export async function startTestHost(
  scenario: VssScenario, more: readonly string[] = [],
  content: (volume: string) => Uint8Array | string = (volume) => volume,
): Promise<TestHost> {
  const folder = await mkdtemp(join(tmpdir(), 'vss-'))
  const script = join(folder, 'script.txt')
  const journalFile = join(folder, 'journal.txt')
  const lines = [...await scriptOf(scenario, folder, content), ...more]
  await writeFile(script, lines.map((line) => `${line}\n`).join(''))
  await writeFile(journalFile, '')
  // A service that was killed with its test could not delete its own.
  await rm(DEVICES, { recursive: true, force: true })
  await mkdir(DEVICES)
  const service = spawn(SERVICE, [script, journalFile], { stdio: 'ignore' })
  let ended: string | undefined
  service.once('exit', (code) => { ended = `the test's VSS service ended with code ${code}` })
  const journal = async (): Promise<readonly (readonly string[])[]> =>
    (await readFile(journalFile, 'utf8')).split('\n').slice(0, -1).map((line) => line.split('\t'))
  const host: TestHost = {
    journal,
    until: async (fits) => {
      for (;;) {
        const found = (await journal()).find((line) => fits(line))
        if (found !== undefined) return found
        if (ended !== undefined) throw new Error(ended)
        await systemClock.sleep(10, new AbortController().signal)
      }
    },
    [Symbol.asyncDispose]: async () => {
      if (ended === undefined) {
        const exited = new Promise<void>((resolve) => { service.once('exit', () => resolve()) })
        service.kill()
        await exited
      }
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
  await host.until(([, word]) => word === 'ready')
  return host
}

/** Shadow copies that are there now. */
export function devicesLeft(): readonly string[] {
  return readdirSync(DEVICES)
}

async function scriptOf(
  scenario: VssScenario, folder: string, content: (volume: string) => Uint8Array | string,
): Promise<readonly string[]> {
  const lines: string[] = []
  for (const [index, volume] of scenario.volumes.entries()) {
    const file = join(folder, `volume-${index}.raw`)
    await writeFile(file, content(volume))
    lines.push(['volume', volume, file].join('\t'))
  }
  for (const [index, writer] of scenario.writers.entries()) {
    const file = join(folder, `writer-${index}.xml`)
    await writeFile(file, writer.document)
    const id = braced(writer.writerId)
    lines.push(['writer', id, braced(writer.instanceId), writer.name, file].join('\t'))
    const { fails, silentFrom } = writer
    if (fails !== undefined) {
      lines.push(['at', id, fails.at, 'fail', hex(fails.hresult), times(fails)].join('\t'))
      for (const it of fails.components ?? []) lines.push(saying(id, it))
    }
    if (silentFrom !== undefined) lines.push(['at', id, silentFrom, 'silent'].join('\t'))
  }
  for (const method of scenario.hangs ?? []) lines.push(`hang\t${method}`)
  lines.push(`limit\t${WRITER_LIMIT_MS}`)
  for (const failure of scenario.failures ?? []) {
    const kind = ASYNC_STEPS.includes(failure.step) ? 'finish' : 'call'
    lines.push([kind, failure.step, hex(failure.hresult), times(failure)].join('\t'))
  }
  return lines
}

function saying(writer: string, it: FailedComponent): string {
  const optional = (text: string | null | undefined): string =>
    text === null || text === undefined ? '-' : `=${text}`
  const { component: { logicalPath, name }, failure, applicationFailure, messages } = it
  const texts = messages.length === 1 ? [undefined, undefined, messages[0]] : messages
  return ['says', writer, optional(logicalPath), name, hex(failure), hex(applicationFailure),
    ...[0, 1, 2].map((at) => optional(texts[at]))].join('\t')
}

/** The journal as the contract of transports reads it (scenario.ts). */
export function contractLines(
  journal: readonly (readonly string[])[]): readonly string[] {
  return journal.flatMap(([session, kind, name = '', ...rest], at) => {
    const bare = (guid = ''): string => guid.slice(1, -1).toLowerCase()
    if (kind === 'event') return `${name} ${bare(rest[0])}`
    if (kind !== 'call') return []
    const [, , , code] = journal.slice(at).find(([of, word, method]) =>
      of === session && word === 'answered' && method === name) ?? []
    if (code !== '00000000') return []
    const path = (from: number): string =>
      `${rest[from] === '-' ? '-' : rest[from]?.slice(1)}|${rest[from + 1]}`
    switch (name) {
      case 'CreateVssBackupComponents': return 'Create'
      case 'SetContext': return `SetContext 0x${rest[0]}`
      case 'SetBackupState':
        return `SetBackupState components=${rest[0]} bootable=${rest[1]} type=${rest[2]} ` +
          `partial=${rest[3]}`
      case 'AddComponent': return `AddComponent ${bare(rest[1])} ${rest[2]} ${path(3)}`
      case 'AddToSnapshotSet': return `AddToSnapshotSet ${rest[0]}`
      case 'SetBackupSucceeded':
        return `SetBackupSucceeded ${bare(rest[1])} ${path(3)} ${rest[5]}`
      case 'StartSnapshotSet':
      case 'AbortBackup':
      case 'Release':
        return name
      default: return []
    }
  })
}

function times(limit: { readonly times?: number }): string {
  return String(limit.times ?? 0)
}

function hex(hresult: number): string {
  return formatHresult(hresult).slice(2)
}

/** As Windows writes a GUID: `{A65FAA63-…}`. */
export function braced(guid: string): string {
  return `{${guid.toUpperCase()}}`
}
