/**
 * The agent of Stillpoint in a machine: brought there, looked at and taken away through what the
 * platform has inside (`GuestAccess`). What is done there in the end is done by the agent's own
 * verbs (docs/agent.md), so that both ways leave the same.
 */

import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { Fault } from '../base/fault.ts'
import { fileDigest, type FileDigest } from '../base/file-digest.ts'
import { printable } from '../base/text.ts'
import type { GuestAccess } from '../catalog/mod.ts'
import type { GuestExit } from '../consistency/mod.ts'
import type { EngineContext } from './context.ts'
import { findMachine, openMachine, type MachineChoice } from './find-machine.ts'

const EXECUTABLE = '/usr/local/bin/stillpoint-agent'
/** Root's alone, and on a file system from which programs may be run, which /tmp may not be. */
const UPLOADS = '/usr/local/bin/.stillpoint-upload'

/** Programs of a second where the processor is not emulated and the disk is idle. */
const SHORT_MS = 60_000
/** Unpacking 128 MB and hashing them, the agent's own install, which may wait for a hold to end. */
const LONG_MS = 300_000

export interface AgentInstall extends MachineChoice {
  /** Path of the executable for the guest. */
  readonly executable: string
  readonly onCopied: (progress: { readonly doneBytes: number; readonly totalBytes: number }) => void
}

export interface AgentOutcome {
  readonly machine: string
  /** True if the executable was brought there; false: the same one was there. */
  readonly isCopied: boolean
  /** What the agent's own verb said, a line each; foreign text. */
  readonly said: readonly string[]
  /** False: something is left to do, which it said. */
  readonly isComplete: boolean
}

/**
 * Brings the agent into a machine, unless the same one is there, and has it install itself. Killed
 * or failed at any step it leaves a folder that the next run removes, and what was there before.
 * Faults: as `openGuest`; `agent-refused` where the guest does not allow it, with what to do by
 * hand; `unsupported`, `program-failed`, `timed-out`.
 */
export async function installGuestAgent(
  request: AgentInstall, context: EngineContext, signal: AbortSignal): Promise<AgentOutcome> {
  return inGuest(request, 'install', context, signal, async (guest, machine) => ({
    machine, ...await bringAgent(guest, request, '', signal) }))
}

/** How it stands, by what the agent in the machine says of itself. Faults: as above. */
export async function guestAgentStatus(
  request: MachineChoice, context: EngineContext, signal: AbortSignal): Promise<AgentOutcome> {
  return inGuest(request, 'status', context, signal, async (guest, machine) =>
    ({ machine, isCopied: false, ...await verb(guest, 'status', signal) }))
}

/** Takes it away; its configuration stays. Faults: as above. */
export async function uninstallGuestAgent(
  request: MachineChoice, context: EngineContext, signal: AbortSignal): Promise<AgentOutcome> {
  return inGuest(request, 'uninstall', context, signal, async (guest, machine) => {
    await removeUploads(guest, '')
    return { machine, isCopied: false, ...await verb(guest, 'uninstall', signal) }
  })
}

async function inGuest(
  choice: MachineChoice, action: 'install' | 'status' | 'uninstall', context: EngineContext,
  signal: AbortSignal, run: (guest: GuestAccess, machine: string) => Promise<AgentOutcome>,
): Promise<AgentOutcome> {
  const place = findMachine(choice, context)
  await using opened = await openMachine(place, context, signal)
  const { platform, machine } = opened
  if (platform.openGuest === undefined) {
    throw new Fault('unsupported',
      `nothing can be done inside machines on ${platform.kind}`, { advice: byHand(action) })
  }
  await using guest = await platform.openGuest(machine, signal)
  if (guest.forbidden.length > 0) {
    const names = guest.forbidden.map((name) => printable(name, 40)).join(', ')
    throw new Fault('agent-refused',
      `${printable(guest.agent, 100)} in ${printable(machine, 64)} does not allow ${names}`, {
        advice: byHand(action) })
  }
  return await run(guest, machine)
}

function byHand(action: 'install' | 'status' | 'uninstall'): string {
  return action === 'install'
    ? 'Copy the executable of the agent to the machine and run there, as root: ' +
      './stillpoint-agent install'
    : `Run in the machine, as root: ${EXECUTABLE} ${action}`
}

/** The verb of the agent that is installed; exit code 3 where none is. */
async function verb(
  guest: GuestAccess, name: 'status' | 'uninstall', signal: AbortSignal,
): Promise<Pick<AgentOutcome, 'said' | 'isComplete'>> {
  const isThere = await shell(guest, 'test -x "$1"', [EXECUTABLE], signal)
  if (isThere.code !== 0) {
    return { said: ['not installed'], isComplete: name === 'uninstall' }
  }
  return told(await guest.run(EXECUTABLE, [name], LONG_MS, signal), name)
}

/** `root` is put before all paths, for tests. Exported for them. */
export async function bringAgent(
  guest: GuestAccess, { executable, onCopied }: Pick<AgentInstall, 'executable' | 'onCopied'>,
  root: string, signal: AbortSignal,
): Promise<Omit<AgentOutcome, 'machine'>> {
  const { digest, sizeBytes } = await measure(executable)
  await removeUploads(guest, root) // of a run that was killed
  const installed = `${root}${EXECUTABLE}`
  if (await guestDigest(guest, installed, signal) === digest) {
    return { isCopied: false,
      ...told(await guest.run(installed, ['install'], LONG_MS, signal), 'install') }
  }
  const hasGzip = await look(guest, signal)
  try {
    const uploaded = await upload(
      guest, { executable, digest, sizeBytes, hasGzip, onCopied, root }, signal)
    const done = await guest.run(uploaded, ['install'], LONG_MS, signal)
    return { isCopied: true, ...told(done, 'install') }
  } finally {
    await removeUploads(guest, root).catch(() => {}) // the next run removes it
  }
}

/** True if the guest has gzip. Fault: `unsupported` if the agent cannot run or be checked there. */
async function look(guest: GuestAccess, signal: AbortSignal): Promise<boolean> {
  const { stdout } = await shell(guest, 'uname -sm; for it in sha256sum gzip; do ' +
    'command -v $it >/dev/null && echo $it; done', [], signal)
  const [system = '', ...programs] = stdout.split('\n')
  const own = `Linux ${process.arch === 'x64' ? 'x86_64' : 'aarch64'}`
  if (system !== own) {
    throw new Fault('unsupported',
      `the machine runs ${printable(system, 60)}, and the agent is for ${own}`)
  }
  if (!programs.includes('sha256sum')) {
    throw new Fault('unsupported', 'the machine has no sha256sum to check the copy with', {
      advice: byHand('install') })
  }
  return programs.includes('gzip')
}

interface Upload extends Pick<AgentInstall, 'executable' | 'onCopied'> {
  readonly digest: string
  readonly sizeBytes: number
  readonly hasGzip: boolean
  readonly root: string
}

/** The path of the executable there, whole, its digest taken by the guest. */
async function upload(
  guest: GuestAccess, { executable, digest, sizeBytes, hasGzip, onCopied, root }: Upload,
  signal: AbortSignal,
): Promise<string> {
  const folder = `${root}${UPLOADS}`
  const path = `${folder}/stillpoint-agent`
  await shellOrFault(guest, 'mkdir -p "$(dirname "$1")" && mkdir -m 700 "$1"', [folder], signal)
  let readBytes = 0
  const source = async function* (): AsyncGenerator<Uint8Array> {
    for await (const part of createReadStream(executable, { highWaterMark: 256 * 1024 })) {
      readBytes += (part as Buffer).length
      yield part as Buffer
    }
  }
  const content = hasGzip ? compressed(source()) : source()
  await guest.write(hasGzip ? `${path}.gz` : path, content,
    () => onCopied({ doneBytes: readBytes, totalBytes: sizeBytes }), signal)
  if (hasGzip) {
    await shellOrFault(guest, 'gzip -dc "$1.gz" >"$1" && rm "$1.gz"', [path], signal)
  }
  await shellOrFault(guest, 'chmod 700 "$1"', [path], signal)
  const arrived = await guestDigest(guest, path, signal)
  if (arrived !== digest) {
    throw new Fault('program-failed',
      'the agent was not the same any more when it had been copied into the guest', {
        retry: 'later' })
  }
  return path
}

async function* compressed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gzip = createGzip({ level: 6 })
  const fed = pipeline(source, gzip) // ends too when nobody wants more of it
  fed.catch(() => {})
  for await (const part of gzip) yield part as Buffer
  await fed
}

async function measure(path: string): Promise<FileDigest> {
  try {
    return await fileDigest(path)
  } catch (cause) {
    throw new Fault('io-error', `${printable(path, 200)} cannot be read`, { cause })
  }
}

/** Undefined where there is no such file or no sha256sum. */
async function guestDigest(
  guest: GuestAccess, path: string, signal: AbortSignal): Promise<string | undefined> {
  const { stdout } = await shell(guest, 'sha256sum <"$1"', [path], signal, LONG_MS)
  return /^[0-9a-f]{64}(?=\s)/.exec(stdout)?.[0]
}

/** Keeps its own deadline: a run that was interrupted cleans up too. */
async function removeUploads(guest: GuestAccess, root: string): Promise<void> {
  await shell(guest, 'rm -rf "$1"', [`${root}${UPLOADS}`], new AbortController().signal)
}

/** A fixed script with paths as its parameters: nothing foreign is ever part of a command. */
function shell(
  guest: GuestAccess, script: string, parameters: readonly string[], signal: AbortSignal,
  limitMs = SHORT_MS,
): Promise<GuestExit> {
  return guest.run('/bin/sh', ['-c', script, 'sh', ...parameters], limitMs, signal)
}

async function shellOrFault(
  guest: GuestAccess, script: string, parameters: readonly string[], signal: AbortSignal,
): Promise<void> {
  const { code, stderr } = await shell(guest, script, parameters, signal, LONG_MS)
  if (code === 0) return
  throw new Fault('program-failed',
    `the agent could not be put into the guest: ${printable(stderr.trim(), 300)}`)
}

function told(
  { code, stdout, stderr }: GuestExit, name: string,
): Pick<AgentOutcome, 'said' | 'isComplete'> {
  const said = stdout.split('\n').filter((line) => line !== '').slice(0, 300)
  if (code === 0 || code === 3) return { said, isComplete: code === 0 }
  throw new Fault('program-failed',
    `stillpoint-agent ${name} failed in the guest: ${printable(stderr.trim(), 1000)}`)
}
