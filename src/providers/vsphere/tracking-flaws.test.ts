import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isTrackingFlawed } from './tracking-flaws.ts'

const GB = 1000 ** 3

test('builds that lose changes are known, each for the disks that it concerns', () => {
  const cases: readonly (readonly [string, number, number, boolean])[] = [
    ['6.0.0', 3_029_758, GB, true], ['6.0.0', 3_247_719, GB, true],
    ['6.0.0', 3_247_720, GB, false], ['6.5.0', 1, GB, false], ['16.0.0', 1, GB, false],
    ['5.5.0', 2_068_190, 127 * GB, false], ['5.5.0', 2_068_190, 200 * GB, true],
    ['4.1.0', 1, 200 * GB, true], ['8.0.2', 1, 200 * GB, false], ['', 0, 200 * GB, false],
  ]
  for (const [version, build, sizeBytes, expected] of cases) {
    assert.equal(isTrackingFlawed({ version, build }, { sizeBytes }), expected,
      `${version} ${build} ${sizeBytes}`)
  }
})
