/** Change tracking of vSphere; vcsim has none, so a front of ours answers for it. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { soapAnswer, vcsimMissing } from '../../src/providers/testing/mod.ts'
import { DISK_BYTES, MIB, Round } from './vsphere-round.ts'

const skip = vcsimMissing() ?? false

/** Offset and length of each area that is said to have changed. */
interface Told {
  areas: readonly (readonly [number, number])[]
}

/** A machine that is tracked, and what is told of its changes. */
class TrackedRound implements AsyncDisposable {
  readonly round: Round
  readonly #told: Told
  #count = 0

  private constructor(round: Round, told: Told) {
    this.round = round
    this.#told = told
  }

  static async start(): Promise<TrackedRound> {
    const told: Told = { areas: [] }
    const round = await Round.start(({ method }, response) => {
      if (method !== 'QueryChangedDiskAreas') return false
      const areas = told.areas.map(([start, length]) => '<changedArea>' +
        `<start>${start}</start><length>${length}</length></changedArea>`)
      response.end(soapAnswer(method, '<returnval><startOffset>0</startOffset>' +
        `<length>${DISK_BYTES}</length>${areas.join('')}</returnval>`))
      return true
    })
    await round.bench.task('ReconfigVM_Task', round.bench.ref,
      '<spec><changeTrackingEnabled>true</changeTrackingEnabled></spec>')
    return new TrackedRound(round, told)
  }

  /** The disk becomes `image`, another instant, of which `told` will be said. */
  async become(image: Uint8Array, told: Told['areas']): Promise<void> {
    await this.round.bench.fillDisk(image)
    this.#told.areas = told
    await this.round.bench.changeDisk(DISK_BYTES, '<diskMode>persistent</diskMode>' +
      `<uuid>u</uuid><changeId>52 d3/${++this.#count}</changeId>`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.round[Symbol.asyncDispose]()
  }
}

suite('[front of ours] change tracking on vcsim', { skip }, () => {
  test('increments read what changed alone, and a lie about it is caught', async () => {
    await using tracked = await TrackedRound.start()
    const { round } = tracked
    await tracked.become(round.image, [])
    const first = await round.backup()
    assert.deepEqual([first.mode, first.bytesRead], ['full', DISK_BYTES])
    const changed = Buffer.from(round.image)
    changed.fill('new', 3 * MIB, 3 * MIB + 100)
    changed.fill('new', DISK_BYTES - 4096)
    await tracked.become(changed, [[3 * MIB, 65_536], [DISK_BYTES - 65_536, 65_536]])
    const second = await round.backup()
    assert.deepEqual([second.mode, second.bytesRead], ['incremental', MIB], second.stderr)
    assert.ok(Buffer.compare(await round.restored('second'), changed) === 0)
    const lied = Buffer.alloc(DISK_BYTES, 'what nobody was told of')
    await tracked.become(lied, [])
    const third = await round.backup()
    assert.deepEqual([third.mode, third.bytesRead], ['full', DISK_BYTES])
    assert.match(third.reason, /a sample showed changes/)
    assert.match(third.stderr, /backup\.audit-failed/)
    assert.ok(Buffer.compare(await round.restored('third'), lied) === 0)
  })

  test('an audit passes what is true, and catches a lie too small for the sample', async () => {
    await using tracked = await TrackedRound.start()
    const { round } = tracked
    const { bench } = round
    await tracked.become(round.image, [])
    await round.backup()
    const changed = Buffer.from(round.image)
    changed.fill('new', 3 * MIB, 3 * MIB + 100)
    await tracked.become(changed, [[3 * MIB, 65_536]])
    const fine = await round.run('audit-tracking', bench.machine, '--sample', '100')
    assert.equal(fine.code, 0, fine.stderr)
    assert.match(fine.stdout, /^ {2}scsi0-0: since .* 64 KiB .* 31 other chunks .* as they were$/m)
    assert.match(fine.stdout, /^No change was missed in what was compared\.$/m)
    assert.equal((await round.backup()).mode, 'incremental')
    const lied = Buffer.from(changed)
    lied[9 * MIB] = (lied[9 * MIB] ?? 0) ^ 1
    await tracked.become(lied, [])
    const caught = await round.run('audit-tracking', bench.machine, '--sample', '100')
    assert.equal(caught.code, 3, caught.stderr)
    assert.match(caught.stdout, /1 DIFFER, the first at byte 9437184$/m)
    assert.match(caught.stdout, /^verdict: REFUTED \(crash claimed, torn left\)$/m)
    assert.match((await round.run('points')).stdout, /REFUTED/)
    // What the image shows of the point does not clear it.
    assert.equal((await round.run('prove', 'latest')).code, 3)
    const next = await round.backup()
    assert.deepEqual([next.mode, next.bytesRead], ['full', DISK_BYTES])
    assert.match(next.reason, /showed changes that the record of its changes does not have/)
    assert.ok(Buffer.compare(await round.restored('next'), lied) === 0)
    assert.deepEqual((await bench.read()).snapshots, [])
  })
})
