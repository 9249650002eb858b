import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isFault } from '../../base/fault.ts'
import { parseGoTime, type GoTime } from './go-json.ts'
import type { BlobId } from './id.ts'
import { dirNode, fileNode } from './node.ts'
import { compareNames, nameFromBytes } from './node-name.ts'
import { encodeTree, parseTree, type Tree } from './tree.ts'

const id = (digit: string): BlobId => digit.repeat(64) as BlobId
const time = (text: string): GoTime => parseGoTime(text, 'it')
const isDamage = (error: unknown): boolean => isFault(error, 'repository-damaged')

const META = '"mtime":"1980-01-01T00:00:00Z","atime":"1980-01-01T00:00:00Z",' +
  '"ctime":"1980-01-01T00:00:00Z","uid":0,"gid":0'

test('our own nodes have constant metadata and the bytes that restic would write', () => {
  const tree: Tree = { nodes: [
    dirNode('disks', id('d')),
    fileNode('empty', 0, []),
    fileNode('machine.json', 1234, [id('a'), id('b')]),
  ] }
  assert.equal(Buffer.from(encodeTree(tree)).toString(), '{"nodes":[' +
    `{"name":"disks","type":"dir","mode":2147484096,${META},` +
    `"content":null,"subtree":"${id('d')}"},` +
    `{"name":"empty","type":"file","mode":384,${META},"content":[]},` +
    `{"name":"machine.json","type":"file","mode":384,${META},"size":1234,` +
    `"content":["${id('a')}","${id('b')}"]}]}\n`)
  assert.equal(Buffer.from(encodeTree({ nodes: [] })).toString(), '{"nodes":[]}\n')
})

test('a node with every field is written in the order of restic', () => {
  const tree: Tree = { nodes: [{
    type: 'symlink', name: 'a<b', mode: 134_218_239, mtime: time('2024-02-29T12:00:00.5+02:00'),
    atime: time('2024-02-29T10:00:00Z'), ctime: time('0001-01-01T00:00:00Z'), uid: 1, gid: 2,
    user: 'me', group: 'us', inode: 18_446_744_073_709_551_615n, deviceId: 7n, links: 3,
    linkTarget: 'x\udcffy', extendedAttributes: [
      { name: 'user.a', value: Uint8Array.of(1, 2) }, { name: 'user.b', value: null }],
    genericAttributes: { 'windows.x': { b: 1, a: '&' }, 'windows.a': 7 }, error: 'e',
  }] }
  const text = '{"nodes":[{"name":"a\\u003cb","type":"symlink","mode":134218239,' +
    '"mtime":"2024-02-29T12:00:00.5+02:00","atime":"2024-02-29T10:00:00Z",' +
    '"ctime":"0001-01-01T00:00:00Z","uid":1,"gid":2,"user":"me","group":"us",' +
    '"inode":18446744073709551615,"device_id":7,"links":3,"linktarget":"x\\ufffdy",' +
    '"linktarget_raw":"eP95","extended_attributes":[{"name":"user.a","value":"AQI="},' +
    '{"name":"user.b","value":null}],' +
    '"generic_attributes":{"windows.a":7,"windows.x":{"b":1,"a":"\\u0026"}},' +
    '"content":null,"error":"e"}]}\n'
  assert.equal(Buffer.from(encodeTree(tree)).toString(), text)
  assert.deepEqual(encodeTree(parseTree(Buffer.from(text), 'it')), encodeTree(tree))
})

const u64 = fc.bigInt({ min: 1n, max: (1n << 64n) - 1n })
const blobId = fc.uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex') as BlobId)
const foreignText = fc.uint8Array({ minLength: 1, maxLength: 12 }).map(nameFromBytes)
const name = foreignText.filter((text) => !/[/\0]/.test(text) && text !== '.' && text !== '..')
const plainText = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
const metadata = fc.record({
  name,
  mode: fc.nat(),
  mtime: fc.constantFrom(time('2020-01-01T00:00:00Z'), time('2020-01-01T00:00:00.123456789-03:30')),
  atime: fc.constant(time('1970-01-01T00:00:00Z')),
  ctime: fc.constant(time('9999-12-31T23:59:59.999999999Z')),
  uid: fc.nat(), gid: fc.nat(),
  user: plainText, group: plainText, inode: u64, deviceId: u64, links: fc.integer({ min: 1 }),
  extendedAttributes: fc.array(fc.record({
    name: plainText, value: fc.option(fc.uint8Array({ maxLength: 9 })),
  }), { minLength: 1 }),
  error: plainText,
}, { requiredKeys: ['name', 'mode', 'mtime', 'atime', 'ctime', 'uid', 'gid'] })
const kinds = fc.oneof(
  fc.record({ type: fc.constant('file' as const), size: fc.nat(), content: fc.array(blobId) }),
  fc.record({ type: fc.constant('dir' as const), subtree: blobId }),
  fc.record({ type: fc.constant('symlink' as const), linkTarget: foreignText }),
  fc.record({ type: fc.constantFrom('dev' as const, 'chardev' as const), device: u64 }),
  fc.record({ type: fc.constantFrom('fifo' as const, 'socket' as const) }),
)
const trees = fc.uniqueArray(
  fc.tuple(metadata, kinds).map(([meta, kind]) => ({ ...meta, ...kind })),
  { selector: (node) => node.name, maxLength: 12 },
).map((nodes): Tree => ({ nodes: nodes.sort((a, b) => compareNames(a.name, b.name)) }))

test('a tree is read as it was written, and written as it was read', () => {
  fc.assert(fc.property(trees, (tree) => {
    const encoded = encodeTree(tree)
    const parsed = parseTree(encoded, 'it')
    assert.deepEqual(encodeTree(parsed), encoded)
    assert.deepEqual(normal(parsed), normal(tree))
  }), { numRuns: 200 })
})

/** Buffers and arrays of bytes alike. */
function normal(tree: Tree): unknown {
  return tree.nodes.map((node) => ({
    ...node,
    extendedAttributes: node.extendedAttributes?.map(({ name, value }) =>
      ({ name, value: value && Buffer.from(value).toString('hex') })),
  }))
}

test('a tree out of order cannot be written', () => {
  for (const names of [['b', 'a'], ['a', 'a'], ['\u{10000}', '\uffff']]) {
    assert.throws(() => encodeTree({ nodes: names.map((name) => fileNode(name, 0, [])) }))
  }
})

test('times that rustic leaves out are the year 1, as Go reads them', () => {
  const tree = '{"nodes":[{"name":"d","type":"dir","mode":493,"content":null,"subtree":"' +
    `${'a'.repeat(64)}"}]}\n`
  const [node] = parseTree(Buffer.from(tree), 'it').nodes
  assert.equal(node?.mtime, '0001-01-01T00:00:00Z')
  assert.equal(node.uid, 0)
})

test('trees that break the format are refused', () => {
  const node = (change: Record<string, unknown>): Record<string, unknown> => ({
    name: 'n', type: 'file', mtime: '1980-01-01T00:00:00Z', atime: '1980-01-01T00:00:00Z',
    ctime: '1980-01-01T00:00:00Z', uid: 0, gid: 0, content: [], ...change })
  const good = (nodes: readonly unknown[]): Buffer => Buffer.from(JSON.stringify({ nodes }))
  parseTree(good([node({}), node({ name: 'o', unknown_field: 7 })]), 'it')
  const table: readonly (readonly [string, Buffer])[] = [
    ['not JSON', Buffer.from('{"nodes":[')],
    ['not an object', Buffer.from('[]')],
    ['no list', Buffer.from('{}')],
    ['null list', Buffer.from('{"nodes":null}')],
    ['null node', good([null])],
    ['no name', good([node({ name: undefined })])],
    ['empty name', good([node({ name: '' })])],
    ['slash', good([node({ name: 'a/b' })])],
    ['slash, escaped', good([node({ name: 'a\\x2fb' })])],
    ['dots', good([node({ name: '..' })])],
    ['dots, escaped', good([node({ name: '\\x2e.' })])],
    ['zero byte', good([node({ name: '\\x00' })])],
    ['badly quoted', good([node({ name: '\\' })])],
    ['name is a number', good([node({ name: 7 })])],
    ['twice the same', good([node({}), node({})])],
    ['twice the same, escaped', good([node({}), node({ name: '\\x6e' })])],
    ['descending', good([node({ name: 'b' }), node({ name: 'a' })])],
    ['unknown type', good([node({ type: 'door' })])],
    ['no type', good([node({ type: undefined })])],
    ['file without content', good([node({ content: null })])],
    ['content that is no id', good([node({ content: ['00'] })])],
    ['content that is no list', good([node({ content: 'abc' })])],
    ['directory without subtree', good([node({ type: 'dir', content: null })])],
    ['subtree that is no id', good([node({ type: 'dir', subtree: '../..' })])],
    ['a time that is none', good([node({ mtime: 'today' })])],
    ['mode too large', good([node({ mode: 2 ** 32 })])],
    ['negative size', good([node({ size: -1 })])],
    ['fractional uid', good([node({ uid: 1.5 })])],
    ['inode beyond 64 bits', Buffer.from(
      good([node({ inode: 7 })]).toString().replace('7', '18446744073709551616'))],
    ['inode is text', good([node({ inode: '7' })])],
    ['link target in bad base64', good([node({ type: 'symlink', linktarget_raw: '%' })])],
    ['attribute in bad base64', good([node({ extended_attributes: [{ name: 'a', value: 'x' }] })])],
    ['attributes of no list', good([node({ extended_attributes: {} })])],
    ['generic attributes of no object', good([node({ generic_attributes: [] })])],
  ]
  for (const [what, json] of table) assert.throws(() => parseTree(json, 'it'), isDamage, what)
})

test('a message about a hostile name is harmless on a terminal', () => {
  const json = '{"nodes":[{"name":"\\\\x1b[2J","type":"door"}]}'
  assert.throws(() => parseTree(Buffer.from(json), 'it'), (error) =>
    // eslint-disable-next-line no-control-regex
    isDamage(error) && error instanceof Error && !/\u001b/.test(error.message))
})
