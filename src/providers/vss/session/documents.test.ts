import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sampleDocument, sqlWriter, SQL_WRITER } from '../../testing/mod.ts'
import { DOCUMENT_LIMITS, parseBackupComponents, parseWriterMetadata } from './documents.ts'

const FAULT = { code: 'platform-protocol' }
const ID = SQL_WRITER

test('a writer\'s document is read: who it is, its components and their files', () => {
  const metadata = parseWriterMetadata(`\ufeff<?xml version="1.0"?>
    <w:WRITER_METADATA xmlns:w="x-schema:#VssWriterMetadataInfo" xmlns:other="urn:other">
    <w:IDENTIFICATION writerId="{${ID.toUpperCase()}}" instanceId="${ID}" friendlyName="a &amp; b"
      usage="USER_DATA" dataSource="TRANSACTION_DB" unheard="of"/>
    <w:RESTORE_METHOD method="CUSTOM"/>
    <w:EXCLUDE_FILES path="C:\\tmp" filespec="*" recursive="yes"/>
    <other:EXCLUDE_FILES nonsense="yes"/>
    <w:BACKUP_LOCATIONS>
      <w:DATABASE componentName="db" selectable="no" notifyOnBackupComplete="yes">
        <w:DATABASE_FILES path="C:\\a" filespec="x.mdf"/>
        <w:DATABASE_LOGFILES path="D:\\b" filespec="x.ldf" recursive="no"/></w:DATABASE>
      <w:FILE_GROUP logicalPath="" componentName="fg" caption="all">
        <w:FILE_LIST path="C:\\c" filespec="*" alternatePath="E:\\copy"/>
        <w:DEPENDENCY writerId="${ID}"/></w:FILE_GROUP>
      <other:FILE_GROUP/></w:BACKUP_LOCATIONS></w:WRITER_METADATA>`)
  assert.deepEqual(metadata, {
    writerId: ID, instanceId: ID, name: 'a & b', usage: 'USER_DATA', dataSource: 'TRANSACTION_DB',
    restoreMethod: 'CUSTOM',
    excludes: [{ path: 'C:\\tmp', filespec: '*', recursive: true }],
    components: [{
      type: 'database', logicalPath: null, name: 'db', caption: '', selectable: false,
      notifyOnBackupComplete: true, files: [
        { path: 'C:\\a', filespec: 'x.mdf', recursive: false },
        { path: 'D:\\b', filespec: 'x.ldf', recursive: false }],
    }, {
      type: 'filegroup', logicalPath: '', name: 'fg', caption: 'all', selectable: true,
      notifyOnBackupComplete: false,
      files: [{ path: 'E:\\copy', filespec: '*', recursive: false }],
    }],
  })
})

test('the backup components document says what was added, and what was said of it', () => {
  const document = parseBackupComponents(
    '<BACKUP_COMPONENTS xmlns="x-schema:#VssComponentMetadata" backupType="copy">' +
    `<WRITER_COMPONENTS writerId="${ID}" instanceId="${ID}"><COMPONENT componentName="a" ` +
    'logicalPath="l" backupSucceeded="yes"/><COMPONENT componentName="b"/></WRITER_COMPONENTS>' +
    '</BACKUP_COMPONENTS>')
  assert.deepEqual(document, { backupType: 'copy', writers: [{
    writerId: ID, instanceId: ID, components: [
      { logicalPath: 'l', name: 'a', backupSucceeded: true },
      { logicalPath: null, name: 'b', backupSucceeded: null }],
  }] })
  assert.deepEqual(parseBackupComponents('<BACKUP_COMPONENTS/>'), { backupType: null, writers: [] })
})

test('a document without what is needed, or with what cannot be, is a fault', () => {
  const good = sampleDocument(sqlWriter(), [{ name: 'db', paths: ['C:\\'] }])
  assert.equal(parseWriterMetadata(good).components.length, 1)
  for (const [from, to] of [
    ['WRITER_METADATA', 'BACKUP_COMPONENTS'], ['IDENTIFICATION', 'IDENTITY'],
    [SQL_WRITER.toUpperCase(), 'not a guid'], ['friendlyName', 'name'],
    ['componentName="db"', ''], ['selectable="yes"', 'selectable="perhaps"'],
    [' path="C:\\"', ''], ['filespec="*"', ''],
    ['<WRITER_METADATA', '<!DOCTYPE a><WRITER_METADATA'],
    ['</BACKUP_LOCATIONS>', ''], ['path="C:\\"', `path="${'x'.repeat(40_000)}"`],
    ['<FILE_GROUP ', '<FILE_GROUP '.repeat(40)], ['recursive="yes"', 'recursive="\u0000"'],
  ] as const) {
    const bad = good.replaceAll(from, to)
    assert.notEqual(bad, good, from)
    assert.throws(() => parseWriterMetadata(bad), FAULT, `${from} → ${to.slice(0, 40)}`)
  }
  for (const bad of ['', '<WRITER_METADATA/>', '<BACKUP_COMPONENTS>',
    '<BACKUP_COMPONENTS><WRITER_COMPONENTS/></BACKUP_COMPONENTS>',
    `<BACKUP_COMPONENTS><WRITER_COMPONENTS writerId="${ID}" instanceId="${ID}"><COMPONENT/>` +
      '</WRITER_COMPONENTS></BACKUP_COMPONENTS>']) {
    assert.throws(() => parseBackupComponents(bad), FAULT, bad)
  }
})

test('a document with many files is read, one that is far too long is refused', () => {
  const paths = Array.from({ length: 20_000 }, (_, n) => `%systemroot%\\winsxs\\amd64_${n}_x`)
  const document = sampleDocument(sqlWriter(), [{ name: 'System Files', paths }])
  assert.equal(parseWriterMetadata(document).components[0]?.files.length, 20_000)
  const long = document.replace('</WRITER_METADATA>', ' '.repeat(DOCUMENT_LIMITS.maxBytes))
  assert.throws(() => parseWriterMetadata(long), { ...FAULT, message: /is longer than/ })
})
