import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  childOf, childrenOf, escapeXml, numberOf, parseXml, textAt, typeOf, XmlReader,
} from './xml.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const FAULT = { code: 'platform-protocol' }

test('a reference keeps both its types, whatever the prefix and the order of attributes', () => {
  for (const attributes of [
    'xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:type="ManagedObjectReference" ' +
      'type="HostSystem"',
    'type="HostSystem" xmlns:_X="http://www.w3.org/2001/XMLSchema-instance" ' +
      '_X:type="vim:ManagedObjectReference"',
  ]) {
    const root = parseXml(bytes(`<a xmlns:vim="urn:vim25"><val ${attributes}>h-21</val></a>`), 'it')
    const value = childOf(root, 'val')
    assert.equal(value?.attributes.get('type'), 'HostSystem')
    assert.equal(typeOf(value), 'ManagedObjectReference')
    assert.equal(value?.text, 'h-21')
  }
})

test('text is kept as it is: blanks, leading zeros, entities, CDATA', () => {
  const root = parseXml(bytes('<a><n> 007 </n><n>&lt;&#10;&amp;</n><n><![CDATA[<x>]]></n></a>'), '')
  assert.deepEqual(childrenOf(root, 'n').map(({ text }) => text), [' 007 ', '<\n&', '<x>'])
  assert.equal(textAt(root, 'no', 'such'), undefined)
})

test('what is no XML is a fault, however it is cut', () => {
  for (const text of [
    '', ' ', '<a>', '<a><b></a>', '<a/><b/>', '<a></a>x', '<a>&nbsp;</a>', '<a b="1" b="2"/>',
    '<x:a/>', 'HTTP/1.1 200 OK', '<a>&#0;</a>',
    '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', '<!DOCTYPE a><a/>',
    '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
  ]) {
    assert.throws(() => parseXml(bytes(text), 'it'), FAULT, text)
    assert.throws(() => {
      const reader = new XmlReader('it')
      for (const byte of bytes(text)) reader.write(Uint8Array.of(byte))
      reader.end()
    }, FAULT, text)
  }
  assert.throws(() => parseXml(Uint8Array.of(0x3c, 0x61, 0x3e, 0xff, 0x3c, 0x2f, 0x61, 0x3e), 'it'),
    FAULT)
})

test('size, depth and number of elements have limits, and what lies on them passes', () => {
  const nested = (depth: number): Uint8Array => bytes('<a>'.repeat(depth) + '</a>'.repeat(depth))
  const limits = { maxBytes: 1000, maxDepth: 5, maxNodes: 20 }
  assert.equal(parseXml(nested(5), 'it', limits).name, 'a')
  assert.throws(() => parseXml(nested(6), 'it', limits), /deeper than 5/)
  const wide = (count: number): Uint8Array => bytes(`<a>${'<b/>'.repeat(count)}</a>`)
  assert.equal(parseXml(wide(19), 'it', limits).children.length, 19)
  assert.throws(() => parseXml(wide(20), 'it', limits), /over 20 elements/)
  assert.equal(parseXml(bytes(`<a>${'x'.repeat(993)}</a>`), 'it', limits).text.length, 993)
  assert.throws(() => parseXml(bytes(`<a>${'x'.repeat(994)}</a>`), 'it', limits), /longer than/)
  const attributes = Array.from({ length: 20 }, (_, n) => `b${n}=""`).join(' ')
  assert.throws(() => parseXml(bytes(`<a ${attributes}/>`), 'it', limits), /over 20 elements/)
})

test('escaped text comes back, but for what XML cannot hold', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
    const back = parseXml(bytes(`<a>${escapeXml(text)}</a>`), 'it').text
    // eslint-disable-next-line no-control-regex
    const lost = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g
    assert.equal(back, text.toWellFormed().replace(lost, '?'))
  }), { numRuns: 50 })
})

test('numbers are whole and safe, or a fault', () => {
  assert.equal(numberOf('2000', 'it'), 2000)
  assert.equal(numberOf('-1', 'it'), -1)
  for (const text of [undefined, '', '1.5', '1e3', '0x10', ' 1', '9007199254740992', 'NaN']) {
    assert.throws(() => numberOf(text, 'it'), FAULT)
  }
})
