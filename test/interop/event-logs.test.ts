/** Our reader and writer of event logs beside libevtx: logs of real Windows, and our own. */

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { missingProgram } from '../../src/disk/testing/mod.ts'
import { readEventLog, type EventLogReading } from '../../src/eventlog/mod.ts'
import { BACKUP_STORY, eventLogBytes, logBytes } from '../../src/eventlog/testing/mod.ts'
import { testFolder } from '../system/rig.ts'
import { exportedEvents, type ExportedEvent } from './evtxexport.ts'

const samples = process.env['STILLPOINT_SAMPLES']
const noEvtxexport = missingProgram('evtxexport')
const skipSamples = noEvtxexport || (samples === undefined
  ? 'STILLPOINT_SAMPLES does not name the folder of sample logs' : false)

/** Records as the samples' own README counts them. */
const SAMPLES: Readonly<Record<string, number>> = {
  'application-vss8224-esent-win7.evtx': 2216,
  'application-vss8224-win11.evtx': 366,
  'system-6008-kernelpower41-dc.evtx': 5009,
  'system-from-shadowcopy-dirty-volsnap33.evtx': 1160,
  'application-mssqlserver-33205-15457.evtx': 21,
  'application-esent-325-326-327-dc.evtx': 4,
}

for (const [name, records] of Object.entries(SAMPLES)) {
  test(`${name}: the same ${records} records as evtxexport finds`, { skip: skipSamples },
    async (t) => {
      const path = join(samples ?? '', 'evtx', name)
      const ours = await readEventLog(logBytes(await readFile(path)), {}, t.signal)
      const theirs = await exportedEvents(path, t.signal)
      assert.equal(theirs.length, records)
      assertSame(ours, theirs)
    })
}

test('the log out of a shadow copy is read to its end, which its header does not know',
  { skip: skipSamples }, async (t) => {
    const path = join(samples ?? '', 'evtx', 'system-from-shadowcopy-dirty-volsnap33.evtx')
    const { chunks, headerChunks, newestAtMs, events } =
      await readEventLog(logBytes(await readFile(path)), { sources: ['volsnap'] }, t.signal)
    assert.deepEqual({ chunks, headerChunks }, { chunks: 11, headerChunks: 4 })
    assert.equal(new Date(newestAtMs ?? 0).toISOString(), '2018-08-08T14:44:03.605Z')
    assert.deepEqual(events.map(({ id }) => id), [33, 33])
  })

test('evtxexport reads the logs that our writer makes, as our reader does', { skip: noEvtxexport },
  async (t) => {
    const path = join(await testFolder(t), 'own.evtx')
    const many = Array.from({ length: 40 }, () => BACKUP_STORY).flat()
    const bytes = eventLogBytes(many)
    await writeFile(path, bytes)
    const ours = await readEventLog(logBytes(bytes), {}, t.signal)
    assert.ok(ours.chunks > 1)
    assert.equal(ours.records, many.length)
    assertSame(ours, await exportedEvents(path, t.signal))
  })

function assertSame(ours: EventLogReading, theirs: readonly ExportedEvent[]): void {
  assert.equal(ours.damaged, 0)
  assert.equal(ours.events.length, theirs.length)
  for (const [index, { recordId, source, sourceAlias, id, atMs, data }] of
    ours.events.entries()) {
    const { written, strings = [], ...named } = theirs[index] ?? {}
    assert.deepEqual({ recordId, source: sourceAlias ?? source, id }, named)
    if (written !== undefined && !/160[01]/.test(written)) {
      assert.equal(
        Date.parse(`${written} UTC`), Math.floor(atMs / 1000) * 1000, `record ${recordId}`)
    }
    if (data.some(({ name }) => name !== undefined)) continue // types are shown differently
    const values = data.map(({ value }) => value.replace(/\n+$/, '')).filter((it) => it !== '')
    const texts = strings.filter((text) => text !== '')
    const [binary, ...more] = texts.splice(values.length)
    assert.deepEqual({ texts, more }, { texts: values, more: [] }, `record ${recordId}`)
    assert.match(binary ?? '', /^[0-9A-F]*$/)
  }
}
