import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  DATA_VOLUME, sampleDocument, sampleVolumeOf, sqlWriter, SQL_WRITER, SYSTEM_VOLUME,
} from '../../testing/mod.ts'
import { atOnce } from '../../../base/turns.ts'
import { parseWriterMetadata, type WriterMetadata } from './documents.ts'
import { volumesOfHost } from './paths.ts'
import { rootsOf, selectComponents, type SelectionRequest } from './selection.ts'

type Components = Parameters<typeof sampleDocument>[1]
const writer = (components: Components): WriterMetadata =>
  parseWriterMetadata(sampleDocument(sqlWriter(), components))

function select(components: Components, more: Partial<SelectionRequest> = {}): readonly string[] {
  const { writers: [found] } = selectComponents({
    writers: [writer(components)], volumes: [SYSTEM_VOLUME], promised: new Set(),
    without: new Set(), volumeOf: sampleVolumeOf, ...more })
  return [...found?.added.map(({ name }) => `+${name}`) ?? [],
    ...found?.leftOut.map(({ component, reason }) => `-${component.name} ${reason}`) ?? []]
}

test('what has no selectable ancestor is added, and brings what is below it', () => {
  const components: Components = [
    { name: 'server', paths: ['C:\\a'] },
    { logicalPath: 'server', name: 'db', paths: ['C:\\b'] },
    { logicalPath: 'SERVER\\db', name: 'log', selectable: false, paths: ['C:\\c'] },
    { logicalPath: 'serverless', name: 'own', paths: ['C:\\d'] },
    { logicalPath: 'group', name: 'fixed', selectable: false, paths: ['C:\\e'] },
    { logicalPath: 'group\\fixed', name: 'below', paths: ['C:\\f'] },
  ]
  assert.deepEqual(select(components), ['+server', '+own', '+fixed', '+below'])
  assert.deepEqual(atOnce(rootsOf(writer(components).components)).map(({ tree }) => tree.length),
    [3, 1, 1, 1])
})

test('a component is whole or not added: also where only what it brings lies elsewhere', () => {
  const components: Components = [
    { name: 'here', paths: ['C:\\a'] },
    { name: 'there', paths: ['D:\\a'] },
    { name: 'both', paths: ['C:\\a', 'D:\\a'] },
    { name: 'tree', paths: ['C:\\a'] },
    { logicalPath: 'tree', name: 'leaf', paths: ['D:\\a'] },
    { name: 'share', paths: ['\\\\nas\\share'] },
    { name: 'nowhere', paths: ['Q:\\a'] },
  ]
  assert.deepEqual(select(components), ['+here', '-there volume-not-in-set',
    '-both volume-not-in-set', '-tree volume-not-in-set', '-share elsewhere',
    '-nowhere path-unknown'])
  assert.deepEqual(select(components, { volumes: [SYSTEM_VOLUME, DATA_VOLUME] }),
    ['+here', '+there', '+both', '+tree', '-share elsewhere', '-nowhere path-unknown'])
  assert.deepEqual(select(components, { promised: new Set([SQL_WRITER]) }),
    ['+here', '+there', '+both', '+tree', '-share elsewhere', '-nowhere path-unknown'])
})

test('what cannot be selected comes with its writer, or the writer does not come', () => {
  const components: Components = [
    { name: 'chosen', paths: ['C:\\a'] },
    { name: 'must', selectable: false, paths: ['D:\\a'] },
  ]
  assert.deepEqual(select(components),
    ['-chosen writer-incomplete', '-must volume-not-in-set'])
  assert.deepEqual(select(components, { volumes: [SYSTEM_VOLUME, DATA_VOLUME] }),
    ['+chosen', '+must'])
})

test('a writer that vetoed gets nothing added', () => {
  assert.deepEqual(select([{ name: 'a', paths: ['C:\\'] }], { without: new Set([SQL_WRITER]) }),
    ['-a vetoed'])
})

test('paths lead to volumes as Windows would, and never to a guess', () => {
  const volumeOf = volumesOfHost({
    mounts: new Map([['C:\\', 'system'], ['C:\\mnt\\data\\', 'data'], ['E:\\', 'e']]),
    environment: new Map([['SystemRoot', 'C:\\Windows'], ['a', '%b%'], ['b', '%a%'],
      ['NTDS', '%systemroot%\\NTDS']]),
  })
  const volume = (path: string): string => Object.values(volumeOf(path)).join()
  for (const [path, expected] of [
    ['c:', 'system'], ['C:\\x', 'system'], ['c:/x/', 'system'], ['C:\\mnt\\data', 'data'],
    ['C:\\MNT\\Data\\x', 'data'], ['C:\\mnt\\database', 'system'], ['\\\\?\\C:\\x', 'system'],
    ['%systemROOT%\\x', 'system'], ['%ntds%', 'system'], ['C:\\100%\\x', 'system'],
  ] as const) {
    assert.equal(volume(path), expected, path)
  }
  for (const path of ['', 'x', 'D:\\', '%nope%\\x', '%a%', 'C:\\mnt\\data\\..\\x', '\\x',
    '\\\\?\\Volume{1}\\']) {
    assert.ok('unknown' in volumeOf(path), path)
  }
  for (const path of ['\\\\nas\\share\\x', '\\\\?\\UNC\\nas\\share']) {
    assert.ok('elsewhere' in volumeOf(path), path)
  }
})
