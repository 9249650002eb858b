/** Backups whose applications the freeze hooks of qemu-ga hold, and what can go wrong there. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { BackupSummary } from '../../src/backup/mod.ts'
import { deadline, systemClock as clock } from '../../src/base/clock.ts'
import { runProgram } from '../../src/base/program.ts'
import { parseToken, TOKEN_FILE } from '../../src/channel/mod.ts'
import type { RunningGuest } from '../../src/demo/mod.ts'
import { ADMINISTRATOR, inGuest, moreOfEach } from './full-guest.ts'
import { PROGRAM } from './program.ts'
import { backup, type BackupWishes } from './rig.ts'

const AGENT = '/usr/local/bin/stillpoint-agent'
const HOOKS = '/etc/qemu/fsfreeze-hook.d'
const CONFIG = '/etc/qemu/qemu-ga.conf'
/** Judged before anything is read, and not stored. */
const REFUSED = { require: 'application', onWeaker: 'fail' } as const
/** For an agent that is there to answer; one that is not never does. */
const ANSWER_MS = 10_000
const { mariadb } = ADMINISTRATOR

export interface HookSubject {
  readonly guest: RunningGuest
  readonly repositoryPath: string
}

/** Without a channel of ours: all that leads into the guest is qemu-ga. */
function backupByHooks(
  t: TestContext, subject: HookSubject, settings?: BackupWishes['settings'],
): Promise<BackupSummary> {
  return backup(t, { ...subject, byHooks: true, ...settings === undefined ? {} : { settings } })
}

/** As Debian's unit starts it, without `-F`; through itself, so somebody has to wait for it. */
export const RESTART_GUEST_AGENT = `busybox pidof qemu-ga >/run/old-qemu-ga
    busybox setsid sh -c 'sleep 3
    kill $(busybox pidof qemu-ga)
    while busybox pidof qemu-ga; do sleep 0.2; done
    read -r port </run/agent-port
    exec qemu-ga -m virtio-serial -p "$port" -t /run' </dev/null >/run/qemu-ga.log 2>&1 &`

async function restartGuestAgent(guest: RunningGuest, t: TestContext): Promise<void> {
  await inGuest(guest, RESTART_GUEST_AGENT, t)
  for (;;) {
    try {
      using limit = deadline(clock, ANSWER_MS, 'qemu-ga', t.signal) // it may be between two lives
      const [now, old] = (await inGuest(
        guest, 'busybox pidof qemu-ga; cat /run/old-qemu-ga', limit)).split('\n')
      if (now !== old) return
    } catch {
      t.signal.throwIfAborted()
    }
    await clock.sleep(200, t.signal)
  }
}

/** What `install` does in the machine, and the restart that it asks for. */
export async function turnHooksOn(t: TestContext, { guest }: HookSubject): Promise<void> {
  const said = await inGuest(guest,
    `${AGENT} install || [ $? = 3 ]; ls ${HOOKS}; cat ${CONFIG}`, t)
  assert.match(said, /^stillpoint$/m)
  assert.match(said, /^fsfreeze-hook = \/etc\/qemu\/fsfreeze-hook$/m)
  await restartGuestAgent(guest, t)
}

/** What `status` says in the machine is as it is. */
export async function showStatus(t: TestContext, { guest }: HookSubject): Promise<void> {
  const said = await inGuest(guest, `${AGENT} status || [ $? = 3 ]`, t)
  assert.match(said, /^hooks +qemu-ga runs the hook$/m)
}

/** All four are held by the hook, as the token of this very freeze says. */
export async function hookRound(t: TestContext, subject: HookSubject): Promise<BackupSummary> {
  const summary = await backupByHooks(t, subject)
  const { hold, applications: { discovery } } = summary.evidence
  t.diagnostic(`${summary.result.grade}: ${sentencesOf(summary)}; ${JSON.stringify(hold)}`)
  assert.equal(summary.result.grade, 'application', sentencesOf(summary))
  assert.ok(discovery.state === 'done')
  assert.match(discovery.by, /by the hooks of qemu-ga$/)
  for (const { name, writer } of discovery.applications.filter((it) => it.kind === 'protected')) {
    assert.ok(writer.contract === 'held' || writer.contract === 'recoverable', name)
    assert.ok(writer.thaw.state === 'thawed' && writer.thaw.heldThroughout, name)
    t.diagnostic(`${name}: ${writer.thaw.statement}`)
  }
  return summary
}

export interface HookFault {
  readonly what: string
  /** Scripts of the dispatcher beside ours, by name: they are run in the order of their names. */
  readonly scripts?: Readonly<Record<string, string>>
  /** Reasons that must be among those given: code, and whom it is about. */
  readonly reasons: readonly (readonly [string, RegExp])[]
}

const onFreeze = (script: string): string => `[ "$1" = freeze ] || exit 0\n${script}`

/** Debian's dispatcher says 0 whatever its scripts say. */
export const HOOK_FAULTS: readonly HookFault[] = [
  {
    what: 'a hook that exits with 1, as an application did not hold still',
    scripts: { 'a-kill': onFreeze(
      `for id in $(${mariadb("SELECT id FROM information_schema.processlist WHERE user = 'root' " +
        'AND id <> connection_id()')}); do ${mariadb('KILL $id')}; done`) },
    reasons: [['writer-failed', /^mariadb /], ['hook-failed', /^postgres /],
      ['hook-failed', /^redis /], ['hook-failed', /^sqlite /]],
  },
  {
    what: 'an agent that is killed while the hook holds its applications',
    scripts: { 'z-kill': onFreeze('kill -9 $(busybox pidof stillpoint-agent)') },
    reasons: [['writer-hold-lost', /^mariadb /], ['writer-hold-lost', /^redis /],
      ['writer-hold-lost', /^sqlite /]],
  },
]

export async function showHookFault(
  t: TestContext, subject: HookSubject, { scripts = {}, reasons }: HookFault): Promise<void> {
  const { guest } = subject
  for (const [name, text] of Object.entries(scripts)) {
    await inGuest(guest, `cat >${HOOKS}/${name} <<'END'\n#!/bin/sh\n${text}\nEND
chmod 755 ${HOOKS}/${name}`, t)
  }
  const summary = await backupByHooks(t, subject, REFUSED)
  await inGuest(guest, Object.keys(scripts).map((name) => `rm ${HOOKS}/${name}`).join('\n'), t)
  t.diagnostic(`${summary.result.grade}: ${sentencesOf(summary)}`)
  assert.equal(summary.result.grade, 'filesystem')
  for (const [code, who] of reasons) {
    assert.ok(summary.result.reasons.some((it) => it.code === code && who.test(it.subject)),
      `${code} of ${who}: ${JSON.stringify(summary.result.reasons)}`)
  }
  await moreOfEach(guest, 1, t) // nothing stays held
}

/** Told of a freeze and never of the thaw, the agent lets go by itself, and says so afterwards. */
export async function showThawThatNeverComes(
  t: TestContext, { guest }: HookSubject): Promise<void> {
  const said = await inGuest(guest, `${AGENT} hook freeze`, t)
  for (const name of ['postgres', 'mariadb', 'redis', 'sqlite']) assert.match(said, RegExp(name))
  await moreOfEach(guest, 1, t) // waits for as long as anything is locked
  await inGuest(guest, `${AGENT} hook thaw`, t)
  const { state, applications } = parseToken(
    Buffer.from(await inGuest(guest, `cat ${TOKEN_FILE}`, t)))
  assert.equal(state, 'thawed')
  const early = [...applications].flatMap(([name, { thawed }]) =>
    thawed?.state === 'thawed' && !thawed.heldThroughout ? [name.replace(/ .*/s, '')] : [])
  t.diagnostic(`released before they were asked: ${early.join(', ')}`)
  for (const name of ['mariadb', 'redis', 'sqlite']) assert.ok(early.includes(name), name)
}

/** qemu-ga as Debian starts it: it runs no hook, which is known before, and said with the cure. */
export async function showHooksIgnored(t: TestContext, subject: HookSubject): Promise<void> {
  const { guest } = subject
  await restartGuestAgent(guest, t)
  const summary = await backupByHooks(t, subject, REFUSED)
  t.diagnostic(`${summary.result.grade}: ${sentencesOf(summary)}`)
  assert.equal(summary.result.grade, 'filesystem')
  const codes = new Set(summary.result.reasons.map(({ code }) => code))
  assert.ok(codes.has('hook-ignored'), sentencesOf(summary))
  const said = await doctor(t, guest)
  t.diagnostic(said)
  assert.match(said, /qemu-ga runs without -F: hooks are ignored; run: stillpoint agent install/)
  await moreOfEach(guest, 1, t)
}

async function doctor(t: TestContext, guest: RunningGuest): Promise<string> {
  const { qmpSocket, agentSocket = '' } = guest
  const { stdout } = await runProgram(
    PROGRAM, ['doctor', '--on', `qemu:qmp=${qmpSocket},agent=${agentSocket}`],
    { signal: t.signal, okCodes: [0, 3] })
  return Buffer.from(stdout).toString()
}

function sentencesOf({ result }: BackupSummary): string {
  return result.reasons.map(({ sentence }) => sentence).join(' ')
}
