import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isFault } from '../../base/fault.ts'
import { goTime } from './go-json.ts'
import { blobIdFromBytes, fileIdFromBytes, type BlobId, type FileId } from './id.ts'
import { encodeSnapshotFile, parseSnapshotFile, type SnapshotFile } from './snapshot-file.ts'

const full: SnapshotFile = {
  time: goTime(1_700_000_000_000), parent: '1'.repeat(64) as FileId, tree: '2'.repeat(64) as BlobId,
  paths: ['/stillpoint/<db1>'], hostname: 'db1', username: 'root', uid: 1, gid: 2,
  excludes: ['*.tmp'], tags: ['stillpoint', 'grade=crash'], original: '3'.repeat(64) as FileId,
  programVersion: 'stillpoint 0.1.0',
  summary: {
    backupStart: goTime(1_700_000_000_000), backupEnd: goTime(1_700_000_001_500),
    filesNew: 1, filesChanged: 2, filesUnmodified: 3, dirsNew: 4, dirsChanged: 5,
    dirsUnmodified: 6, dataBlobs: 7, treeBlobs: 8, dataAdded: 9, dataAddedPacked: 10,
    totalFilesProcessed: 11, totalBytesProcessed: 12,
  },
}

test('a snapshot file has the bytes that restic would write', () => {
  assert.equal(Buffer.from(encodeSnapshotFile(full)).toString(),
    `{"time":"2023-11-14T22:13:20Z","parent":"${'1'.repeat(64)}","tree":"${'2'.repeat(64)}",` +
    '"paths":["/stillpoint/\\u003cdb1\\u003e"],"hostname":"db1","username":"root",' +
    '"uid":1,"gid":2,"excludes":["*.tmp"],"tags":["stillpoint","grade=crash"],' +
    `"original":"${'3'.repeat(64)}","program_version":"stillpoint 0.1.0",` +
    '"summary":{"backup_start":"2023-11-14T22:13:20Z","backup_end":"2023-11-14T22:13:21.5Z",' +
    '"files_new":1,"files_changed":2,"files_unmodified":3,"dirs_new":4,"dirs_changed":5,' +
    '"dirs_unmodified":6,"data_blobs":7,"tree_blobs":8,"data_added":9,"data_added_packed":10,' +
    '"total_files_processed":11,"total_bytes_processed":12}}')
  const least: SnapshotFile = { time: full.time, tree: full.tree, paths: [] }
  assert.equal(Buffer.from(encodeSnapshotFile(least)).toString(),
    `{"time":"2023-11-14T22:13:20Z","tree":"${'2'.repeat(64)}","paths":[]}`)
})

test('a snapshot file is read as it was written', () => {
  assert.deepEqual(parseSnapshotFile(encodeSnapshotFile(full), 'it'), full)
  const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 9 })
  const anySnapshot = fc.record({
    time: fc.integer({ min: -6e13, max: 2e14 }).map(goTime),
    tree: bytes32.map((bytes) => blobIdFromBytes(bytes)),
    paths: fc.array(text),
    parent: bytes32.map((bytes) => fileIdFromBytes(bytes)),
    hostname: text, username: text, programVersion: text,
    uid: fc.integer({ min: 1 }), gid: fc.integer({ min: 1 }),
    tags: fc.array(text, { minLength: 1 }), excludes: fc.array(text, { minLength: 1 }),
  }, { requiredKeys: ['time', 'tree', 'paths'], noNullPrototype: true })
  fc.assert(fc.property(anySnapshot, (snapshot) => {
    assert.deepEqual(parseSnapshotFile(encodeSnapshotFile(snapshot), 'it'), snapshot)
  }))
})

test('nulls and unknown fields, as other programs write them, are passed over', () => {
  const json = JSON.stringify({
    time: full.time, tree: full.tree, paths: null, tags: null, parent: null, label: 'x' })
  assert.deepEqual(parseSnapshotFile(Buffer.from(json), 'it'),
    { time: full.time, tree: full.tree, paths: [] })
})

test('what is no snapshot is refused', () => {
  const good = { time: full.time, tree: full.tree, paths: ['/'] }
  const table: readonly unknown[] = [
    null, [], 'x', {}, { ...good, time: 'now' }, { ...good, tree: null }, { ...good, tree: '../x' },
    { ...good, parent: 'x' }, { ...good, paths: '/' }, { ...good, paths: [7] },
    { ...good, hostname: 7 }, { ...good, uid: -1 }, { ...good, tags: ['a', null] },
    { ...good, summary: 7 }, { ...good, summary: {} },
    { ...good, summary: { backup_start: full.time, backup_end: full.time, files_new: -1 } },
  ]
  for (const value of table) {
    const json = JSON.stringify(value)
    assert.throws(() => parseSnapshotFile(Buffer.from(json), 'it'), (error) =>
      isFault(error, 'repository-damaged'), json)
  }
})
