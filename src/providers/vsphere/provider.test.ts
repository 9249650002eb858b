/** The provider on vcsim; what vcsim lacks comes from a front of ours, and the names say so. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { processMark, type MarkedProcess } from '../../base/process-mark.ts'
import { seededRandom } from '../../base/random.ts'
import type { PreparedSet } from '../../consistency/mod.ts'
import { commitSet, providerContract } from '../../consistency/testing/mod.ts'
import { soapAnswer, soapFaultAnswer, type FrontHandler } from '../testing/soap-front.ts'
import { vcsimMissing } from '../testing/vcsim.ts'
import { VsphereBench } from '../testing/vsphere-bench.ts'
import { descriptionFor, markActive, nameFor, standingOf } from './snapshots.ts'

const skip = vcsimMissing() ?? false
const { signal } = new AbortController()
const MIB = 2 ** 20
const POINT_ID = '0f1b2a0e-3c5d-4e8f-8a9b-0c1d2e3f4a5b'
const DEAD_POINT = '1f1b2a0e-3c5d-4e8f-8a9b-0c1d2e3f4a5b'

async function started(handler?: FrontHandler): Promise<VsphereBench> {
  const bench = await VsphereBench.start(handler)
  await bench.fillDisk(seededRandom(1)(MIB))
  return bench
}

async function withSet(
  bench: VsphereBench, run: (set: PreparedSet) => Promise<void>): Promise<void> {
  await using platform = await bench.open()
  await using set = await platform.provider(bench.machine)
    .prepare({ pointId: POINT_ID, exclude: [] }, signal)
  await run(set)
}

const namesLeft = async (bench: VsphereBench): Promise<readonly string[]> =>
  (await bench.read()).snapshots.map(({ name }) => name)

if (!skip) {
  providerContract('vSphere on vcsim', async () => {
    const bench = await started()
    const platform = await bench.open()
    return {
      provider: platform.provider(bench.machine),
      left: () => namesLeft(bench),
      [Symbol.asyncDispose]: async () => {
        await platform[Symbol.asyncDispose]()
        await bench[Symbol.asyncDispose]()
      },
    }
  })
}

suite('the provider on vcsim', { skip }, () => {
  test('the bytes of the datastore are read, in any ranges', async () => {
    await using bench = await started()
    const content = seededRandom(1)(MIB)
    await withSet(bench, async (set) => {
      const committed = await commitSet(set, signal)
      await using source = await committed.open('scsi0-0', signal)
      const ranges = [[0, MIB], [0, 1], [MIB - 1, 1], [4096, 4096], [1000, 70_001]] as const
      await Promise.all(ranges.map(async ([offset, length]) => {
        const bytes = await source.read(offset, length, signal)
        assert.ok(Buffer.compare(bytes, content.subarray(offset, offset + length)) === 0)
      }))
      await assert.rejects(source.read(MIB, 1, signal), { code: 'out-of-range' })
    })
  })

  test('a file of another size than the disk is refused', async () => {
    await using bench = await started()
    await bench.fillDisk(new Uint8Array(MIB - 512))
    await withSet(bench, async (set) => {
      const committed = await commitSet(set, signal)
      await assert.rejects(committed.open('scsi0-0', signal), {
        code: 'disk-unreadable', message: /has 1048064 bytes, the disk 1048576/ })
    })
    assert.deepEqual(await namesLeft(bench), [])
  })

  test('snapshots of users stay, an orphan of ours goes, and only that', async () => {
    await using bench = await started()
    const dead = processMark(2 ** 22 + 1, undefined, () => '1')
    await bench.snapshot('before the update', 'mine')
    await bench.snapshot(nameFor(DEAD_POINT), descriptionFor(dead))
    await bench.snapshot(nameFor(DEAD_POINT), 'a user who likes our names')
    await withSet(bench, async (set) => {
      assert.deepEqual(await namesLeft(bench), ['before the update', nameFor(DEAD_POINT)])
      await commitSet(set, signal)
      assert.equal((await namesLeft(bench)).length, 3)
    })
    assert.deepEqual(await namesLeft(bench), ['before the update', nameFor(DEAD_POINT)])
  })

  test('a run that lives, and one of another host, are not disturbed', async () => {
    await using bench = await started()
    await bench.snapshot(nameFor(DEAD_POINT), descriptionFor())
    using _ = markActive(DEAD_POINT)
    await assert.rejects(withSet(bench, async () => {}), {
      code: 'machine-busy', message: /another backup of DC0_H0_VM0 is at work/ })
    assert.equal((await namesLeft(bench)).length, 1)
  })

  test('whose a snapshot is, by its name and its description', () => {
    const other = processMark(process.pid + 1, undefined, () => '1')
    const standing = (
      fate: MarkedProcess, owner = other, name = nameFor(DEAD_POINT)): string => standingOf(
      { name, description: descriptionFor(owner) },
      { fateOf: () => fate, isActive: (id) => id === POINT_ID })
    assert.equal(standing('alive'), 'in-use')
    assert.equal(standing('gone'), 'orphan')
    assert.equal(standing('elsewhere'), 'elsewhere')
    // Of this very process what it works at is known.
    assert.equal(standing('alive', processMark()), 'orphan')
    assert.equal(standing('alive', processMark(), nameFor(POINT_ID)), 'in-use')
    assert.equal(standing('gone', other, 'Stillpoint'), 'foreign')
    assert.equal(standing('gone', other, `${nameFor(DEAD_POINT)} kept`), 'foreign')
    assert.equal(standing('gone', 'somebody'), 'foreign')
    assert.equal(standingOf({ name: nameFor(DEAD_POINT), description: '' }), 'foreign')
  })

  test('an instant whose snapshot somebody removes is broken', async () => {
    await using bench = await started()
    await withSet(bench, async (set) => {
      const committed = await commitSet(set, signal)
      assert.deepEqual(await committed.stillIntact(signal), { intact: true })
      await bench.task('RemoveAllSnapshots_Task', bench.ref, '')
      assert.ok('broken' in await committed.stillIntact(signal))
    })
  })

  test('a session that is ended in between is made anew, and its reads finish', async () => {
    await using bench = await VsphereBench.start(({ path, headers }, response) => {
      // vcsim asks for no session at its files; a real server does.
      if (!path.startsWith('/folder/') || !refused.has(headers.cookie ?? '')) return false
      response.writeHead(401).end()
      return true
    })
    const refused = new Set<string>()
    await bench.fillDisk(seededRandom(1)(MIB))
    await withSet(bench, async (set) => {
      const committed = await commitSet(set, signal)
      await using source = await committed.open('scsi0-0', signal)
      refused.add(bench.front?.calls.at(-1)?.headers.cookie ?? '')
      const bytes = await source.read(0, MIB, signal)
      assert.ok(Buffer.compare(bytes, seededRandom(1)(MIB)) === 0)
      assert.equal(bench.front?.countOf('Login'), 2)
    })
  })

  test('[front of ours] reads that fail are tried again, refusals are not', async () => {
    let answers: readonly (readonly [number, string, number?])[] = []
    let asked = 0
    await using bench = await started(({ path }, response) => {
      const answer = path.startsWith('/folder/') ? answers[asked++] : undefined
      if (answer === undefined) return false
      const [status, body, first = 0] = answer
      response.writeHead(status, status === 206
        ? { 'content-range': `bytes ${first}-${MIB - 1}/${MIB}` } : {}).end(body)
      return true
    })
    await withSet(bench, async (set) => {
      const committed = await commitSet(set, signal)
      await using source = await committed.open('scsi0-0', signal)
      const read = async (...given: typeof answers): Promise<number> => {
        [answers, asked] = [given, 0]
        return (await source.read(0, MIB, signal)).length
      }
      assert.equal(await read([500, ''], [206, 'short']), MIB)
      assert.equal(asked, 3)
      await assert.rejects(read([404, '']), { code: 'disk-unreadable' })
      await assert.rejects(read([200, 'all of it']), {
        code: 'disk-unreadable', message: /serves no ranges/ })
      await assert.rejects(read([206, 'x'.repeat(MIB), 512]), {
        code: 'platform-protocol', message: /another range/ })
      await assert.rejects(read([206, 'x'.repeat(MIB + 1)]), { code: 'platform-protocol' })
      answers = []
    })
  })

  test('[front of ours] a quiesce that fails is tried without, once, and kept', async () => {
    let tries = 0
    await using bench = await started(({ method, body }, response) => {
      if (method !== 'CreateSnapshotEx_Task') return false
      tries++
      if (!body.includes('quiesceSpec')) return false // vcsim: no such method; then the older one
      response.writeHead(500).end(soapFaultAnswer('ApplicationQuiesceFault', 'script failed'))
      return true
    })
    await bench.stage({ 'guest.toolsRunningStatus': 'guestToolsRunning' })
    await withSet(bench, async (set) => {
      assert.ok(set.heldBy === 'platform')
      const { quiesce } = await set.commitQuiesced('if-possible', signal)
      assert.equal(quiesce.claimed, 'none')
      assert.match(quiesce.documents[0]?.text ?? '', /script failed \(ApplicationQuiesceFault\)/)
    })
    assert.deepEqual([tries, await namesLeft(bench)], [2, []])
  })

  test('[front of ours] what must be quiesced has no second try', async () => {
    let tries = 0
    await using bench = await started(({ method }, response) => {
      if (method !== 'CreateSnapshotEx_Task') return false
      tries++
      response.writeHead(500).end(soapFaultAnswer('FilesystemQuiesceFault', 'too long'))
      return true
    })
    await bench.stage({ 'guest.toolsRunningStatus': 'guestToolsRunning' })
    await withSet(bench, async (set) => {
      assert.ok(set.heldBy === 'platform')
      await assert.rejects(set.commitQuiesced('or-fail', signal), { code: 'freeze-failed' })
    })
    assert.deepEqual([tries, await namesLeft(bench)], [1, []])
    // One that is wanted by no one is not asked for.
    await withSet(bench, async (set) => {
      assert.ok(set.heldBy === 'platform')
      await assert.rejects(set.commitQuiesced('never', signal), { code: 'freeze-failed' })
    })
    assert.doesNotMatch(bench.front?.calls.at(-1)?.body ?? '', /quiesceSpec/)
  })

  test('[front of ours] the newer method is asked for copies, with no lesser context', async () => {
    const asked: string[] = []
    await using bench = await started(({ method, body }, response) => {
      if (method !== 'CreateSnapshotEx_Task') return false
      asked.push(body)
      response.writeHead(500).end(soapFaultAnswer('TaskInProgress'))
      return true
    })
    await bench.stage({
      'guest.toolsRunningStatus': 'guestToolsRunning', 'config.guestId': 'windows2019srv_64Guest' })
    await withSet(bench, async (set) => {
      await assert.rejects(commitSet(set, signal), { code: 'machine-busy' })
    })
    assert.equal(asked.length, 1)
    assert.match(asked[0] ?? '', /<vssBackupType>5<.*<vssBackupContext>ctx_backup</)
  })

  test('[front of ours] disks on a chain of files are told before all else', async () => {
    await using bench = await started(({ method, body }, response) => {
      if (method !== 'RetrievePropertiesEx' || !body.includes('consolidationNeeded')) return false
      response.end(soapAnswer(method, `<returnval><objects><obj type="VirtualMachine">vm-57</obj>
        <propSet><name>config</name><val><hardware><device xsi:type="VirtualDisk"><key>20</key>
        <backing xsi:type="VirtualDiskFlatVer2BackingInfo"><fileName>[d] a/a-01.vmdk</fileName>
        <parent><fileName>[d] a/a.vmdk</fileName></parent></backing>
        <capacityInKB>1024</capacityInKB></device>
        </hardware></val></propSet></objects></returnval>`))
      return true
    })
    await assert.rejects(withSet(bench, async () => {}), { code: 'chain-not-flat' })
    assert.equal(bench.front?.countOf('CreateSnapshot_Task'), 0)
  })
})
