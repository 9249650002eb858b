/** A guest with four databases under load: backups of it, and the faults of an honest guest. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test, type TestContext } from 'node:test'
import type { BackupSummary } from '../../src/backup/mod.ts'
import {
  defaultCacheDir, hasFullGuest, type Redo, type RunningGuest,
} from '../../src/demo/mod.ts'
import { applicationRound, crashRound } from './application-rounds.ts'
import { ADMINISTRATOR, backupAll, inGuest, moreOfEach, setHook } from './full-guest.ts'
import { hookRound, turnHooksOn } from './hook-rounds.ts'
import { leftOvers } from './left-overs.ts'
import { PROGRAM } from './program.ts'
import { proveApplications } from './prove-applications.ts'
import { afterCommit, newRepository, PASSWORD, readyGuest, testFolder } from './rig.ts'

const { mariadb, postgres, redis } = ADMINISTRATOR
/** Judged before anything is read, and not stored. */
const REFUSED = { require: 'application', onWeaker: 'fail' } as const

const skip = process.getuid?.() === 0 || hasFullGuest(defaultCacheDir())
  ? false : 'the full guest can only be built by root'

test('four databases under load', { timeout: 900_000, skip }, async (t) => {
  const guest = await readyGuest(t, { kind: 'full' })
  const repositoryPath = await newRepository(t)
  const subject = { guest, repositoryPath }

  const crash = await crashRound(t, guest, repositoryPath)
  const round = (t: TestContext): Promise<void> => showRound(t, subject, crash)
  await t.test('a backup loses nothing that was acknowledged, and leaves less to recover', round)
  for (const fault of FAULTS) await t.test(fault.what, (t) => showFault(t, subject, fault))
  await t.test('an account without its right is exit 3 and a plain sentence', async (t) => {
    await inGuest(guest, mariadb('REVOKE RELOAD ON *.* FROM root@localhost'), t)
    const { code, said } = await backupByHand(t, subject)
    await inGuest(guest, mariadb('GRANT RELOAD ON *.* TO root@localhost'), t)
    assert.equal(code, 3, said)
    assert.match(said, /you need .*RELOAD/)
    assert.match(said, /Mariadb in \/disks\/data\/mariadb did not let its writer in/)
    await moreOfEach(guest, 1, t)
  })
  await t.test('after all of them the next backup is as good as the first', round)
  // The faults of hooks: test/long/hooks.long.ts.
  await t.test('its freeze hooks are installed and turned on', (t) => turnHooksOn(t, subject))
  await t.test('without its port its hooks hold all four', async (t) => {
    await hookRound(t, subject)
  })
  assert.deepEqual(await leftOvers(guest, t.signal), [])
})

async function showRound(
  t: TestContext, { guest, repositoryPath }: Subject, crash: Redo): Promise<void> {
  const { redo, summary } = await applicationRound(t, guest, repositoryPath)
  await proveApplications(t, repositoryPath, summary.pointId)
  const { code, said } = await byHand(t, repositoryPath, ['prove', summary.pointId, '--image'])
  assert.deepEqual([code, /^verdict: (.*)$/m.exec(said)?.[1]], [0, 'proven (application)'], said)
  assert.ok(redo.postgresql !== undefined && crash.postgresql !== undefined)
  assert.ok(redo.postgresql < crash.postgresql,
    `PostgreSQL had ${redo.postgresql} bytes to redo, and ${crash.postgresql} without us`)
}

interface Subject {
  readonly guest: RunningGuest
  readonly repositoryPath: string
}

interface HonestFault {
  readonly what: string
  /** Run in the guest before the backup. */
  readonly before?: string
  /** What the hook does; `SCRIPT` is the path of `script`. */
  readonly hook?: string
  readonly script?: string
  /** Run in the guest afterwards. */
  readonly after?: string
  readonly exclude?: readonly string[]
  readonly untilUndone?: boolean
  readonly grade: 'filesystem' | 'crash'
  /** Reasons that must be among those given: code, and whom it is about. */
  readonly reasons: readonly (readonly [string | RegExp, RegExp])[]
}

/** The connections of the agent are those of root; the first of them holds the lock. */
const KILL_LOCK = `id=$(${mariadb(
  "SELECT min(id) FROM information_schema.processlist WHERE user = 'root'")})
${mariadb('KILL $id')}`

/** Some at once, as each backup takes its time: they are told apart by whom they are about. */
const FAULTS: readonly HonestFault[] = [
  {
    what: 'a lock that was ended in the hold, a pause that another ended, a tablespace elsewhere',
    before: 'mkdir -p /mnt/far; mount -t tmpfs far /mnt/far; chown postgres: /mnt/far; ' +
      postgres("CREATE TABLESPACE far LOCATION '/mnt/far'"),
    hook: 'freeze-run:SCRIPT', script: `${KILL_LOCK}\n${redis('CLIENT UNPAUSE')}`,
    after: `${postgres('DROP TABLESPACE far')}; umount /mnt/far`,
    grade: 'filesystem',
    reasons: [['writer-hold-lost', /^mariadb /], ['writer-hold-lost', /^redis /],
      ['application-not-covered', /^postgres /]],
  },
  {
    what: 'an agent that is killed while its applications are held',
    hook: 'freeze-run:SCRIPT', script: 'kill -9 $(busybox pidof stillpoint-agent)',
    grade: 'filesystem',
    // MariaDB is asked last, after two that did not answer: by then its limit may have passed.
    reasons: [[/^writer-hold-(too-long|lost)$/, /^mariadb /], ['writer-hold-lost', /^redis /],
      ['writer-hold-lost', /^sqlite /]],
  },
  {
    what: 'a hold that passes the limit of the writers, and data on a disk that is not in the set',
    hook: 'freeze-sleep:12', exclude: ['virtio-data'],
    grade: 'filesystem',
    reasons: [['writer-hold-not-across', /^redis /], ['writer-hold-not-across', /^sqlite /],
      ['application-not-covered', /^postgres /], ['application-not-covered', /^mariadb /]],
  },
  {
    what: 'a hook of the guest agent that exits with 1', hook: 'freeze-exit:1',
    grade: 'crash', reasons: [['freeze-failed', /./]],
  },
  {
    what: 'a file system that is thawed behind our back', hook: 'freeze-undo:1', untilUndone: true,
    grade: 'crash', reasons: [['thaw-count-differs', /./]],
  },
]

async function showFault(
  t: TestContext, { guest, repositoryPath }: Subject, fault: HonestFault): Promise<void> {
  const { before, hook, script, after, untilUndone = false } = fault
  if (before !== undefined) await inGuest(guest, before, t)
  const path = '/run/stillpoint/fault'
  if (script !== undefined) await inGuest(guest, `cat >${path} <<'END'\n${script}\nEND`, t)
  if (hook !== undefined) await setHook(guest, hook.replace('SCRIPT', path), t)
  const summary = await backupAll(t, {
    guest, repositoryPath, settings: REFUSED, exclude: fault.exclude ?? [],
    ...(untilUndone ? {
      wrap: (platform) => afterCommit(platform, () => guest.witness.until(
        'it was thawed', (witness) => witness.lastAcknowledged('undone') !== undefined, t.signal)),
    } : {}),
  })
  if (hook !== undefined) await setHook(guest, '', t)
  if (after !== undefined) await inGuest(guest, after, t)
  t.diagnostic(`${summary.result.grade}: ${sentencesOf(summary).join(' ')}`)
  assert.equal(summary.result.grade, fault.grade)
  assert.deepEqual(summary.stored, { not: 'weaker-than-required' })
  for (const [code, who] of fault.reasons) {
    const isIt = (it: string): boolean => typeof code === 'string' ? it === code : code.test(it)
    assert.ok(summary.result.reasons.some((it) => isIt(it.code) && who.test(it.subject)),
      `${code} of ${who}: ${JSON.stringify(summary.result.reasons)}`)
  }
  await moreOfEach(guest, 1, t) // nothing stays held
}

const sentencesOf = ({ result }: BackupSummary): readonly string[] =>
  result.reasons.map(({ sentence }) => sentence)

/** As an operator does it. */
function backupByHand(
  t: TestContext, { guest, repositoryPath }: Subject): Promise<{ code: number; said: string }> {
  const { qmpSocket, secondQmpSocket, agentSocket, channelSocket } = guest
  return byHand(t, repositoryPath, [
    'backup', '--require', 'application', '--on-weaker', 'fail', '--on',
    `qemu:qmp=${qmpSocket},guardian-qmp=${secondQmpSocket},agent=${agentSocket},` +
      `channel=${channelSocket}`,
  ])
}

async function byHand(
  t: TestContext, repositoryPath: string, args: readonly string[],
): Promise<{ code: number; said: string }> {
  const folder = await testFolder(t)
  const child = spawn(PROGRAM, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env, RESTIC_REPOSITORY: repositoryPath, RESTIC_PASSWORD: PASSWORD,
      XDG_CONFIG_HOME: folder, XDG_STATE_HOME: folder },
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text: Buffer) => { said += text.toString() })
  }
  const code = await new Promise<number>((resolve) => {
    child.once('close', (code) => resolve(code ?? -1))
  })
  t.diagnostic(said)
  return { code, said }
}
