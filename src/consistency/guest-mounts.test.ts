import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type { VolumeEvidence } from './evidence.ts'
import type { GuestFileSystem } from './freezer.ts'
import { expectedCount, matchVolumes, placeOf, proofOfCount, unionOf } from './guest-mounts.ts'
import { listed } from './testing/graded.ts'
import { SAMPLE_MOUNTS, sampleVolume } from './testing/sample-evidence.ts'

const mount = (changes: Partial<GuestFileSystem> = {}): GuestFileSystem =>
  ({ mountpoint: '/', type: 'ext4', device: 'vda1', diskIds: ['vda'], ...changes })

suite('what a device name says of its place', () => {
  for (const [device, layer, partition] of [
    ['vda', 'disk', null], ['vda1', 'partition', 1], ['/dev/sdaa15', 'partition', 15],
    ['xvdb2', 'partition', 2], ['nvme0n1', 'disk', null], ['nvme0n1p3', 'partition', 3],
    ['mmcblk0p1', 'partition', 1], ['dm-0', 'mapped', null], ['mapper/vg-root', 'mapped', null],
    ['md0', 'mapped', null],
  ] as const) {
    test(device, () => assert.deepEqual(placeOf(device), { layer, partition }))
  }
  for (const device of ['', 'loop0', '\\\\?\\Volume{1}\\', 'nvme0', 'vda1p1', 'nas:/export']) {
    test(`nothing: ${device}`, () => assert.equal(placeOf(device), undefined))
  }
})

test('a file system in a file is none of those on the disks', () => {
  const volume = sampleVolume({ diskIds: ['vda'], layer: 'disk', partition: null })
  const inner = mount({ mountpoint: '/inner', device: 'loop0', diskIds: [] })
  const outer = mount({ device: 'vda' })
  assert.deepEqual(matchVolumes([volume], [inner]), [undefined])
  assert.deepEqual(matchVolumes([volume], [inner, outer]), [outer])
})

suite('what a count proves', () => {
  const sample = listed(...SAMPLE_MOUNTS)

  test('the full number proves all, any other number none', () => {
    assert.deepEqual([0, 1, 2, 3].map((count) => proofOfCount(sample, sample, count)),
      ['count-differs', 'count-differs', 'all-frozen', 'count-differs'])
  })

  test('a type of which nobody knows whether it freezes must be among the counted', () => {
    const lists = listed(...SAMPLE_MOUNTS, mount({ type: 'newfs', device: 'vdc' }))
    assert.deepEqual([2, 3].map((count) => proofOfCount(lists, lists, count)),
      ['count-differs', 'all-frozen'])
  })

  test('lists that differ prove nothing, however many are counted', () => {
    const more = listed(...SAMPLE_MOUNTS, mount({ device: 'vdc' }))
    for (const count of [2, 3]) {
      assert.equal(proofOfCount(sample, more, count), 'lists-differ')
      assert.equal(proofOfCount(more, sample, count), 'lists-differ')
    }
  })

  test('a missing list proves nothing', () => {
    assert.equal(proofOfCount(sample, { state: 'unavailable', reason: '' }, 2), 'no-list')
  })

  test('nothing frozen of nothing that could be is no proof', () => {
    const boot = listed(mount({ type: 'vfat' }))
    assert.equal(proofOfCount(boot, boot, 0), 'count-differs')
  })

  test('a bind mount, a subvolume and a network mount do not count', () => {
    assert.equal(expectedCount([
      mount(), mount({ mountpoint: '/bind' }), mount({ type: 'nfs', device: 'nas:/x' })]), 1)
    assert.equal(unionOf([listed(mount()), listed(mount({ mountpoint: '/other' }))]).length, 1)
  })

  test('two types on one device cannot be, so the number is not reached', () => {
    const odd = listed(mount(), mount({ type: 'xfs' }))
    assert.equal(proofOfCount(odd, odd, 1), 'count-differs')
  })
})

suite('which entry a volume is', () => {
  const vda1 = sampleVolume({ partition: 1 })
  const matches = (volume: VolumeEvidence, entry: GuestFileSystem): boolean =>
    matchVolumes([volume], [entry])[0] !== undefined

  test('type, disk and place must fit, as far as they are stated', () => {
    assert.ok(matches(vda1, mount()))
    assert.ok(matches(vda1, mount({ type: 'ext3' })))
    assert.ok(matches(vda1, mount({ diskIds: [] })))
    assert.ok(matches(vda1, mount({ device: 'odd-name' })))
    assert.ok(matches(sampleVolume({ type: 'ntfs' }), mount({ type: 'NTFS', device: '\\\\?\\V' })))
    assert.ok(!matches(vda1, mount({ type: 'xfs' })))
    assert.ok(!matches(vda1, mount({ diskIds: ['vdb'] })))
    assert.ok(!matches(vda1, mount({ device: 'vda2' })))
    assert.ok(!matches(vda1, mount({ device: 'vda' })))
    assert.ok(!matches(vda1, mount({ device: 'dm-0' })))
  })

  test('an entry is handed on where that serves one volume more', () => {
    const first = sampleVolume({ partition: 1 })
    const second = sampleVolume({ partition: 2 })
    const only = mount({ device: 'vda1' })
    const either = mount({ device: 'odd-name', diskIds: [] })
    assert.deepEqual(matchVolumes([first, second], [either, only]), [only, either])
    assert.deepEqual(matchVolumes([second, first], [either, only]), [either, only])
  })

  test('as many as possible are served, the first ones first', () => {
    const place = fc.constantFrom(1, 2, 3)
    const volumes = fc.array(
      place.map((partition) => sampleVolume({ partition })), { maxLength: 4 })
    const entries = fc.array(fc.constantFrom('vda1', 'vda2', 'vda3', 'odd-name')
      .map((device) => mount({ device })), { maxLength: 4 })
    fc.assert(fc.property(volumes, entries, (volumes, entries) => {
      const result = matchVolumes(volumes, entries)
      const served = result.filter((it) => it !== undefined)
      assert.ok(served.every((it) => served.filter((other) => other === it).length <=
        entries.filter((entry) => entry === it).length))
      result.forEach((entry, at) => {
        const volume = volumes[at]
        if (entry !== undefined && volume !== undefined) assert.ok(matches(volume, entry))
      })
      const exact = (partition: number): number =>
        Math.min(volumes.filter((it) => it.partition === partition).length,
          entries.filter(({ device }) => device === `vda${partition}`).length)
      const [one, two, three] = [exact(1), exact(2), exact(3)]
      const loose = entries.filter(({ device }) => device === 'odd-name').length
      assert.equal(served.length, Math.min(volumes.length, one + two + three + loose))
      // A volume that goes without has none of its own kind served after it in its stead.
      result.forEach((entry, at) => {
        if (entry !== undefined) return
        assert.ok(!result.some((later, index) => index > at && later !== undefined &&
          volumes[index]?.partition === volumes[at]?.partition))
      })
    }))
  })

  test('a thousand volumes that fit any of half as many entries are matched at once', () => {
    const many = Array.from({ length: 1024 }, () => sampleVolume())
    const entries = Array.from({ length: 512 }, () => mount({ device: 'odd-name' }))
    const startMs = performance.now()
    assert.equal(matchVolumes(many, entries).filter((it) => it !== undefined).length, 512)
    assert.ok(performance.now() - startMs < 5_000)
  })
})
