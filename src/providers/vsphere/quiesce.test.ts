import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gradeOf, type PlatformQuiesce } from '../../consistency/mod.ts'
import { sampleEvidence } from '../../consistency/testing/mod.ts'
import { makeZip } from '../testing/make-zip.ts'
import { assessQuiesce, type GuestState, type QuiesceFacts } from './quiesce.ts'

const text = (it: string): Uint8Array => new TextEncoder().encode(it)
const utf16 = (it: string): Uint8Array => Buffer.from(`\ufeff${it}`, 'utf16le')

const linux = (provider: string, root = 'quiesceManifest'): Uint8Array =>
  text(`<${root}>\n   <productVersion>12352</productVersion>\n` +
    `   <providerName>${provider}</providerName>\n</${root}>\n`)

const SQL = '{a65faa63-5ea8-4ebc-9dbd-a0c4db26912a}'
const SYSTEM = '{e8132975-6f93-4464-a53e-1050253ae220}'
const writer = (id: string, name: string): Uint8Array => utf16(
  '<?xml version="1.0"?><WRITER_METADATA xmlns="x-schema:#VssWriterMetadataInfo" version="1.1">' +
  `<IDENTIFICATION writerId="${id}" instanceId="${id}" friendlyName="${name}"/></WRITER_METADATA>`)
const components = (...ids: readonly string[]): Uint8Array => utf16(
  '<BACKUP_COMPONENTS xmlns="x-schema:#VssComponentMetadata" version="1.2" backupType="copy">' +
  ids.map((id) => `<WRITER_COMPONENTS writerId="${id.toUpperCase()}" instanceId="${id}">` +
    '<COMPONENT componentName="db"/></WRITER_COMPONENTS>').join('') + '</BACKUP_COMPONENTS>')

const RUNNING: GuestState = {
  power: 'running', bootTime: '2026-01-01T00:00:00Z',
  tools: { running: 'guestToolsRunning', version: 'guestToolsCurrent' } }

function assess(manifest: Uint8Array | string, more: Partial<QuiesceFacts> = {}): PlatformQuiesce {
  return assessQuiesce({
    asked: 'linux', failure: undefined, saysQuiesced: true, before: RUNNING, after: RUNNING,
    manifest: typeof manifest === 'string' ? { missing: manifest }
      : { name: 'quiesce_manifest.xml', bytes: manifest }, ...more })
}

const shown = ({ documents }: PlatformQuiesce): readonly string[] =>
  documents.map(({ shows }) => shows)
/** What the grade of a machine is that `quiesce` held, all else being well. */
const graded = ({ claimed, documents }: PlatformQuiesce): string => gradeOf({
  ...sampleEvidence(), hold: { by: 'platform', claimed, documents },
  applications: { declaredNone: true, discovery: { state: 'done', by: 'it', applications: [] } },
}).grade

test('a manifest of Linux shows file systems, if its provider holds writes', () => {
  const held = assess(linux('fifreeze'))
  assert.deepEqual([held.claimed, shown(held)], ['filesystem', ['filesystem']])
  assert.equal(held.documents[0]?.text, new TextDecoder().decode(linux('fifreeze')))
  for (const manifest of [linux('null'), linux(''), linux('fifreeze', 'other'),
    text('<quiesceManifest/>')]) {
    assert.deepEqual(shown(assess(manifest)), ['nothing'])
  }
  assert.deepEqual([graded(held), graded(assess(linux('null')))], ['application', 'crash'])
})

test('a flag of success alone shows nothing', () => {
  const bare = assess('the snapshot names no manifest')
  assert.deepEqual([bare.claimed, shown(bare), graded(bare)], ['filesystem', ['nothing'], 'crash'])
  assert.deepEqual(assess('none', { saysQuiesced: false }), { claimed: 'none', documents: [] })
  assert.deepEqual(assess(linux('fifreeze'), { asked: 'none' }), { claimed: 'none', documents: [] })
})

test('a quiesce that failed is kept with its reason, whatever else there is', () => {
  const failed = assess(linux('fifreeze'), { failure: 'Custom quiesce script failed.' })
  assert.equal(failed.claimed, 'none')
  assert.deepEqual(failed.documents, [
    { name: 'quiesce-fault', text: 'Custom quiesce script failed.', shows: 'nothing' }])
  assert.equal(graded(failed), 'crash')
})

test('the documents of VSS show applications only with a writer and its components', () => {
  const windows = { asked: 'windows' } as const
  const all = makeZip([['bcd.xml', components(SQL, SYSTEM)],
    ['w1.xml', writer(SQL, 'SqlServerWriter')], ['w2.xml', writer(SYSTEM, 'System Writer')]])
  const held = assess(all, windows)
  assert.deepEqual([held.claimed, shown(held)],
    ['application', ['application', 'application', 'application']])
  assert.deepEqual(held.writers?.map(({ name, kind, state }) => [name, kind, state]), [
    ['SqlServerWriter', 'protected', 'stable'], ['System Writer', 'incidental', 'stable']])
  assert.match(held.writers?.[0]?.statement ?? '',
    /^writer \{a65faa63-.*, 1 components in the set, backup type copy$/)
  const alone = assess(makeZip([['bcd.xml', components()]]), windows)
  assert.deepEqual([shown(alone), graded(alone)], [['filesystem'], 'application'])
  // Metadata of a writer that has no component in the set, and components without their document.
  const without = makeZip([['bcd.xml', components(SQL)], ['w.xml', writer(SYSTEM, 'Sys')]])
  assert.deepEqual(shown(assess(without, windows)), ['filesystem', 'nothing'])
  assert.deepEqual(assess(without, windows).writers, [])
  assert.deepEqual(shown(assess(makeZip([['w.xml', writer(SQL, 'S')]]), windows)), ['nothing'])
})

test('manifests that cannot be read show nothing, and say why', () => {
  for (const bytes of [text(''), text('no XML'), text('<!DOCTYPE a><a/>'), text('PK no archive'),
    makeZip([['bcd.xml', text('<BACKUP_COMPONENTS>')]]), makeZip([['a', Uint8Array.of(0xff)]])]) {
    const it = assess(bytes)
    assert.deepEqual([shown(it), graded(it)], [['nothing'], 'crash'])
    assert.notEqual(it.documents[0]?.text, '')
  }
})

test('a manifest counts only for a guest whose Tools ran before and after, in one life', () => {
  const stopped = { ...RUNNING, tools: { ...RUNNING.tools, running: 'guestToolsNotRunning' } }
  for (const more of [
    { before: stopped }, { after: stopped }, { after: { ...RUNNING, power: 'off' as const } },
    { after: { ...RUNNING, bootTime: '2026-01-01T00:05:00Z' } },
  ]) {
    const it = assess(linux('fifreeze'), more)
    assert.deepEqual([shown(it), graded(it)], [['nothing', 'nothing'], 'crash'])
    assert.equal(it.writers, undefined)
  }
})
