import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readEventLog, type EventLogReading } from '../../eventlog/mod.ts'
import {
  eventLogBytes, logBytes, sqlServerBackup, type WrittenEvent,
} from '../../eventlog/testing/mod.ts'
import type { Check } from '../verdict.ts'
import { checkLogs, type LogsAnswer } from './check-logs.ts'
import type { ImageLogs } from './records-around.ts'

const signal = new AbortController().signal
const INSTANT = Date.UTC(2026, 10, 20, 2, 0, 3)
const SECOND = 1000
const MINUTE = 60 * SECOND
const SQL = { kind: 'application', subject: 'SqlServerWriter' } as const
const NTDS = { kind: 'application', subject: 'NTDS' } as const
const REGISTRY = { kind: 'application', subject: 'Registry Writer' } as const
const C = { kind: 'file-system', subject: 'C:\\' } as const

const readLog = async (events: readonly WrittenEvent[]): Promise<EventLogReading> =>
  readEventLog(logBytes(eventLogBytes(events)), {}, signal)

/** Something that always is in a log, so that its numbers and times go on. */
const noise = (atMs: number): WrittenEvent => ({ source: 'Service', id: 7036, atMs })
const vss = (id: number, atMs: number): WrittenEvent => ({ source: 'VSS', id, level: 2, atMs })
const volsnap = (id: number, atMs: number, volume: string): WrittenEvent => ({
  source: 'volsnap', id, channel: 'System', level: 2, atMs, data: { VolumeName: volume } })
const jet = (id: number, atMs: number): WrittenEvent =>
  ({ source: 'ESENT', id, atMs, data: ['lsass', '700', '', '3'] })

const held = sqlServerBackup('Shop', INSTANT - SECOND)
const [frozen = noise(0), resumed = noise(0), complete = noise(0)] = held
const other = sqlServerBackup('Shop', INSTANT - 10 * MINUTE)

interface Case {
  readonly name: string
  readonly claim: Check['claim']
  readonly answer: Check['answer']
  readonly detail: RegExp
  readonly own: readonly WrittenEvent[]
  /** What the next image has besides; undefined: there is none. */
  readonly later?: readonly WrittenEvent[]
  readonly system?: readonly WrittenEvent[]
}

const CASES: readonly Case[] = [
  { name: 'held in the image, and only later resumed and backed up', claim: SQL,
    own: [frozen], later: [resumed, complete], answer: 'confirms',
    detail: /logged at 02:00:02 UTC that it held Shop of MSSQLSERVER \(3197\).*3198.*18264/ },
  { name: 'held in the image, resumed later, never counted as backed up', claim: SQL,
    own: [frozen], later: [resumed], answer: 'confirms', detail: /\(3198\)$/ },
  { name: 'held in the image, and there is no next one', claim: SQL,
    own: [frozen], answer: 'silent', detail: /3197.*stands only in the machine's next backup/ },
  { name: 'held, and never resumed', claim: SQL, own: [frozen], later: [], answer: 'silent',
    detail: /that it went on is not logged of Shop/ },
  { name: 'one of two databases resumed', claim: SQL,
    own: [frozen, ...sqlServerBackup('Crm', INSTANT - SECOND).slice(0, 1)], later: [resumed],
    answer: 'silent', detail: /not logged of Crm/ },
  { name: 'held and resumed before the image was cut', claim: SQL, own: [frozen, resumed],
    later: [complete], answer: 'contradicts', detail: /not held at the instant/ },
  { name: 'held and resumed in the image, and there is no next one', claim: SQL,
    own: [frozen, resumed], answer: 'silent', detail: /on its way to the disk/ },
  { name: 'held by another program ten minutes before', claim: SQL, own: other, later: [],
    answer: 'contradicts', detail: /not held at the instant/ },
  { name: 'another program before, ours at the instant', claim: SQL, own: [...other, frozen],
    later: [resumed, complete], answer: 'confirms', detail: /3197/ },
  { name: 'the record of the hold came late', claim: SQL, own: [noise(INSTANT - MINUTE)],
    later: held, answer: 'silent', detail: /cannot be told whether the hold began before/ },
  { name: 'nothing of SQL Server at all', claim: SQL, own: [noise(INSTANT - MINUTE)], later: [],
    answer: 'silent', detail: /logged nothing around the instant/ },
  { name: 'SQL Server logs other things, but no hold', claim: SQL,
    own: [{ source: 'MSSQL$SHOP', id: 17_137, atMs: INSTANT - MINUTE }], later: [],
    answer: 'contradicts', detail: /logged nothing of a hold \(3197\)/ },
  { name: 'the writer failed', claim: SQL, own: [frozen],
    later: [{ source: 'SQLWRITER', id: 24_583, atMs: INSTANT + SECOND }, resumed],
    answer: 'contradicts', detail: /SQLWRITER 24583/ },
  { name: 'a backup of SQL Server failed', claim: SQL, own: [frozen],
    later: [{ source: 'MSSQLSERVER', id: 3041, atMs: INSTANT + SECOND }, resumed],
    answer: 'contradicts', detail: /MSSQLSERVER 3041/ },
  { name: 'a writer could not call back (8194)', claim: SQL, own: [frozen],
    later: [resumed, vss(8194, INSTANT + SECOND)], answer: 'silent', detail: /VSS 8194/ },
  { name: 'an error that VSS did not expect (12289)', claim: SQL,
    own: [vss(12_289, INSTANT - 2 * SECOND), frozen], later: [resumed], answer: 'silent',
    detail: /VSS 12289/ },
  { name: 'a failure of VSS (12293)', claim: SQL, own: [frozen],
    later: [vss(12_293, INSTANT + SECOND), resumed], answer: 'contradicts', detail: /VSS 12293/ },
  { name: 'the same, an hour later', claim: SQL, own: [frozen],
    later: [resumed, vss(12_293, INSTANT + 60 * MINUTE)], answer: 'confirms', detail: /3198/ },
  { name: 'writes could not be held (volsnap 8): an application', claim: SQL, own: [frozen],
    later: [resumed], system: [volsnap(8, INSTANT - SECOND, 'C:')], answer: 'contradicts',
    detail: /writes could not be held long enough: volsnap 8/ },
  { name: 'writes could not be held (volsnap 8): the file system', claim: C, own: [], later: [],
    system: [volsnap(8, INSTANT - SECOND, 'C:')], answer: 'contradicts', detail: /volsnap 8/ },
  { name: 'writes of another volume could not be held', claim: C, own: [], later: [],
    system: [volsnap(9, INSTANT - SECOND, 'D:')], answer: 'silent', detail: /what goes wrong/ },
  { name: 'Active Directory, held and resumed', claim: NTDS,
    own: [jet(2005, INSTANT - 5 * SECOND), jet(2001, INSTANT - SECOND)],
    later: [jet(2003, INSTANT + SECOND), jet(2006, INSTANT + MINUTE)],
    answer: 'confirms', detail: /2001.*2003.*2006/ },
  { name: 'another engine held is not Active Directory', claim: NTDS,
    own: [{ ...jet(2001, INSTANT - SECOND), data: ['svchost', '1'] }],
    later: [{ ...jet(2003, INSTANT + SECOND), data: ['svchost', '1'] }],
    answer: 'silent', detail: /Active Directory logged nothing/ },
  { name: 'Active Directory failed to hold', claim: NTDS, own: [jet(2002, INSTANT - SECOND)],
    answer: 'contradicts', detail: /ESENT 2002/ },
  { name: 'a writer that keeps no records', claim: REGISTRY, own: held, later: [],
    answer: 'silent', detail: /keeps no record/ },
]

async function ask({ claim, own, later, system = [] }: Case): Promise<LogsAnswer> {
  const logs = async (application: readonly WrittenEvent[]): Promise<ImageLogs> => ({
    application: await readLog(application), system: await readLog(system) })
  const start = [noise(INSTANT - 60 * MINUTE)]
  return checkLogs({
    claims: [claim], takenAtMs: INSTANT, own: await logs([...start, ...own]),
    next: later === undefined ? undefined
      : await logs([...start, ...own, ...later, noise(INSTANT + 24 * 60 * MINUTE)]),
  })
}

for (const it of CASES) {
  test(`${it.name}: ${it.answer}`, async () => {
    const { checks: [check] } = await ask(it)
    assert.equal(check?.answer, it.answer, check?.detail)
    assert.match(check?.detail ?? '', it.detail)
  })
}

test('an application that logged a hold of which nobody spoke is told, and never contradicted',
  async () => {
    const of = async (own: readonly WrittenEvent[], later: readonly WrittenEvent[]) =>
      (await ask({ name: '', claim: C, answer: 'silent', detail: /./, own, later })).checks
        .map(({ claim, answer }) => `${claim.subject}: ${answer}`)
    assert.deepEqual(await of([frozen], [resumed, complete]),
      ['C:\\: silent', 'SQL Server (as it logged): confirms'])
    assert.deepEqual(await of([frozen, resumed], [complete]),
      ['C:\\: silent', 'SQL Server (as it logged): silent'])
    assert.deepEqual(await of([noise(INSTANT - MINUTE)], []), ['C:\\: silent'])
  })

test('what the next image cannot say of the time of this one is said', async () => {
  const events = [noise(INSTANT - 60 * MINUTE), frozen]
  const own = { application: await readLog(events) }
  const last = noise(INSTANT + 24 * 60 * MINUTE)
  const askNext = async (written: readonly WrittenEvent[]): Promise<string> => {
    const next = { application: await readLog(written) }
    const { checks: [check] } = checkLogs({ claims: [SQL], takenAtMs: INSTANT, own, next })
    assert.equal(check?.answer, 'silent')
    return check?.detail ?? ''
  }
  assert.match(await askNext([last]), /cleared/)
  assert.match(await askNext([{ ...last, recordId: 900 }]), /begun anew/)
  assert.match(await askNext([...events, resumed]), /too soon/)
})

test('a guest whose clock is ahead is judged by its own clock', async () => {
  const ahead = (event: WrittenEvent): WrittenEvent =>
    ({ ...event, atMs: event.atMs + 3 * 60 * MINUTE })
  const events = [noise(INSTANT - 60 * MINUTE), frozen]
  const { checks: [check] } = checkLogs({ claims: [SQL], takenAtMs: INSTANT,
    own: { application: await readLog(events.map(ahead)) },
    next: { application: await readLog(
      [...events, resumed, noise(INSTANT + 24 * 60 * MINUTE)].map(ahead)) } })
  assert.equal(check?.answer, 'confirms', check?.detail)
})

test('what records mean is told once for each kind, in the order of time', async () => {
  const boot: readonly WrittenEvent[] = [
    { source: 'Microsoft-Windows-Kernel-Power', id: 41, channel: 'System', level: 1,
      atMs: INSTANT - 20 * MINUTE, data: { BugcheckCode: '0' } },
    { source: 'EventLog', id: 6008, channel: 'System', level: 2, atMs: INSTANT - 19 * MINUTE },
  ]
  const { remarks } = await ask({ name: '', claim: SQL, answer: 'confirms', detail: /./,
    own: [frozen, frozen], later: [resumed, vss(8224, INSTANT + 3 * MINUTE)], system: boot })
  assert.deepEqual(
    remarks.map(({ id, count, image, tone }) => `${id} x${count} ${image} ${tone}`),
    ['41 x1 own plain', '6008 x1 own plain', '3197 x2 own good', '3198 x1 next good',
      '8224 x1 next plain'])
  assert.equal(remarks[2]?.shows, 'Shop')
})
