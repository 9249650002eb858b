import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { encodeStoredMachine, parseStoredMachine, type StoredMachine } from './machine.ts'
import { SAMPLE_MACHINE } from './testing/stored-point.ts'

const [disk] = SAMPLE_MACHINE.disks
assert.ok(disk !== undefined)

function parse(text: string): StoredMachine {
  return parseStoredMachine(new TextEncoder().encode(text), 'machine.json')
}

test('a machine comes back as it was stored, and equal machines give equal bytes', () => {
  const text = encodeStoredMachine(SAMPLE_MACHINE)
  assert.deepEqual(parse(text), SAMPLE_MACHINE)
  const { name, ...rest } = SAMPLE_MACHINE
  assert.equal(encodeStoredMachine({ ...rest, name }), text)
})

test('optional parts may be there or not', () => {
  const full: StoredMachine = {
    ...SAMPLE_MACHINE, platformId: '4c4c4544',
    disks: [{ ...disk, serial: 'abc', logicalBlockBytes: 4096 }],
    nics: [{ model: 'e1000', mac: '52:54:00:12:34:56' }],
  }
  assert.deepEqual(parse(encodeStoredMachine(full)), full)
})

suite('is refused', () => {
  const bad: readonly [string, object][] = [
    ['another version', { version: 2 }],
    ['an unknown key', { loader: '/etc/passwd' }],
    ['a machine without a name', { name: '' }],
    ['a name without end', { name: 'x'.repeat(300) }],
    ['a disk that is a path', { disks: [{ ...disk, id: '../x' }] }],
    ['a disk that is a folder of this', { disks: [{ ...disk, id: '..' }] }],
    ['a disk twice', { disks: [disk, disk] }],
    ['a disk beyond what the layout has names for', { disks: [{ ...disk, sizeBytes: 2 ** 48 }] }],
    ['a chunk size that is no power of two', { disks: [{ ...disk, chunkBytes: 500_000 }] }],
    ['no processor', { cpuCount: 0 }],
    ['a bus nobody knows', { disks: [{ ...disk, bus: 'mfm' }] }],
    ['a size that is no whole number', { disks: [{ ...disk, sizeBytes: 1.5 }] }],
  ]
  for (const [name, changes] of bad) {
    test(name, () => {
      const machine = { ...SAMPLE_MACHINE, ...changes }
      assert.throws(() => parse(JSON.stringify(machine)), { code: 'point-invalid' })
      assert.throws(() => encodeStoredMachine(machine), { code: 'point-invalid' })
    })
  }

  test('what is no JSON, too long or too deep', () => {
    for (const text of ['', '{', ' '.repeat(2_000_000), '['.repeat(20)]) {
      assert.throws(() => parse(text), { code: 'point-invalid' })
    }
  })
})
