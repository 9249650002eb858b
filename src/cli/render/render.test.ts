import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackupSummary } from '../../backup/mod.ts'
import { Fault } from '../../base/fault.ts'
import type { ListedPoint, MachineSummary } from '../../catalog/mod.ts'
import {
  decodeEvidence, encodeEvidence, gradeOf, judge, type Evidence,
} from '../../consistency/mod.ts'
import { sampleApplication, sampleEvidence, testSigner } from '../../consistency/testing/mod.ts'
import { SAMPLE_SNAPSHOT_ID, samplePoint, sampleVerdict } from '../testing/sample-point.ts'
import { gradeLine, renderBackup } from './backup-text.ts'
import { renderCheck } from './check-text.ts'
import { renderMachines } from './machines-table.ts'
import { renderPoint } from './point-page.ts'
import { renderPoints } from './points-table.ts'
import { progressLine } from './progress-line.ts'
import { renderTable } from './table.ts'
import { ageWords } from './words.ts'

const MIB = 1024 * 1024
const SNAPSHOT = SAMPLE_SNAPSHOT_ID.slice(0, 8)

const NO_AGENT: Partial<Evidence> = {
  hold: { by: 'nobody', reason: 'agent-silent', detail: 'no answer in 5 s' },
  applications: {
    declaredNone: false, discovery: { state: 'impossible', reason: 'no channel' } },
}

function summaryOf(changes: Partial<Evidence>, more: Partial<BackupSummary> = {}): BackupSummary {
  const evidence = sampleEvidence(changes)
  const result = gradeOf(evidence)
  return {
    pointId: evidence.pointId, machine: 'db1', stored: {
      snapshotId: SAMPLE_SNAPSHOT_ID, digest: 'd'.repeat(64), sequence: 1, previous: null },
    evidence, result, judgement: judge(result, evidence.policy), method: 'qmp-transaction',
    heldMs: 30, stalledMs: 55, mode: 'full', modeReason: 'its first backup',
    sizeBytes: 1025 * MIB, bytesRead: 800 * MIB, bytesAdded: 300 * MIB, durationMs: 12_345, ...more,
  }
}

test('a table is as wide as its cells, without blanks at the ends', () => {
  assert.deepEqual(
    renderTable([{ title: 'A' }, { title: 'SIZE', align: 'right' }, { title: 'B' }],
      [['long', '1', 'x'], ['b', '23456', '']]),
    ['A      SIZE  B', 'long      1  x', 'b     23456'])
})

test('a backup of the best grade', () => {
  assert.equal(renderBackup(summaryOf({})), `\
restore point 0b5e7a52 of db1 is stored (restic snapshot ${SNAPSHOT})
  disks  1.0 GiB, whole
  held   writes for 30 ms (55 ms from the request to the guest's last answer)
  read   800 MiB (full: its first backup)
  added  300 MiB to the repository
  took   12.3 s
  applications
    redis  application; held still, recovers by itself
grade: application. There is no higher one.`)
})

test('files that were left out are said after a backup and of its point', () => {
  const changes: Partial<Evidence> = { reading: {
    state: 'finished', instant: { intact: true }, disks: [
      { diskId: 'vda', bytesRead: 1, base: { full: 'not-tracked' },
        filesAsZeros: { files: 2, bytes: 1 << 20 } },
      { diskId: 'vdb', bytesRead: 1, base: { full: 'not-tracked' },
        filesAsZeros: { files: 1, bytes: 1 << 20 } }] } }
  assert.match(renderBackup(summaryOf(changes)),
    /^ {2}zeros +3 files of 2\.0 MiB are zeros: vss-not-read\.json in the point lists them$/m)
  const shown = renderPoint({ point: samplePoint(changes), verdict: undefined }, 0)
  assert.match(shown, /^ {2}vda .*; 2 files of 1\.0 MiB are zeros, as vss-not-read\.json/m)
  assert.match(shown, /^ {2}vdb .*; 1 file of 1\.0 MiB is zeros, as vss-not-read\.json/m)
  assert.deepEqual(decodeEvidence(encodeEvidence(sampleEvidence(changes))), sampleEvidence(changes))
})

test('what nobody can hold is named with what can be done about it', () => {
  const found = (name: string, kind: 'protected' | 'incidental', detail: string) =>
    sampleApplication({
      name, kind, recovery: 'none', writer: { contract: 'none', reason: 'no-writer', detail } })
  const changes: Partial<Evidence> = { applications: {
    declaredNone: false, discovery: { state: 'done', by: 'a test', applications: [
      found('MongoDB', 'protected', 'Hold it by \u001b[2J a script.'),
      found('Access database a.mdb', 'incidental', '')] } } }
  const shown = renderPoint({ point: samplePoint(changes), verdict: undefined }, 0)
  assert.ok(shown.includes(`\
  MongoDB: filesystem; no writer, so its files are as after a crash, does not recover by itself
    what can be done: "Hold it by \\x1b[2J a script."
    its data lies on vdb
  Access database a.mdb: filesystem; no writer, so its files are as after a crash, does not \
recover by itself (no service; it counts for no grade)
    No writer can tell Access database a.mdb to hold still.
      to raise it: Stop it for the backup, or rely on its own recovery.
`), shown)
  assert.match(renderBackup(summaryOf(changes)),
    /a\.mdb .* \(no service; it counts for no grade\)\n/)
})

test('a backup that is weaker than the machine has been says so before its grade', () => {
  assert.equal(renderBackup(summaryOf(NO_AGENT, { heldMs: null, stalledMs: null })), `\
restore point 0b5e7a52 of db1 is stored (restic snapshot ${SNAPSHOT})
  disks  1.0 GiB, whole
  held   nothing; the disks were captured at one instant all the same
  read   800 MiB (full: its first backup)
  added  300 MiB to the repository
  took   12.3 s
LESS THAN REQUIRED, and stored all the same (--on-weaker keep):
  The grade is crash, application is required (its best grade so far). The guest agent does not \
answer: no answer in 5 s.
grade: crash. Why not higher: The guest agent does not answer: no answer in 5 s.`)
})

test('a backup that was not stored begins and ends with what matters', () => {
  const text = renderBackup(summaryOf({
    ...NO_AGENT, policy: { require: 'application', origin: 'operator', onWeaker: 'fail' },
  }, { stored: { not: 'weaker-than-required' } })).split('\n')
  assert.equal(text[0], 'NOT STORED: db1 has no new restore point')
  assert.equal(text.at(-3), 'LESS THAN REQUIRED, so it was not stored:')
  assert.match(text.at(-1) ?? '', /^grade: crash\. /)
})

test('a disk that is left out is named', () => {
  const text = renderBackup(summaryOf({
    coverage: {
      leftOut: [
        { id: 'vdc', reason: 'excluded', detail: 'named by the operator' },
        { id: 'cd0', reason: 'read-only', detail: 'a CD-ROM' },
      ],
      excludes: ['vdc'], rechecked: true,
    },
  }))
  assert.match(text, /^ {2}disks {2}1\.0 GiB, partial \(vdc excluded\)$/m)
})

test('with several reasons the line of the grade gives the first and counts the rest', () => {
  const reasons = ['unfreezable', 'not-on-disk'].map((code) =>
    ({ code: code as 'unfreezable', subject: code, sentence: `It is ${code}.` }))
  assert.equal(gradeLine({ grade: 'crash', reasons }),
    'grade: crash. Why not higher: It is unfreezable. (and 1 more, see "stillpoint show")')
})

test('points, a damaged one and one that claims too much among them', () => {
  const found: readonly ListedPoint[] = [
    samplePoint(),
    { ...samplePoint(NO_AGENT), claimed: 'application', bytesAdded: undefined },
    {
      state: 'damaged', snapshotId: SAMPLE_SNAPSHOT_ID, timeMs: NaN, machineName: 'db2',
      reason: 'machine.json is missing',
    },
  ]
  const points = found.map((point, at) =>
    ({ point, verdict: at === 0 ? sampleVerdict('refuted') : undefined }))
  assert.equal(renderPoints(points, Date.parse('2026-08-01T13:30:00Z')), `\
POINT     TAKEN (UTC)          MACHINE  GRADE        VERDICT               DISKS   HELD     SIZE \
   ADDED  SNAPSHOT
0b5e7a52  2026-08-01 10:00:01  db1      application  REFUTED, 2 hours ago  whole  30 ms  1.0 GiB \
 300 MiB  ${SNAPSHOT}
0b5e7a52  2026-08-01 10:00:01  db1      crash (!)    -                     whole      -  1.0 GiB \
       -  ${SNAPSHOT}
-         unknown              db2      DAMAGED                                                  \
          ${SNAPSHOT}

0b5e7a52 is refuted by its own data: rely on it as crash, see "show"
0b5e7a52 is tagged application, but its evidence supports "crash"
snapshot ${SNAPSHOT} is damaged: machine.json is missing

3 restore points`)
  assert.equal(renderPoints([], 0), 'no restore point yet')
})

test('a verdict says what each check saw, and what is left of a grade', () => {
  const point = samplePoint()
  const verdict = sampleVerdict('refuted')
  const text = renderPoint({ point, verdict }, Date.parse(verdict.checkedAt) + 60_000)
  assert.ok(text.includes(`\
verdict: REFUTED (application claimed, crash left)
  checked  2026-08-01 11:00:00 UTC, 1 minute ago
  file system /data: CONTRADICTED
    image: vda1: needs_recovery is set
  application redis: not shown
    image: not looked into
  Do not rely on the grade: treat this point as its effective grade says, and find out what thawed \
or bypassed the guest.
`), text)
})

test('machines, with a hint where the agent would not do', () => {
  const disks = [{ id: 'vda', sizeBytes: 4096 * MIB }, { id: 'vdb', sizeBytes: MIB }]
  assert.equal(renderMachines([
    {
      platform: 'web', fault: undefined,
      machines: [
        { name: 'web1', power: 'running', agent: 'answers', disks },
        { name: 'db\u001b1', power: 'running', agent: 'silent', disks: [] },
        { name: 'old', power: 'off', agent: 'silent', disks: [] },
      ],
    },
    { platform: 'gone', machines: [], fault: new Fault('platform-unreachable', 'gone') },
  ]), `\
MACHINE  PLATFORM  POWER    GUEST AGENT      DISKS
web1     web       running  answers          vda 4.0 GiB, vdb 1.0 MiB
db\\x1b1  web       running  does not answer  none
old      web       off      does not answer  none
db\\x1b1: the guest agent does not answer; without it a backup is no better than "crash", as if \
the power had failed. Install and start qemu-guest-agent in the guest; on vSphere, VMware Tools.`)
})

test('a hint for many machines is given once', () => {
  const machines = Array.from({ length: 1000 }, (_, n): MachineSummary => (
    { name: `vm${n}`, power: 'running', agent: 'silent', disks: [] }))
  const lines = renderMachines([{ platform: 'vc', machines, fault: undefined }]).split('\n')
  assert.equal(lines.length, 1002)
  assert.match(lines.at(-1) ?? '', /^vm0, vm1, vm2, vm3, vm4 and 995 more: the guest agent does/)
})

test('a point of the best grade, on one page', () => {
  const point = samplePoint()
  assert.equal(renderPoint({ point, verdict: undefined }, point.timeMs + 3 * 3_600_000), `\
restore point 0b5e7a52 of db1
  taken     2026-08-01 10:00:01 UTC, 3 hours ago
  machine   qemu, 2 CPU, 2.0 GiB memory, uefi firmware, was running
  point     0b5e7a52-3f0e-4b8c-9a3d-2f6f1f0c7d11
  snapshot  ${SAMPLE_SNAPSHOT_ID} (for restic)
  sealed    as number 1 of the machine, by the key ${
  testSigner().publicKey.fingerprint.slice(0, 16)}… (--verify says more)
  size      1.0 GiB; its backup added 300 MiB to the repository

grade: application (each known application held still, or recovers from this instant by itself)
  it rests on
    /boot/efi (vfat on vda1) cannot be frozen; it is written at updates only.
  required was application (the best grade the machine had had)

hold: writes were held for 30 ms (55 ms from the request to the guest's last answer)
                0                                           170 ms
  redis        |>>>>>>>>>>>>>>>>>>>>>>>>>>#####################<<<| held 70 ms
  file systems |                             >>>>>>#########<<    | 2 frozen in 20 ms, held 30 ms, \
2 thawed in 5.0 ms
  snapshot     |                                      ***         | 10 ms
                > asked to hold   # held   * snapshot   < asked to go on
  all disks captured at one instant, within 10 ms (qmp-transaction); limit of the hold 1.0 s
  measured by stillpoint 0.1.0 with its own clock; counts by the guest agent, qemu-ga 7.2.22

applications, as found by a test
  redis: application; held still, recovers by itself
    held for 70 ms, limit 2.0 s
    its log stood at 0/1000028 before the checkpoint, at 0/1000060 when it was held
    it stated when held: "locked"
    and when released: "unlocked"
    its data lies on vdb

file systems
  / (ext4 on vda2)          held still, confirmed by the guest
  /boot/efi (vfat on vda1)  cannot be held still
  /srv (btrfs on vdb)       held still, confirmed by the guest

disks: all of the machine
  vda  1.0 GiB, 1.0 GiB read (in full: this is the first backup of the disk into this repository)
  vdb  1.0 MiB, 1.0 MiB read (what had changed since point 0b5e7a52)

to restore it
  stillpoint restore 0b5e7a52 --to FOLDER

to restore it with restic alone (restic dump ${SNAPSHOT} /RESTORE.txt says more)
  restic dump ${SNAPSHOT} /disks/vda | tar -xOf - |
    dd of=./vda.raw bs=512K iflag=fullblock conv=sparse status=none &&
    truncate -s 1073741824 ./vda.raw
  restic dump ${SNAPSHOT} /disks/vdb | tar -xOf - |
    dd of=./vdb.raw bs=512K iflag=fullblock conv=sparse status=none &&
    truncate -s 1048576 ./vdb.raw`)
})

test('a point of which nothing was held says why, and what would come next', () => {
  const point = { ...samplePoint(NO_AGENT), claimed: undefined }
  const text = renderPoint({ point, verdict: undefined }, 0)
  assert.ok(text.includes(`\
grade: crash (one instant of all disks with nothing held still: as if the power had failed)
  NOTE: it was tagged without a grade when it was stored; the evidence supports no more than this
  why not higher
    The guest agent does not answer: no answer in 5 s.
      to raise it: Install and start qemu-guest-agent in the guest.
  with that cured it would be filesystem, because
    It could not be found out which applications keep data on the machine: no channel.
      to raise it: Give Stillpoint a channel into the guest.
`), text)
  assert.ok(text.includes(`\
hold: nothing was held: no answer in 5 s
  all disks captured at one instant, within 10 ms (qmp-transaction)

found on the disks
  vda partition 2 (ext)   nothing pending: needs_recovery is not set
  vda partition 1 (vfat)  the disk does not say
  vdb whole disk (btrfs)  the disk does not say: log_root is 0

disks: `), text)
})

test('a check tells how much it looked at, and what it found', () => {
  const report = {
    isSound: false, errors: 3, warnings: 2, snapshots: 2, trees: 9, packs: 1, blobs: 40,
    duplicateBlobs: 0, unreferencedBlobs: 5, bytesRead: 0,
    findings: [
      { severity: 'warning', code: 'pack-orphan', message: 'pack 2e is in no index' },
      { severity: 'error', code: 'pack-missing', message: 'pack 1f is missing' },
      { severity: 'warning', code: 'pack-orphan', message: 'pack 3e is in no index' },
    ],
  } as const
  assert.equal(renderCheck({ location: '/srv/backup', report }, false), `\
error: pack 1f is missing
warning: pack 2e is in no index (and 1 more of this kind)
and 2 more
checked /srv/backup: 2 snapshots, 1 pack, 40 blobs; the data itself was not read: \
--read-data does that
5 blobs that no snapshot needs: lost space, no damage
3 errors found`)
})

test('progress is one line, as wide as the terminal at most', () => {
  const progress = {
    what: 'reading disk vda', done: 1288490188, total: 4 * 1024 * MIB, unit: 'bytes' as const }
  assert.equal(progressLine(progress, 230 * MIB, 100),
    'reading disk vda [=======-----------------]  1.2 GiB/4.0 GiB  230 MiB/s  13.0 s left')
  assert.equal(progressLine(progress, undefined, 100),
    'reading disk vda [=======-----------------]  1.2 GiB/4.0 GiB')
  assert.equal(progressLine(progress, 230 * MIB, 60),
    'reading disk vda  1.2 GiB/4.0 GiB  230 MiB/s  13.0 s left')
  assert.equal(progressLine(progress, 230 * MIB, 30), 'reading disk vda  1.2 GiB/4.0')
  assert.equal(progressLine(
    { what: 'checking trees', done: 12, total: undefined, unit: 'count' }, 100, 80),
  'checking trees  12')
  assert.equal(progressLine(
    { what: 'checking packs', done: 0, total: 0, unit: 'count' }, undefined, 80),
  `checking packs [${'='.repeat(24)}]  0/0`)
})

test('ages are given as a person would', () => {
  const minute = 60_000
  const cases: readonly (readonly [number, string])[] = [
    [0, 'just now'], [minute, '1 minute ago'], [119 * minute, '119 minutes ago'],
    [120 * minute, '2 hours ago'], [48 * 60 * minute, '2 days ago'],
    [-1, 'in the future by this host\'s clock'], [NaN, 'at an unknown time'],
  ]
  for (const [ms, words] of cases) assert.equal(ageWords(0, ms), words)
})
