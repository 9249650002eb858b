import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { FoundData } from '../../consistency/mod.ts'
import {
  ntdsWriter, sampleDocument, sampleVolumeOf, SQL_WRITER, sqlWriter, SYSTEM_VOLUME, systemWriter,
} from '../testing/mod.ts'
import { WriterClaims } from './session/claims.ts'
import { parseWriterMetadata } from './session/documents.ts'
import { atOnce } from '../../base/turns.ts'
import { fitsWildcard } from '../../base/wildcard.ts'
import { unheldOf } from './unheld.ts'

const environment = new Map([['SystemRoot', 'C:\\Windows']])
const WRITERS = [sqlWriter(), systemWriter(), ntdsWriter()].map(({ name, document }) =>
  ({ name, metadata: parseWriterMetadata(document) }))

const file = (path: string, more: Partial<FoundData> = {}): FoundData => ({
  name: path, kind: 'incidental', recovery: 'none', advice: '', paths: [path], ...more })

const unheld = (...found: readonly FoundData[]): readonly (readonly [string, unknown])[] =>
  unheldOf(found, {
    writers: WRITERS, environment, volumeOf: sampleVolumeOf,
    diskOf: (volume) => volume === SYSTEM_VOLUME ? 'c' : undefined,
  }).map(({ name, data }) => [name, data.state === 'located' ? data.diskIds : data.state])

suite('what no writer holds', () => {
  test('is what no component of an application names', () => {
    assert.deepEqual(unheld(
      file('C:\\sql'), file('c:\\SQL\\deep\\x.mdf'), file('C:\\sql2\\x.mdf'),
      file('C:\\Windows\\System32\\x.mdb'), file('C:\\Windows\\NTDS\\x.edb'),
      file('C:\\a', { paths: ['C:\\sql\\a', 'C:\\a'] })), [
      ['C:\\sql2\\x.mdf', ['c']], ['C:\\Windows\\System32\\x.mdb', ['c']], ['C:\\a', ['c']]])
  })

  test('is outside where its volume is not in the set, and unknown where nobody knows', () => {
    assert.deepEqual(unheld(
      file('D:\\a.pst'), file('Q:\\a.pst'), file('\\\\server\\share\\a.pst'),
      file('PostgreSQL', { paths: [] })), [
      ['D:\\a.pst', 'outside'], ['Q:\\a.pst', 'unknown'], ['\\\\server\\share\\a.pst', 'outside'],
      ['PostgreSQL', 'unknown']])
  })

  test('is no server whose writer is there', () => {
    assert.deepEqual(unheld(
      file('SQL Server', { paths: [], heldBy: 'SqlServerWriter' }),
      file('Exchange', { paths: [], heldBy: 'Microsoft Exchange Writer' })),
    [['Exchange', 'unknown']])
  })
})

test('a component names files by folder and name, and below it where it says so', () => {
  const identity = { writerId: SQL_WRITER, instanceId: SQL_WRITER, name: 'x' }
  const document = sampleDocument(identity, [{ name: 'c', paths: ['%DATA%\\a'] },
    { name: 'd', paths: ['%OTHER%'] }])
    .replace('path="%DATA%\\a" filespec="*" recursive="yes"',
      'path="%DATA%\\a" filespec="*.mdf" recursive="no"')
  const claims = atOnce(WriterClaims.reading(
    [parseWriterMetadata(document)], new Map([['Data', 'E:\\db\\']])))
  for (const [path, is] of [
    ['E:\\db\\a\\x.MDF', true], ['E:\\db\\a\\x.ldf', false], ['E:\\db\\a\\b\\x.mdf', false],
    ['E:\\db\\x.mdf', false], ['E:\\db\\A', true], ['E:\\', false], ['', false],
  ] as const) assert.equal(claims.has(path), is, path)
})

test('wildcards fit as in Windows, in a time that no pattern makes long', () => {
  for (const [pattern, yes, no] of [
    ['*.mdf', ['A.MDF', '.mdf'], ['a.mdf2', 'mdf']], ['*.*', ['a', 'a.b'], []],
    ['a?c*', ['abc', 'AXCdef'], ['ac', 'xabc']], ['a*b*c', ['abc', 'aXbYc'], ['acb', 'abcd']],
    ['', [''], ['a']], ['*', ['', 'x'], []], ['**a', ['a', 'xa'], ['ab']],
  ] as const) {
    for (const name of yes) assert.ok(fitsWildcard(name, pattern), `${name} ${pattern}`)
    for (const name of no) assert.ok(!fitsWildcard(name, pattern), `${name} ${pattern}`)
  }
  assert.ok(!fitsWildcard('a'.repeat(255), `${'*a'.repeat(120)}b`))
})
