/** Data is on known disks, outside, or unknown: nothing is guessed. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FileSystemList } from './evidence.ts'
import { locateData } from './locate-data.ts'
import { SAMPLE_MOUNTS } from './testing/sample-evidence.ts'
import type { DataPlace } from './writer.ts'

const list: FileSystemList = { state: 'listed', fileSystems: [
  ...SAMPLE_MOUNTS,
  { mountpoint: '/mnt/loop', type: 'ext4', device: 'loop0', diskIds: [] },
  { mountpoint: '/lv', type: 'xfs', device: 'dm-0', diskIds: ['vdb', 'vdc'] },
] }
const root = { path: '/var/lib/db', mountpoint: '/', type: 'ext4' }
const cases: readonly (readonly [string, readonly DataPlace[], object])[] = [
  ['one file system', [root], { state: 'located', diskIds: ['vda'],
    places: [{ path: '/var/lib/db', mountpoint: '/' }] }],
  ['a volume over several disks', [root, { path: '/lv/wal', mountpoint: '/lv', type: 'xfs' }],
    { state: 'located', diskIds: ['vda', 'vdb', 'vdc'], places: [
      { path: '/var/lib/db', mountpoint: '/' }, { path: '/lv/wal', mountpoint: '/lv' }] }],
  ['a bind mount', [{ ...root, root: '/srv/a' }], { state: 'located', diskIds: ['vda'],
    places: [{ path: '/var/lib/db', mountpoint: '/', root: '/srv/a' }] }],
  ['more places than are kept', Array.from({ length: 33 }, () => root),
    { state: 'located', diskIds: ['vda'] }],
  ['a place with a name too long to be kept', [{ ...root, path: `/${'x'.repeat(2100)}` }],
    { state: 'located', diskIds: ['vda'] }],
  ['a network mount', [root, { path: '/net/db', mountpoint: '/net', type: 'nfs4' }],
    { state: 'outside', detail: '/net/db is on nfs4' }],
  ['memory', [{ path: '/run/db', mountpoint: '/run', type: 'tmpfs' }],
    { state: 'outside', detail: '/run/db is on tmpfs' }],
  ['a loop mount', [{ path: '/mnt/loop/db', mountpoint: '/mnt/loop', type: 'ext4' }],
    { state: 'unknown', detail: 'it is not known which disk /mnt/loop/db lies on' }],
  ['a mount that the agent does not list', [{ ...root, mountpoint: '/new' }],
    { state: 'unknown', detail: 'it is not known which disk /var/lib/db lies on' }],
  ['a mount of another type than listed', [{ ...root, type: 'xfs' }],
    { state: 'unknown', detail: 'it is not known which disk /var/lib/db lies on' }],
  ['no place at all', [], { state: 'unknown', detail: 'no place was named' }],
]

for (const [what, places, expected] of cases) {
  test(`data on ${what}`, () => {
    assert.deepEqual(locateData({ state: 'located', places }, list), expected)
  })
}

test('without a list of mounts only what is outside is known', () => {
  const none: FileSystemList = { state: 'unavailable', reason: 'no agent' }
  assert.deepEqual(locateData({ state: 'located', places: [root] }, none),
    { state: 'unknown', detail: 'no agent' })
})
