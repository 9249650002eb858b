/** The rules for increments; what vSphere tells of changes comes from a front of ours. */

import assert from 'node:assert/strict'
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { seededRandom } from '../../base/random.ts'
import type { PreparedSet } from '../../consistency/mod.ts'
import { commitSet } from '../../consistency/testing/mod.ts'
import type { Range } from '../../disk/mod.ts'
import {
  soapAnswer, soapFaultAnswer, type FrontCall, type FrontHandler,
} from '../testing/soap-front.ts'
import { vcsimMissing } from '../testing/vcsim.ts'
import { VsphereBench } from '../testing/vsphere-bench.ts'
import type { VimDisk } from './devices.ts'
import { baseOf, isLaterThan } from './tracking.ts'
import type { TrackedPoint } from './tracking-record.ts'

const skip = vcsimMissing() ?? false
const { signal } = new AbortController()
const MIB = 2 ** 20
const REPOSITORY = 'ab'.repeat(32)
const [FIRST, SECOND, THIRD] = [1, 2, 3].map((n) => `${n}f1b2a0e-3c5d-4e8f-8a9b-0c1d2e3f4a5b`)
const RECORD = '52 f1 7a/'

const DISK: VimDisk = {
  key: 2000, id: 'scsi0-0', label: '', bus: 'scsi', sizeBytes: MIB, leftOut: undefined,
  backing: { type: '', fileName: '[d] a/a.vmdk', uuid: 'u1', changeId: `${RECORD}5`,
    hasParent: false, isEncrypted: false },
}
const POINT: TrackedPoint = { pointId: 'p1', disks: { 'scsi0-0': {
  key: 2000, uuid: 'u1', file: '[d] a/a.vmdk', sizeBytes: MIB, changeId: `${RECORD}4` } } }
const ON = { tracksChanges: true }

test('a base holds for the very disk that was captured, each difference is a full read', () => {
  const backing = (changes: Partial<VimDisk['backing']>): VimDisk =>
    ({ ...DISK, backing: { ...DISK.backing, ...changes } })
  assert.deepEqual(baseOf(DISK, ON, [POINT], POINT), { since: 'p1' })
  for (const [what, full] of [
    [baseOf(DISK, { tracksChanges: false }, [POINT], POINT), 'not-tracked'],
    [baseOf(DISK, ON, [], undefined), 'bitmap-gone'],
    [baseOf(DISK, ON, [POINT], undefined), 'base-gone'],
    [baseOf({ ...DISK, id: 'scsi0-1' }, ON, [POINT], POINT), 'bitmap-gone'],
    [baseOf({ ...DISK, key: 2001 }, ON, [POINT], POINT), 'disk-replaced'],
    [baseOf(backing({ uuid: 'u2' }), ON, [POINT], POINT), 'disk-replaced'],
    [baseOf(backing({ uuid: undefined }), ON, [POINT], POINT), 'disk-replaced'],
    [baseOf(backing({ fileName: '[e] a/a.vmdk' }), ON, [POINT], POINT), 'disk-replaced'],
    [baseOf({ ...DISK, sizeBytes: 2 * MIB }, ON, [POINT], POINT), 'disk-resized'],
  ] as const) assert.deepEqual(what, { full })
})

test('a change id is later in the same record alone, and never where one is missing', () => {
  assert.ok(isLaterThan('a b-c/5', 'a b-c/4'))
  assert.ok(isLaterThan('a/10', 'a/9'))
  for (const [now, before] of [
    [undefined, 'a/4'], ['', 'a/4'], ['b/5', 'a/4'], ['a/3', 'a/4'], ['a/x', 'a/4'], ['a', 'a'],
    ['*', 'a/4'], ['a/5', '*'], ['a/5', ''], ['/5', '/4'],
  ] as const) assert.equal(isLaterThan(now, before), false, `${now} after ${before}`)
})

/** Of the front: what it says has changed, or the fault it gives. */
type Told = readonly Range[] | string

const numberIn = (body: string, name: string): number =>
  Number(new RegExp(`<${name}>(\\d+)<`).exec(body)?.[1] ?? NaN)

/** Answers half a disk at a time. */
function telling(told: () => Told, asked: FrontCall[] = []): FrontHandler {
  return (call, response) => {
    if (call.method !== 'QueryChangedDiskAreas') return false
    asked.push(call)
    const areas = told()
    if (typeof areas === 'string') {
      response.writeHead(500).end(areas.startsWith('<') ? areas : soapFaultAnswer(areas))
      return true
    }
    const offset = numberIn(call.body, 'startOffset')
    const length = Math.min(MIB / 2, MIB - offset)
    const inside = areas.filter((it) => it.offset >= offset && it.offset < offset + length)
    response.end(soapAnswer(call.method, `<returnval><startOffset>${offset}</startOffset>` +
      `<length>${length}</length>${inside.map((it) => `<changedArea><start>${it.offset}</start>` +
        `<length>${it.length}</length></changedArea>`).join('')}</returnval>`))
    return true
  }
}

/** A machine that tracks its changes. */
async function started(handler: FrontHandler): Promise<VsphereBench> {
  const bench = await VsphereBench.start(handler)
  await bench.fillDisk(seededRandom(1)(MIB))
  await bench.task('ReconfigVM_Task', bench.ref,
    '<spec><changeTrackingEnabled>true</changeTrackingEnabled></spec>')
  await moveOn(bench, `${RECORD}1`)
  return bench
}

function moveOn(bench: VsphereBench, changeId: string): Promise<void> {
  return bench.changeDisk(MIB,
    `<diskMode>persistent</diskMode><uuid>u1</uuid><changeId>${changeId}</changeId>`)
}

interface Run {
  readonly pointId?: string | undefined
  readonly sealed: readonly (string | undefined)[]
  /** Default: it is sealed. */
  readonly fails?: boolean
}

async function run(
  bench: VsphereBench, { pointId = SECOND, sealed, fails = false }: Run,
  look: (set: PreparedSet, changed: readonly Range[] | undefined, lost: string | undefined) =>
    void | Promise<void> = () => {},
): Promise<void> {
  await using platform = await bench.open()
  await using set = await platform.provider(bench.machine).prepare({
    pointId: pointId ?? '', exclude: [],
    tracking: { repositoryId: REPOSITORY, sealed: sealed.flatMap((it) => it ?? []) } }, signal)
  const committed = await commitSet(set, signal)
  await using source = await committed.open('scsi0-0', signal)
  const changes = source.changes?.({ offset: 0, length: MIB }, signal)
  const changed = changes === undefined ? undefined : await Array.fromAsync(changes)
  await look(set, changed, committed.lostBases?.get('scsi0-0'))
  if (!fails) set.tracking?.sealed()
}

const AREAS: readonly Range[] = [
  { offset: 4096, length: 8192 }, { offset: 12_288, length: 4096 },
  { offset: MIB - 512, length: 512 }]

suite('increments on vcsim, changes told by a front of ours', { skip }, () => {
  test('a host that loses changes is not believed, nor what it called an instant', async () => {
    let build: string | undefined = '3029758'
    const answer = telling(() => AREAS)
    await using bench = await started((call, response) => {
      if (build === undefined || !call.body.includes('config.product')) {
        return answer(call, response)
      }
      response.end(soapAnswer(call.method, '<returnval><objects><obj type="HostSystem">h</obj>' +
        '<propSet><name>config.product</name><val><version>6.0.0</version>' +
        `<build>${build}</build></val></propSet></objects></returnval>`))
      return true
    })
    await run(bench, { pointId: FIRST, sealed: [] })
    await run(bench, { pointId: SECOND, sealed: [FIRST] }, (set, changed) => {
      assert.deepEqual(set.tracking?.bases.get('scsi0-0'), { full: 'tracking-flawed' })
      assert.equal(changed, undefined)
    })
    build = '3247720'
    await run(bench, { pointId: THIRD, sealed: [FIRST, SECOND] }, (set) => {
      assert.deepEqual(set.tracking?.bases.get('scsi0-0'), { full: 'bitmap-gone' })
    })
    build = undefined // vcsim's own, of 6.5
    await run(bench, { pointId: FIRST, sealed: [FIRST, SECOND, THIRD] }, (set) => {
      assert.deepEqual(set.tracking?.bases.get('scsi0-0'), { since: THIRD })
    })
  })

  test('a disk is read in full first, and then what changed since the sealed point', async () => {
    const asked: FrontCall[] = []
    await using bench = await started(telling(() => AREAS, asked))
    await run(bench, { pointId: FIRST, sealed: [] }, (set, changed) => {
      assert.deepEqual(set.tracking?.bases.get('scsi0-0'), { full: 'bitmap-gone' })
      assert.equal(changed, undefined)
    })
    await moveOn(bench, `${RECORD}2`)
    await run(bench, { pointId: SECOND, sealed: [FIRST] }, (set, changed) => {
      assert.deepEqual(set.tracking?.bases.get('scsi0-0'), { since: FIRST })
      assert.deepEqual(changed, [
        { offset: 4096, length: 12_288 }, { offset: MIB - 512, length: 512 }])
    })
    assert.deepEqual(asked.map(({ body }) => numberIn(body, 'startOffset')), [0, MIB / 2])
    assert.ok(asked.every(({ body }) => body.includes(`<changeId>${RECORD}1</changeId>`)))
    await run(bench, { pointId: THIRD, sealed: [FIRST, SECOND] }, (set) => {
      assert.deepEqual(set.tracking?.bases.get('scsi0-0'), { since: SECOND })
    })
  })

  test('after a run that failed or was killed the repository says what the base is', async () => {
    await using bench = await started(telling(() => []))
    await run(bench, { pointId: FIRST, sealed: [] })
    const since = async (sealed: Run['sealed']): Promise<unknown> => {
      let found: unknown
      await run(bench, { pointId: THIRD, sealed, fails: true }, (set) => {
        found = set.tracking?.bases.get('scsi0-0')
      })
      return found
    }
    await run(bench, { pointId: SECOND, sealed: [FIRST], fails: true })
    assert.deepEqual(await since([FIRST]), { since: FIRST })
    // Killed behind the seal: both are on file, and what is sealed counts.
    const folder = join(bench.folder, 'state')
    const [name = ''] = await readdir(folder)
    let between = ''
    await run(bench, { pointId: SECOND, sealed: [FIRST] }, async () => {
      between = await readFile(join(folder, name), 'utf8')
    })
    await writeFile(join(folder, name), between)
    assert.deepEqual(await since([FIRST]), { since: FIRST })
    await writeFile(join(folder, name), between)
    assert.deepEqual(await since([FIRST, SECOND]), { since: SECOND })
    assert.deepEqual(await since([]), { full: 'base-gone' })
    await writeFile(join(folder, name), '{}')
    assert.deepEqual(await since([FIRST, SECOND]), { full: 'bitmap-gone' })
  })

  test('a record that began anew, or went back, is never built upon', async () => {
    await using bench = await started(telling(() => assert.fail('it was asked all the same')))
    await moveOn(bench, `${RECORD}5`)
    await run(bench, { pointId: FIRST, sealed: [] })
    for (const changeId of ['11 22 33/9', `${RECORD}4`, '']) {
      await moveOn(bench, changeId)
      await run(bench, { sealed: [FIRST], fails: true }, (_set, changed, lost) => {
        assert.deepEqual([changed, lost], [undefined, 'tracking-reset'], changeId)
      })
    }
  })

  test('changes that are refused, or told only in part, are a full read', async () => {
    let told: Told = []
    await using bench = await started(telling(() => told))
    await run(bench, { pointId: FIRST, sealed: [] })
    const answer = (start: number, length: number, area = ''): string =>
      soapAnswer('QueryChangedDiskAreas', `<returnval><startOffset>${start}</startOffset>` +
        `<length>${length}</length>${area}</returnval>`)
    for (told of [
      'FileFault', 'InvalidArgument', 'NotFound', answer(0, 0), answer(0, -1), answer(512, 512),
      answer(0, MIB + 1), answer(0, MIB, '<changedArea><start>0</start></changedArea>'),
      answer(0, MIB, `<changedArea><start>${MIB}</start><length>1</length></changedArea>`),
      answer(0, MIB, '<changedArea><start>-1</start><length>2</length></changedArea>'),
      soapAnswer('QueryChangedDiskAreas', ''), 'not known at all',
    ]) {
      await run(bench, { sealed: [FIRST], fails: true }, (_set, changed, lost) => {
        assert.deepEqual([changed, lost], [undefined, 'changes-refused'], JSON.stringify(told))
      })
    }
  })

  test('tracking is switched on for a machine without snapshots, and for no other', async () => {
    await using bench = await VsphereBench.start(telling(() => []))
    await bench.fillDisk(seededRandom(1)(MIB))
    await bench.stage({
      'capability.changeTrackingSupported': '<value xsi:type="xsd:boolean">true</value>' })
    const enable = (): number => bench.front?.calls.filter(({ body }) =>
      body.includes('<changeTrackingEnabled>true<')).length ?? 0
    await bench.snapshot('of a user')
    await run(bench, { pointId: FIRST, sealed: [] })
    assert.equal(enable(), 0)
    await bench.task('RemoveAllSnapshots_Task', bench.ref, '')
    await run(bench, { pointId: SECOND, sealed: [FIRST] }, (set) => {
      assert.deepEqual(set.tracking?.bases.get('scsi0-0'), { full: 'not-tracked' })
    })
    assert.deepEqual([enable(), (await bench.read()).tracksChanges], [1, true])
    assert.deepEqual((await bench.read()).snapshots, [])
    await run(bench, { pointId: THIRD, sealed: [FIRST, SECOND] })
    assert.equal(enable(), 1)
  })
})
