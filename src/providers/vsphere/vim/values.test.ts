import assert from 'node:assert/strict'
import { test } from 'node:test'
import { childOf, parseXml } from '../../../base/xml.ts'
import { numberOf, typeOf } from './values.ts'

const FAULT = { code: 'platform-protocol' }

test('a reference keeps both its types, whatever the prefix and the order of attributes', () => {
  for (const attributes of [
    'xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:type="ManagedObjectReference" ' +
      'type="HostSystem"',
    'type="HostSystem" xmlns:_X="http://www.w3.org/2001/XMLSchema-instance" ' +
      '_X:type="vim:ManagedObjectReference"',
  ]) {
    const root = parseXml(`<a xmlns:vim="urn:vim25"><val ${attributes}>h-21</val></a>`, 'it',
      'platform-protocol')
    const value = childOf(root, 'val')
    assert.equal(value?.attributes.get('type'), 'HostSystem')
    assert.equal(typeOf(value), 'ManagedObjectReference')
    assert.equal(value?.text, 'h-21')
  }
})

test('numbers are whole and safe, or a fault', () => {
  assert.equal(numberOf('2000', 'it'), 2000)
  assert.equal(numberOf('-1', 'it'), -1)
  for (const text of [undefined, '', '1.5', '1e3', '0x10', ' 1', '9007199254740992', 'NaN']) {
    assert.throws(() => numberOf(text, 'it'), FAULT)
  }
})
