/** The provider of Hyper-V on a simulated host: what it shows holds for our side alone. */

import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import type { PreparedSet, QuiescedSet, QuiesceWish } from '../../consistency/mod.ts'
import { providerContract } from '../../consistency/testing/mod.ts'
import type { Range } from '../../disk/mod.ts'
import { HypervBench } from '../testing/hyperv/hyperv-bench.ts'
import { nameFor, notesFor } from './checkpoints.ts'
import { lockMachine } from './run-lock.ts'

const { signal } = new AbortController()
const POINT = '0f1b2a0e-3c5d-4e8f-8a9b-0c1d2e3f4a5b'
const NEXT_POINT = '1f1b2a0e-3c5d-4e8f-8a9b-0c1d2e3f4a5b'
const DEAD_POINT = '2f1b2a0e-3c5d-4e8f-8a9b-0c1d2e3f4a5b'
const REPOSITORY = 'e'.repeat(64)
const FAILED = { errorCode: 32_772, error: 'The VSS operation failed (0x800423F3).' }

providerContract('Hyper-V on a simulated host', async () => {
  const bench = await HypervBench.start()
  return { provider: bench.provider, left: async () => bench.left(),
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose]() }
})

function prepare(
  bench: HypervBench, pointId = POINT, sealed: readonly string[] = []): Promise<PreparedSet> {
  return bench.provider.prepare(
    { pointId, exclude: [], tracking: { repositoryId: REPOSITORY, sealed } }, signal)
}

async function commit(set: PreparedSet, wish: QuiesceWish = 'if-possible'): Promise<QuiescedSet> {
  assert(set.heldBy === 'platform')
  return set.commitQuiesced(wish, signal)
}

/** A whole run whose point is sealed; what it said of its base. */
async function run(
  bench: HypervBench, pointId: string, sealed: readonly string[]): Promise<unknown> {
  await using set = await prepare(bench, pointId, sealed)
  const { lostBases } = await commit(set)
  set.tracking?.sealed()
  return lostBases?.get('scsi0-0') ?? set.tracking?.bases.get('scsi0-0')
}

suite('the checkpoint', () => {
  test('level 1 is asked for as a copy, and shows file systems alone', async () => {
    await using bench = await HypervBench.start()
    await using set = await prepare(bench)
    const { quiesce, method } = await commit(set)
    assert.equal(method, 'hyperv-checkpoint')
    assert.equal(quiesce.claimed, 'application')
    assert.deepEqual(quiesce.documents.map(({ shows }) => shows), ['filesystem'])
    assert.match(quiesce.documents[0]?.text ?? '', /"askedLevel":1/)
    assert.match(bench.state.journal.find((it) => it.startsWith('checkpoint')) ?? '', /"level":1/)
  })

  test('of a Linux no more is claimed than file systems', async () => {
    await using bench = await HypervBench.start()
    bench.machine.guestOs = 'Debian GNU/Linux'
    await using set = await prepare(bench)
    assert.equal((await commit(set)).quiesce.claimed, 'filesystem')
  })

  test('a guest whose part of backup does not answer afterwards shows nothing', async () => {
    await using bench = await HypervBench.start()
    await using set = await prepare(bench)
    bench.before = (script) => {
      const [vss] = bench.machine.services
      if (script === 'job' && vss !== undefined) vss.primary = 'LostCommunication'
    }
    const { quiesce } = await commit(set)
    assert.deepEqual(quiesce.documents.map(({ shows }) => shows), ['nothing'])
  })

  test('level 2 follows a failed level 1 where a weaker grade is accepted', async () => {
    await using bench = await HypervBench.start()
    bench.state.level1Fails = FAILED
    const source = 'Microsoft-Windows-Hyper-V-Worker'
    bench.state.events = [{ source, id: 3352, level: 2, at: '' }]
    await using set = await prepare(bench)
    const { quiesce } = await commit(set)
    assert.equal(quiesce.claimed, 'none')
    const [document] = quiesce.documents
    assert.equal(document?.shows, 'nothing')
    assert.match(document?.text ?? '', /it took too long \(32772\): The VSS operation failed/)
    assert.match(document?.text ?? '', /VSS in the guest failed \(event 3352\)/)
  })

  test('level 2 is never taken where it is not accepted', async () => {
    await using bench = await HypervBench.start()
    bench.state.level1Fails = FAILED
    {
      await using set = await prepare(bench)
      await assert.rejects(commit(set, 'or-fail'), { code: 'freeze-failed', message: /32772/ })
    }
    bench.state.level1Fails = null
    const [vss] = bench.machine.services
    assert(vss !== undefined)
    vss.enabled = false
    {
      await using set = await prepare(bench)
      await assert.rejects(commit(set, 'or-fail'), {
        code: 'freeze-failed', message: /backup is switched off among the integration services/ })
    }
    assert.ok(!bench.state.journal.some((line) => line.includes('"level":2')))
    assert.deepEqual(bench.left(), [])
  })

  test('a host that cannot ask for a copy asks no Windows, unless that is accepted', async () => {
    for (const [acceptLogTruncation, level] of [[false, 2], [true, 1]] as const) {
      await using bench = await HypervBench.start({ acceptLogTruncation })
      bench.state.host.canCopy = false
      await using set = await prepare(bench)
      const { quiesce } = await commit(set)
      assert.match(quiesce.documents[0]?.text ?? '', new RegExp(`"askedLevel":${level}`))
      assert.equal(/truncate their logs/.test(quiesce.documents[0]?.text ?? ''), level === 2)
    }
  })

  test('a machine that still writes to the same file is not captured', async () => {
    await using bench = await HypervBench.start()
    {
      await using set = await prepare(bench)
      bench.before = (script) => {
        if (script !== 'job') return
        for (const { chain } of bench.machine.disks) chain.splice(0, chain.length - 1)
      }
      await assert.rejects(commit(set), { code: 'snapshot-failed' })
      bench.before = () => {}
      bench.state.mergeLooks = 0
    }
    assert.deepEqual(bench.left(), [])
  })

  test('what is merged is waited for', async () => {
    await using bench = await HypervBench.start()
    bench.state.mergeLooks = 7
    {
      await using set = await prepare(bench)
      await commit(set)
    }
    assert.deepEqual(bench.left(), [])
  })

  test('names of machines reach the host as data, whatever is in them', async () => {
    await using bench = await HypervBench.start()
    bench.machine.name = '"; Remove-VM * #\u2028\'$(evil)'
    await using set = await prepare(bench)
    await commit(set)
    assert.deepEqual(bench.deeds, ['checkpoint'])
  })
})

suite('what a killed run leaves', () => {
  const orphan = (bench: HypervBench, changes = {}): void => {
    bench.machine.checkpoints.push({ id: '99999999-0000-4000-8000-000000000001',
      name: nameFor(DEAD_POINT), notes: notesFor('HOST1'), isRecovery: true, ...changes })
    for (const { chain } of bench.machine.disks) {
      const [head] = chain
      if (head !== undefined) chain.unshift({ ...head, path: `${head.path}_dead.avhdx` })
    }
  }

  test('a checkpoint of ours goes at the next run', async () => {
    await using bench = await HypervBench.start()
    orphan(bench)
    {
      await using set = await prepare(bench)
      await commit(set)
    }
    assert.equal(bench.deeds[0], 'destroy-checkpoint')
    assert.deepEqual(bench.left(), [])
  })

  test('recover removes it and says so', async () => {
    await using bench = await HypervBench.start()
    orphan(bench)
    assert.deepEqual(await bench.provider.recover?.(signal),
      [`removed ${nameFor(DEAD_POINT)}, which a run that was killed had left`])
  })

  for (const [whose, changes] of [
    ['a user\'s own checkpoint', { isRecovery: false, name: 'before the update' }],
    ['one of a user that has our name', { isRecovery: false }],
    ['one of another backup program', { name: 'Other Backup 7' }],
  ] as const) {
    test(`${whose} stays`, async () => {
      await using bench = await HypervBench.start()
      orphan(bench, changes)
      const [kept] = bench.machine.checkpoints
      {
        await using set = await prepare(bench)
        await commit(set)
        set.tracking?.sealed()
      }
      assert.deepEqual(bench.machine.checkpoints, [kept])
      assert.deepEqual(bench.deeds, ['checkpoint', 'convert'])
    })
  }

  test('one that another host made is not touched, and stops the run', async () => {
    await using bench = await HypervBench.start()
    orphan(bench, { notes: notesFor('HOST2') })
    await assert.rejects(prepare(bench), { code: 'machine-busy', message: /by the host HOST2/ })
    assert.deepEqual(bench.deeds, [])
  })

  test('while a run is at work its checkpoint is no orphan', async () => {
    await using bench = await HypervBench.start()
    {
      await using set = await prepare(bench)
      await commit(set)
      await assert.rejects(prepare(bench, NEXT_POINT), { code: 'machine-busy' })
      assert.equal(bench.machine.checkpoints.length, 1)
    }
    await using free = await lockMachine(bench.machine.id)
    assert.ok(free)
  })

  test('a release that the host refuses at first is tried again', async () => {
    await using bench = await HypervBench.start()
    let refusals = 2
    bench.before = (script) => {
      if (script === 'destroy-checkpoint' && refusals-- > 0) throw new Error('out of order')
    }
    {
      await using set = await prepare(bench)
      await commit(set)
    }
    assert.deepEqual(bench.left(), [])
  })
})

suite('increments', () => {
  test('the reference point of a sealed point is the next base, and the old one goes', async () => {
    await using bench = await HypervBench.start()
    assert.deepEqual(await run(bench, POINT, []), { full: 'bitmap-gone' })
    const [first] = bench.machine.referencePoints
    bench.state.changes = [{ offset: 65_536, length: 4096 }, { offset: 0, length: 512 }]
    bench.state.changesCover = 100_000
    await using set = await prepare(bench, NEXT_POINT, [POINT])
    assert.deepEqual(set.tracking?.bases.get('scsi0-0'), { since: POINT })
    const committed = await commit(set)
    await using source = await committed.open('scsi0-0', signal)
    const ranges: Range[] = []
    for await (const range of source.changes?.({ offset: 0, length: 2 ** 20 }, signal) ?? []) {
      ranges.push(range)
    }
    assert.deepEqual(ranges, [{ offset: 0, length: 512 }, { offset: 65_536, length: 4096 }])
    assert.match(committed.quiesce.documents[0]?.text ?? '', /"consistencyLevel":1/)
    set.tracking?.sealed()
    await source[Symbol.asyncDispose]()
    await set[Symbol.asyncDispose]()
    assert.equal(bench.machine.referencePoints.length, 1)
    assert.notEqual(bench.machine.referencePoints[0]?.id, first?.id)
  })

  test('a run that is not sealed leaves the base as it was', async () => {
    await using bench = await HypervBench.start()
    await run(bench, POINT, [])
    const points = structuredClone(bench.machine.referencePoints)
    {
      await using set = await prepare(bench, NEXT_POINT, [POINT])
      await commit(set)
    }
    assert.deepEqual(bench.machine.referencePoints, points)
    await using set = await prepare(bench, NEXT_POINT, [POINT])
    assert.deepEqual(set.tracking?.bases.get('scsi0-0'), { since: POINT })
  })

  for (const [why, spoil, expected] of [
    ['the record of changes was begun anew', (bench: HypervBench) => {
      bench.state.changesReturn = 32_775
      bench.state.events = [{ source: 'Microsoft-Windows-VHDMP', id: 8, level: 3, at: '' }]
    }, 'tracking-reset'],
    ['the host tells no changes', (bench: HypervBench) => { bench.state.changesReturn = 32_775 },
      'changes-refused'],
    ['a change lies outside of the disk', (bench: HypervBench) => {
      bench.state.changes = [{ offset: 2 ** 20 - 512, length: 1024 }]
    }, 'changes-refused'],
    ['answers that cover nothing', (bench: HypervBench) => { bench.state.changesCover = 0 },
      'changes-refused'],
    ['the reference point is gone', (bench: HypervBench) => { bench.machine.referencePoints = [] },
      { full: 'bitmap-gone' }],
    ['another disk is there', (bench: HypervBench) => {
      for (const { chain: [head] } of bench.machine.disks) {
        if (head !== undefined) head.id = 'bbbbbbbb-0000-0000-0000-000000000002'
      }
    }, { full: 'disk-replaced' }],
    ['the disk has grown', (bench: HypervBench) => {
      for (const { chain: [head] } of bench.machine.disks) {
        if (head !== undefined) head.sizeBytes *= 2
      }
    }, { full: 'disk-resized' }],
    ['an old configuration version', (bench: HypervBench) => { bench.machine.version = '5.0' },
      { full: 'not-tracked' }],
  ] as const) {
    test(`${why}: all is read, and why is said`, async () => {
      await using bench = await HypervBench.start()
      await run(bench, POINT, [])
      spoil(bench)
      assert.deepEqual(await run(bench, NEXT_POINT, [POINT]), expected)
      assert.deepEqual(bench.left(), [])
    })
  }

  test('without a reference point the checkpoint goes, and the next run reads all', async () => {
    await using bench = await HypervBench.start()
    bench.state.convertReturns = 32_770
    await run(bench, POINT, [])
    assert.deepEqual(bench.left(), [])
    assert.deepEqual(await run(bench, NEXT_POINT, [POINT]), { full: 'bitmap-gone' })
  })

  test('what the host says of a reference point is kept beside it', async () => {
    await using bench = await HypervBench.start()
    await run(bench, POINT, [])
    const [file = ''] = await readdir(join(bench.folder.path, 'state'))
    const record = JSON.parse(await readFile(join(bench.folder.path, 'state', file), 'utf8'))
    assert.equal(record.point.consistencyLevel, 1)
    assert.equal(record.point.pointId, POINT)
  })
})

suite('machines', () => {
  test('a machine of another node of the cluster is named with its node', async () => {
    await using bench = await HypervBench.start()
    Object.assign(bench.machine, { isClustered: true, ownerNode: 'NODE2' })
    await assert.rejects(prepare(bench), {
      code: 'machine-not-ready', message: /belongs to the node NODE2/ })
    const { remarks = [] } = await bench.provider.survey([], signal)
    assert.match(remarks.find(({ name }) => name === 'cluster')?.says ?? '', /NODE2, not by this/)
  })

  test('are listed with their power and whether they answer', async () => {
    await using bench = await HypervBench.start()
    const second = structuredClone(bench.machine)
    bench.state.machines.push({ ...second, id: '22222222-2222-3333-4444-555555555555',
      name: 'a second one', state: 'Off', services: [] })
    assert.deepEqual(
      (await bench.platform.machines(signal)).map(({ name, power, agent }) => [name, power, agent]),
      [['a second one', 'off', 'disabled'], ['web Ünïcode; $(x)', 'running', 'answers']])
  })

  test('what the host answers is bounded and checked', async () => {
    await using bench = await HypervBench.start()
    Object.assign(bench.machine, { id: '"; drop', memoryBytes: -1 })
    await assert.rejects(bench.platform.machines(signal), { code: 'platform-protocol' })
  })
})
