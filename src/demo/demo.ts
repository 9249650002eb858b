/**
 * `stillpoint demo`: a real guest, a backup while it works, a hard kill, a restore, and the proof
 * that nothing acknowledged was lost. The program is run as a child, as a person would run it.
 */

import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { quietEnvironment } from '../base/program.ts'
import type { RandomBytes } from '../base/random.ts'
import { formatBytes, formatMs } from '../base/text.ts'
import { gradeOf, heldMs, isWeaker, stalledMs, type Evidence } from '../consistency/mod.ts'
import { defaultCacheDir } from './cache.ts'
import { command, stillpoint, stillpointProgram, type Shell } from './commands.ts'
import { buildFullGuest, hasFullGuest } from './full-image.ts'
import type { GuestDisk, GuestDiskOptions } from './disk-images.ts'
import { backupFigures, captureWindow, shownEvidence, type BackupFigures } from './report-json.ts'
import { checkRows, type Finding } from './row-check.ts'
import { startGuest, type GuestKind, type RunningGuest } from './running-guest.ts'
import { Story } from './story.ts'
import { buildTinyGuest, hasTinyGuest } from './tiny-image.ts'
import type { Witness } from './witness.ts'

export interface DemoOptions {
  readonly guest: GuestKind
  /** Takes the story, line ends included. */
  readonly write: (text: string) => void
  /** Default `.cache/guests` of the checkout. */
  readonly cacheDir?: string
  /** Called with the restored images before they are booted: lets a test spoil them. */
  readonly spoil?: (disks: readonly GuestDiskOptions[]) => Promise<void>
}

export interface DemoContext {
  readonly clock: Clock
  readonly random: RandomBytes
}

/** What the steps share. */
interface Stage {
  readonly kind: GuestKind
  readonly shell: Shell
  readonly story: Story
  readonly clock: Clock
  readonly cacheDir: string
}

/** What there is to say of each kind of guest, and the tables that it tells its witness of. */
const KINDS = {
  tiny: {
    tables: ['rows', 'canary'],
    building: 'Building a small Linux machine from Debian packages (35 MB, once)',
    works: [
      'It writes rows into SQLite databases on two disks, each row a commit of its own, and',
      'tells this host of every row that is durable:',
    ],
    build: buildTinyGuest,
    isBuilt: hasTinyGuest,
  },
  full: {
    tables: ['rows', 'orders', 'payments', 'events'],
    building: 'Building a Debian machine with four databases (190 MB, minutes, once)',
    works: [
      'It writes into SQLite (rows), PostgreSQL (orders), MariaDB (payments) and Redis (events),',
      'each row a commit of its own, and tells this host of every row that is acknowledged:',
    ],
    build: buildFullGuest,
    isBuilt: hasFullGuest,
  },
} as const
/** Rows to wait for between the steps: about a second's worth. */
const SOME_ROWS = 40

/**
 * Tells the whole story. Leaves the repository with its password in a new folder that it names;
 * guests are dead and their disks gone when it returns. Faults: `demo-failed` if a check does not
 * hold, else those of the steps; then everything stays for a closer look, but the guests.
 */
export async function runDemo(
  options: DemoOptions, context: DemoContext, signal: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-demo-'))
  const story = new Story(options.write, context.clock)
  const stage: Stage = {
    kind: options.guest,
    shell: await prepareShell(folder, story, context),
    story,
    clock: context.clock,
    cacheDir: options.cacheDir ?? defaultCacheDir(),
  }
  try {
    const findings = await tell(stage, options, signal)
    const broken = findings.filter(({ holds }) => !holds)
    if (broken.length > 0) {
      throw new Fault('demo-failed', `${broken.length} of ${findings.length} checks do not hold`, {
        advice: `Keep ${folder} and report it: this is a fault of Stillpoint or of this host.` })
    }
  } catch (error) {
    story.chapter('It ended early')
    story.say(`Everything is in ${folder}; what the guests said is in first/serial.log,`)
    story.say('first/qemu.log, second/serial.log and second/qemu.log there.')
    throw error
  }
}

async function prepareShell(
  folder: string, story: Story, { random }: DemoContext): Promise<Shell> {
  const password = Buffer.from(random(24)).toString('base64url')
  await writeFile(join(folder, 'password'), `${password}\n`, { mode: 0o600 })
  const settings = { RESTIC_REPOSITORY: 'repository', RESTIC_PASSWORD_FILE: 'password' }
  story.say('Stillpoint backs up a machine that keeps working, and proves what the backup holds.')
  story.say(`Here "stillpoint" is ${stillpointProgram()},`)
  story.say('and all happens in a new folder:')
  story.say('')
  story.say(`$ cd ${folder}`)
  for (const [name, value] of Object.entries(settings)) story.say(`$ export ${name}=${value}`)
  // The evidence key of the demonstration stays with it.
  const places = { XDG_CONFIG_HOME: join(folder, 'config'), XDG_STATE_HOME: join(folder, 'state') }
  return { folder, env: { ...quietEnvironment(), ...settings, ...places }, story }
}

async function tell(
  stage: Stage, options: DemoOptions, signal: AbortSignal): Promise<readonly Finding[]> {
  const { story, shell } = stage
  const { witness, disks, evidence, figures } = await liveAndDie(stage, signal)
  const restored = await restore(stage, disks, signal)
  await options.spoil?.(restored)
  const findings = await proveRestored(stage, restored, witness, evidence, signal)
  for (const spent of ['first', 'second', 'restored']) {
    if (findings.every(({ holds }) => holds)) {
      await rm(join(shell.folder, spent), { recursive: true, force: true })
    }
  }
  story.chapter('What was measured')
  story.figures(figureRows(figures, evidence))
  await tellRestic(stage, signal)
  return findings
}

/** The first machine's life: it works, is backed up twice, and is killed. */
async function liveAndDie(stage: Stage, signal: AbortSignal): Promise<{
  readonly witness: Witness
  readonly disks: readonly GuestDisk[]
  readonly evidence: Evidence
  readonly figures: BackupFigures
}> {
  const { story, shell, kind } = stage
  await using guest = await bootGuest(stage, signal)
  story.chapter('Two backups while it works')
  const fingerprint = /^ {2}([0-9a-f]{64})$/m.exec(
    await stillpoint(shell, ['init'], {}, signal))?.[1] ?? ''
  const channel = guest.channelSocket === undefined ? '' : ',channel=first/channel'
  const machine = [
    kind, '--on', `qemu:qmp=first/qmp,guardian-qmp=first/qmp2,agent=first/agent${channel}`]
  await stillpoint(shell, ['backup', ...machine], {}, signal)
  await moreRows(guest, signal)
  story.say(`The machine has written on, to row ${rowCount(guest)}. Again, for programs to read:`)
  const figures = backupFigures(
    await stillpoint(shell, ['backup', ...machine, '--json'], { silent: true }, signal))
  await stillpoint(shell, ['points'], {}, signal)
  await stillpoint(shell, ['show', 'latest'], {}, signal)
  story.say('Is it what was sealed, and signed by the key whose fingerprint init printed?')
  await stillpoint(
    shell, ['show', 'latest', '--verify', '--fingerprint', fingerprint], {}, signal)
  const evidence = shownEvidence(
    await stillpoint(shell, ['show', 'latest', '--json'], { silent: true }, signal))

  story.chapter('Disaster')
  await moreRows(guest, signal)
  await guest.kill()
  story.say(`QEMU is killed (SIGKILL) when the machine is at row ${rowCount(guest)},`)
  story.say('and its disks are deleted.')
  for (const { path } of guest.disks) await rm(path)
  return { witness: guest.witness, disks: guest.disks, evidence, figures }
}

async function bootGuest(stage: Stage, signal: AbortSignal): Promise<RunningGuest> {
  const { kind, story, cacheDir, shell, clock } = stage
  const { building, build, isBuilt, works } = KINDS[kind]
  story.chapter('A machine at work')
  if (!isBuilt(cacheDir)) await story.step<unknown>(building, () => build(cacheDir, signal))
  const folder = join(shell.folder, 'first')
  await mkdir(folder)
  const guest = await startGuest({ kind, folder, cacheDir }, clock, signal)
  try {
    const how = guest.accelerator === 'kvm' ? 'with KVM' : 'on an emulated processor, without KVM'
    await story.step(`Booting it in QEMU ${how}`, () => guest.waitUntilReady(signal))
    await moreRows(guest, signal)
  } catch (error) {
    await guest.kill()
    throw error
  }
  story.say(works[0])
  story.say(`${works[1]} ${rowCount(guest)} so far.`)
  return guest
}

async function restore(
  { story, shell }: Stage, disks: readonly GuestDisk[],
  signal: AbortSignal): Promise<readonly GuestDiskOptions[]> {
  story.chapter('Restore')
  const args = ['restore', 'latest', '--to', 'restored', '--format', 'qcow2']
  await stillpoint(shell, args, {}, signal)
  return disks.map(({ id, deviceId }) => {
    const path = join(shell.folder, 'restored', `${deviceId}.qcow2`)
    if (!existsSync(path)) throw new Fault('not-found', `restore made no ${path}`)
    return { id, path, format: 'qcow2' }
  })
}

async function proveRestored(
  { kind, story, clock, cacheDir, shell }: Stage, disks: readonly GuestDiskOptions[],
  witness: Witness, evidence: Evidence, signal: AbortSignal): Promise<readonly Finding[]> {
  const folder = join(shell.folder, 'second')
  await mkdir(folder)
  await using guest = await startGuest({ kind, folder, disks, cacheDir }, clock, signal)
  await story.step('Booting a new machine from the restored disks',
    () => guest.waitUntilReady(signal))
  story.chapter('Is everything there?')
  const findings = checkRows(guest.witness.boot, {
    tables: KINDS[kind].tables, witness, captured: captureWindow(evidence),
    claimsFrozen: !isWeaker(gradeOf(evidence).grade, 'filesystem'),
  })
  story.findings(findings)
  if (findings.every(({ holds }) => holds)) {
    await moreRows(guest, signal)
    story.say(`The restored machine works: it has gone on to row ${rowCount(guest)}.`)
  }
  return findings
}

function figureRows(
  figures: BackupFigures, evidence: Evidence): readonly (readonly [string, string])[] {
  const time = (ms: number | null): string => (ms === null ? 'nothing was held' : formatMs(ms))
  const { grade, reasons } = gradeOf(evidence)
  const [first, ...others] = reasons.map(({ sentence }) => sentence)
  return [
    ['Writes held', time(heldMs(evidence.hold))],
    ['Guest stalled, agent and hooks included', time(stalledMs(evidence.hold))],
    ['Captured by', evidence.instant.method],
    ['Second backup', `${figures.mode}, ${formatMs(figures.durationMs)}`],
    ['Read from the disks', formatBytes(figures.bytesRead)],
    ['Added to the repository', formatBytes(figures.bytesAdded)],
    ['Grade', grade],
    ['Why not higher', first ?? 'it is the highest'],
    ...others.map((sentence): readonly [string, string] => ['', sentence]),
  ]
}

async function tellRestic({ kind, story, shell }: Stage, signal: AbortSignal): Promise<void> {
  story.chapter('Without Stillpoint')
  story.say('The repository is restic\'s own format. Stock restic opens, checks and restores it:')
  await command(shell, 'restic', ['snapshots', '--compact'], signal)
  await command(shell, 'restic', ['check', '--read-data'], signal)
  story.say('')
  story.say(`The repository stays in ${shell.folder};`)
  story.say('remove that folder when you have seen enough.')
  story.say('To look around with restic, from anywhere:')
  const { folder } = shell
  const options = `-r ${join(folder, 'repository')} -p ${join(folder, 'password')}`
  story.say(`$ restic ${options} ls latest --host ${kind}`)
  story.say(`$ restic ${options} dump latest --host ${kind} /RESTORE.txt`)
}

const rowCount = (guest: RunningGuest): number => guest.witness.lastAcknowledged('rows')?.id ?? 0

async function moreRows(guest: RunningGuest, signal: AbortSignal): Promise<void> {
  const heard = (): number => guest.witness.acknowledged('rows').length
  const wanted = heard() + SOME_ROWS
  await guest.witness.until(`${SOME_ROWS} more rows`, () => heard() >= wanted, signal)
}
