import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readEventLog, type EventQuery, type EventRecord } from './mod.ts'
import {
  BACKUP_STORY, doublingTemplates, endlessTemplate, eventLogBytes, logBytes, repeatedText,
  type WrittenEvent,
} from './testing/mod.ts'

const signal = new AbortController().signal
const HOUR = 3_600_000
const [{ atMs: T0 } = { atMs: 0 }] = BACKUP_STORY

async function idsOf(bytes: Buffer, query: EventQuery): Promise<readonly number[]> {
  return (await readEventLog(logBytes(bytes), query, signal)).events.map(({ id }) => id)
}

test('what was written is read, in the order of its numbers', async () => {
  const text = fc.string({ unit: 'binary', maxLength: 40 }).map((it) => it.replaceAll('\0', ''))
  const event = fc.record({
    atMs: fc.integer({ min: 1, max: 2 ** 42 }), source: text,
    id: fc.integer({ min: 0, max: 65_535 }), level: fc.integer({ min: 0, max: 5 }),
    channel: text, computer: text,
    data: fc.oneof(
      fc.array(text, { minLength: 1, maxLength: 6 }),
      fc.dictionary(
        fc.stringMatching(/^[A-Za-z]{1,8}$/), text, { maxKeys: 5, noNullPrototype: true })),
  })
  await fc.assert(fc.asyncProperty(fc.array(event, { maxLength: 60 }), async (events) => {
    const { events: read, records, damaged } =
      await readEventLog(logBytes(eventLogBytes(events)), {}, signal)
    assert.deepEqual({ records, damaged }, { records: events.length, damaged: 0 })
    assert.deepEqual(read, events.map((it, index) => asRead(it, index + 1)))
  }), { numRuns: 60 })
})

function asRead(event: WrittenEvent, recordId: number): EventRecord {
  const { atMs, source, id, level = 4, channel = '', computer = '', data = [] } = event
  return {
    recordId, atMs, source, sourceAlias: undefined, id, level, channel, computer,
    data: Array.isArray(data) ? data.map((value: string) => ({ name: undefined, value }))
      : Object.entries(data).map(([name, value]) => ({ name, value })) }
}

test('events are found by time, provider and number', async () => {
  const bytes = eventLogBytes(BACKUP_STORY)
  const around = { fromMs: T0, toMs: T0 + HOUR }
  assert.deepEqual(await idsOf(bytes, { ...around, sources: ['mssqlserver'] }),
    [3197, 3198, 18_264])
  assert.deepEqual(await idsOf(bytes, { sources: ['MSSQL$*'], ids: [18_264, 3197] }),
    [3197, 18_264])
  assert.deepEqual(await idsOf(bytes, { sources: ['VSS', 'volsnap'] }), [8224, 8194, 12_289, 8])
  assert.deepEqual(await idsOf(bytes, { fromMs: T0 + 86_400_000 }), [12, 41, 6008])
  assert.deepEqual(await idsOf(bytes, { toMs: T0 }), [])
})

test('records that the header of the file does not know yet are read', async () => {
  const many = Array.from({ length: 30 }, () => BACKUP_STORY).flat()
  const log = logBytes(eventLogBytes(many, { headerChunks: 1 }))
  const { records, headerChunks, chunks } = await readEventLog(log, {}, signal)
  assert.equal(records, many.length)
  assert.ok(headerChunks === 1 && chunks > 1)
})

test('records behind the place up to which a chunk says it is filled are read as they count on',
  async () => {
    const bytes = eventLogBytes(BACKUP_STORY)
    bytes.writeUInt32LE(512 + 2000, 4096 + 48)
    assert.equal((await readEventLog(logBytes(bytes), {}, signal)).records, BACKUP_STORY.length)
  })

test('of more events than are kept the newest are kept', async () => {
  const many = Array.from({ length: 25_000 }, (_, n) => ({ source: 'x', id: 1, atMs: T0 + n }))
  const { events, hasMore, records } =
    await readEventLog(logBytes(eventLogBytes(many)), {}, signal)
  assert.ok(hasMore && events.length <= 20_000 && events.length >= 15_000)
  assert.equal(records, 25_000)
  assert.equal(events.at(-1)?.recordId, 25_000)
})

test('one damaged record costs no other', async () => {
  const bytes = eventLogBytes(BACKUP_STORY)
  const second = 512 + bytes.readUInt32LE(4096 + 512 + 4)
  bytes.fill(0xff, 4096 + second + 24, 4096 + second + 40)
  const { records, damaged, events } = await readEventLog(logBytes(bytes), {}, signal)
  assert.deepEqual({ records, damaged, events: events.length },
    { records: BACKUP_STORY.length, damaged: 1, events: BACKUP_STORY.length - 1 })
})

test('what is no event log is a fault', async () => {
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(70_000), Buffer.from('ElfFile\0')]) {
    await assert.rejects(readEventLog(logBytes(bytes), {}, signal), { code: 'disk-unreadable' })
  }
})

test('parts that lead on without end are a fault', async () => {
  for (const trap of [doublingTemplates(), repeatedText()]) {
    await assert.rejects(readEventLog(logBytes(trap), {}, signal), { code: 'disk-unreadable' })
  }
  const { damaged } = await readEventLog(logBytes(endlessTemplate()), {}, signal)
  assert.equal(damaged, 1)
})
