import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  childAt, childrenOf, escapeXml, formatXml, parseXml, textAt, XmlReader, type XmlElement,
  type XmlLimits,
} from './xml.ts'

const FAULT = { code: 'platform-protocol' }
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const parse = (text: string | Uint8Array, limits?: XmlLimits): XmlElement =>
  parseXml(text, 'a text', 'platform-protocol', limits)

test('elements, attributes and text are read, whatever their prefixes', () => {
  const root = parse('<?xml version="1.0"?>\n<a x="1 &lt; 2" xmlns:q="urn:q"><b> one </b><b/>' +
    '<q:c q:y="2"><![CDATA[<]]></q:c></a>')
  assert.equal(root.attributes.get('x'), '1 < 2')
  assert.deepEqual(childrenOf(root, 'b').map(({ text }) => text), [' one ', ''])
  const c = childAt(root, 'c')
  assert.deepEqual([c?.text, c?.uri, c?.attributes.get('{urn:q}y')], ['<', 'urn:q', '2'])
  assert.equal(childAt(root, 'c', 'd'), undefined)
})

test('text is kept as it is: blanks, leading zeros, entities, CDATA', () => {
  const root = parse('<a> <n> 007 </n>\n<n>&lt;&#10;&amp;</n><n><![CDATA[<x>]]></n></a>')
  assert.deepEqual(childrenOf(root, 'n').map(({ text }) => text), [' 007 ', '<\n&', '<x>'])
  assert.equal(root.text, '')
  assert.equal(textAt(root, 'no', 'such'), undefined)
})

test('what is written is read back the same', () => {
  for (const text of ['<a x="&quot;&amp;\'&#10;&#9;&#13;"><b>1 &gt; 0</b><c><d/></c></a>',
    '<q:a xmlns:q="1" xmlns="2" q:x="3" xml:lang="en" y="4"><b/><q:b q:z=""/></q:a>']) {
    const root = parse(text)
    assert.deepEqual(parse(formatXml(root)), root)
  }
})

test('what is no XML is a fault, however it is cut', () => {
  for (const text of [
    '', ' ', 'x', '<a>', '<a></b>', '<a><b></a>', '<a x=1/>', '<a/><b/>', '<a></a>x',
    '<a>&nbsp;</a>', '<a>&b;</a>', '<a b="1" b="2"/>', '<x:a/>', 'HTTP/1.1 200 OK', '<a>&#0;</a>',
    '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', '<!DOCTYPE a><a/>',
    '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
  ]) {
    assert.throws(() => parse(text), FAULT, text)
    assert.throws(() => parse(bytes(text)), FAULT, text)
    assert.throws(() => {
      const reader = new XmlReader('it', 'platform-protocol')
      for (const byte of bytes(text)) reader.write(Uint8Array.of(byte))
      reader.end()
    }, FAULT, text)
  }
  assert.throws(() => parse(Uint8Array.of(0x3c, 0x61, 0x3e, 0xff, 0x3c, 0x2f, 0x61, 0x3e)), FAULT)
})

test('size, depth and number of elements have limits, and what lies on them passes', () => {
  const nested = (depth: number): Uint8Array => bytes('<a>'.repeat(depth) + '</a>'.repeat(depth))
  const limits = { maxBytes: 1000, maxDepth: 5, maxNodes: 20 }
  assert.equal(parse(nested(5), limits).name, 'a')
  assert.throws(() => parse(nested(6), limits), /deeper than 5/)
  const wide = (count: number): Uint8Array => bytes(`<a>${'<b/>'.repeat(count)}</a>`)
  assert.equal(parse(wide(19), limits).children.length, 19)
  assert.throws(() => parse(wide(20), limits), /over 20 elements/)
  assert.equal(parse(`<a>${'x'.repeat(993)}</a>`, limits).text.length, 993)
  assert.throws(() => parse(`<a>${'x'.repeat(994)}</a>`, limits), /longer than/)
  assert.throws(() => parse(bytes(`<a>${'x'.repeat(994)}</a>`), limits), /longer than/)
  const attributes = Array.from({ length: 20 }, (_, n) => `b${n}=""`).join(' ')
  assert.throws(() => parse(`<a ${attributes}/>`, limits), /over 20 elements/)
  assert.throws(() => parse(nested(100)), FAULT)
  assert.throws(() => parse(wide(200_001)), FAULT)
  assert.throws(() => parse(`<a>${' '.repeat(8 * 1024 * 1024)}</a>`), FAULT)
})

test('escaped text comes back, but for what XML cannot hold', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
    const back = parse(`<a>${escapeXml(text)}</a>`).text
    // eslint-disable-next-line no-control-regex
    const lost = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g
    assert.equal(back, text.toWellFormed().replace(lost, '?'))
  }), { numRuns: 50 })
})

test('a name as in Object.prototype is an ordinary attribute', () => {
  const root = parse('<a constructor="x" toString="y"/>')
  assert.equal(root.attributes.get('constructor'), 'x')
  assert.equal(parse('<a/>').attributes.get('constructor'), undefined)
  assert.doesNotThrow(() => parse('<a __proto__="y"/>'))
})
