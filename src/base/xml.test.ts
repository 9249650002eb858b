import assert from 'node:assert/strict'
import { test } from 'node:test'
import { childAt, childrenOf, formatXml, parseXml } from './xml.ts'

const parse = (text: string): ReturnType<typeof parseXml> =>
  parseXml(text, 'a text', 'platform-protocol')

test('elements, attributes and text are read, prefixes as they are', () => {
  const root = parse('<?xml version="1.0"?>\n<a x="1 &lt; 2"><b> one </b><b/>' +
    '<q:c><![CDATA[<]]></q:c></a>')
  assert.equal(root.attributes['x'], '1 < 2')
  assert.deepEqual(childrenOf(root, 'b').map(({ text }) => text), ['one', ''])
  assert.equal(childAt(root, 'q:c')?.text, '<')
  assert.equal(childAt(root, 'q:c', 'd'), undefined)
})

test('what is written is read back the same', () => {
  const root = parse('<a x="&quot;&amp;\'"><b>1 &gt; 0</b><c><d/></c></a>')
  assert.deepEqual(parse(formatXml(root)), root)
})

test('a text that is not well-formed, has a document type or is too much is a fault', () => {
  const many = '<a>'.repeat(100) + '</a>'.repeat(100)
  const bad = ['', 'x', '<a>', '<a></b>', '<a x=1/>', '<a>&b;</a>', many,
    '<!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>', '<a/><a/>',
    `<a>${'<b/>'.repeat(200_001)}</a>`, `<a>${' '.repeat(8 * 1024 * 1024)}</a>`]
  for (const text of bad) {
    assert.throws(() => parse(text), { code: 'platform-protocol' }, text.slice(0, 60))
  }
})

test('a name as in Object.prototype is an ordinary attribute', () => {
  const root = parse('<a constructor="x" __proto__="y"/>')
  assert.equal(root.attributes['constructor'], 'x')
  assert.equal(parse('<a/>').attributes['missing'], undefined)
})
