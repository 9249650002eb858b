/** The program itself, as a user of Windows starts it, and the place where it works. */

import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { DATA_VOLUME, SYSTEM_VOLUME } from '../../src/providers/testing/mod.ts'
import { braced } from './test-host.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const PROGRAMS = fileURLToPath(new URL('../../.cache/windows/programs', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

type Environment = Readonly<Record<string, string>>

export interface Running {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
  /** Resolves when its standard output fits. */
  says(what: RegExp): Promise<void>
}

export function startStillpoint(args: readonly string[], env: Environment = {}): Running {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
    env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  const listeners = new Set<() => void>()
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
    for (const listener of listeners) listener()
  })
  child.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString() })
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
  const says = (what: RegExp): Promise<void> => new Promise((resolve) => {
    listeners.add(() => { if (what.test(stdout)) resolve() })
  })
  return { process: child, ended, says }
}

export function stillpoint(args: readonly string[], env: Environment = {}): Promise<Ended> {
  return startStillpoint(args, env).ended
}

export interface Place {
  readonly folder: string
  readonly env: Environment
}

/** A folder with a repository that is not there yet, and what PowerShell answers. */
export async function placeFor(
  t: TestContext, volumeBytes: number,
  services: readonly { readonly name: string; readonly command: string }[] = [],
): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'host-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  const volumes = [['C:', SYSTEM_VOLUME], ['D:', DATA_VOLUME]].map(([letter, name]) => ({
    name, mounts: [], letter, fileSystem: 'NTFS', capacity: volumeBytes, partitionSize: null }))
  await writeFile(join(folder, 'volumes.json'), JSON.stringify({ ok: true, volumes }))
  await writeFile(join(folder, 'services.json'), JSON.stringify({ ok: true, services }))
  return { folder, env: {
    PATH: `${PROGRAMS};${process.env['PATH'] ?? ''}`, TEMP: folder, ProgramData: folder,
    RESTIC_REPOSITORY: join(folder, 'repository'), RESTIC_PASSWORD: 'secret' } }
}

/** Events that reached a writer, in their order. */
export function heard(
  journal: readonly (readonly string[])[], writerId: string): readonly string[] {
  return journal.filter(([, kind, , id]) => kind === 'event' && id === braced(writerId))
    .map(([, , event = '']) => event)
}
