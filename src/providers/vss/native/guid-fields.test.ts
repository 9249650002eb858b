import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatGuid, guidFields, NO_GUID } from './guid-fields.ts'

test('a GUID has its parts as rpcdce.h puts them in memory', () => {
  assert.deepEqual(guidFields('a65faa63-5ea8-4ebc-9dbd-a0c4db26912a'), {
    d1: 0xa65faa63, d2: 0x5ea8, d3: 0x4ebc,
    d4: [0x9d, 0xbd, 0xa0, 0xc4, 0xdb, 0x26, 0x91, 0x2a] })
  assert.equal(formatGuid(NO_GUID), '00000000-0000-0000-0000-000000000000')
})

test('a GUID is the same behind both ways', () => {
  fc.assert(fc.property(fc.uuid(), (guid) => {
    assert.equal(formatGuid(guidFields(guid)), guid)
  }))
})
