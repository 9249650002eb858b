/** Checkpoints against a libvirt of a few lines: what is deleted, and what is a base. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '../../base/fault.ts'
import { silentLog } from '../../base/log.ts'
import type { LibvirtDisk } from './disks.ts'
import { checkpointName } from './names.ts'
import { LibvirtTracking } from './tracking.ts'
import type { VirshCommands } from './virsh.ts'

const signal = new AbortController().signal
const REPOSITORY = 'a'.repeat(64)
const OTHER = 'b'.repeat(64)
const point = (n: number): string => `${String(n).repeat(8)}-1111-4111-8111-111111111111`
const own = (n: number, repository = REPOSITORY): string => checkpointName(repository, point(n))

/** The image and the size of what has changed, by disk, when a checkpoint began. */
type Recorded = Readonly<Record<string, { readonly file: string; readonly size?: number }>>

class FakeLibvirt implements VirshCommands {
  readonly checkpoints: Map<string, Recorded>
  readonly stuck = new Set<string>()

  constructor(checkpoints: Readonly<Record<string, Recorded>>) {
    this.checkpoints = new Map(Object.entries(checkpoints))
  }

  run(words: readonly string[]): Promise<string> {
    const [command, , name = ''] = words
    const refuse = (why: string): Promise<string> =>
      Promise.reject(new Fault('platform-refused', why))
    if (command === 'checkpoint-list') {
      return Promise.resolve(`${[...this.checkpoints.keys()].join('\n')}\n\n`)
    }
    const disks = Object.entries(this.checkpoints.get(name) ?? {})
    if (command === 'checkpoint-delete') {
      if (this.stuck.has(name)) return refuse('bitmap in use')
      return this.checkpoints.delete(name) ? Promise.resolve('') : refuse('no such checkpoint')
    }
    if (command !== 'checkpoint-dumpxml') return refuse('unknown')
    const isSized = words.includes('--size')
    const list = disks.map(([disk, { size }]) => `<disk name='${disk}' checkpoint='bitmap'
      ${isSized && size !== undefined ? `size='${size}'` : ''}/>`).join('')
    const devices = disks.map(([disk, { file }]) => `<disk><source file='${file}'/>
      <target dev='${disk}'/></disk>`).join('')
    return Promise.resolve(`<domaincheckpoint><disks>${list}</disks>${isSized ? ''
      : `<domain><devices>${devices}</devices></domain>`}</domaincheckpoint>`)
  }
}

const disk = (name: string, files: readonly string[], format = 'qcow2'): LibvirtDisk => ({
  id: name, name, sizeBytes: 1024, bus: 'virtio', serial: undefined, pci: undefined,
  target: undefined, lun: undefined, logicalBlockBytes: undefined, format, file: files[0],
  sources: files.map((file) => `file ${file}`),
})
const A = disk('vda', ['/a'])

function begin(
  libvirt: FakeLibvirt, disks: readonly LibvirtDisk[], sealed: readonly number[],
): Promise<LibvirtTracking> {
  return LibvirtTracking.begin({ virsh: libvirt, uuid: 'u', log: silentLog }, disks,
    { repositoryId: REPOSITORY, sealed: sealed.map(point) }, point(9), signal)
}

test('of the repository\'s checkpoints that of the newest sealed point stays, and others\' all do',
  async () => {
    const it = { vda: { file: '/a', size: 1 } }
    const libvirt = new FakeLibvirt({
      [own(1)]: it, foreign: it, [own(2)]: it, [own(3)]: it, [own(4, OTHER)]: it,
      [`${own(5)}.more`]: it, 'stillpoint.': it })
    const { bases } = await begin(libvirt, [A], [1, 2])
    assert.deepEqual([...libvirt.checkpoints.keys()],
      ['foreign', own(2), own(4, OTHER), `${own(5)}.more`, 'stillpoint.'])
    assert.deepEqual(bases.get('vda'), { since: point(2) })
  })

test('the new checkpoint takes the old one\'s place once its point is sealed, and goes otherwise',
  async () => {
    for (const isSealed of [true, false]) {
      const libvirt = new FakeLibvirt({ [own(1)]: { vda: { file: '/a', size: 1 } } })
      const tracking = await begin(libvirt, [A], [1])
      assert.equal(tracking.newName, own(9))
      assert.equal(tracking.sinceOf('vda'), own(1))
      libvirt.checkpoints.set(own(9), {})
      if (isSealed) tracking.sealed()
      await tracking.settle(signal)
      assert.deepEqual([...libvirt.checkpoints.keys()], [own(isSealed ? 9 : 1)])
    }
  })

test('each reason for a full read is told', async () => {
  const base = async (recorded: Recorded | undefined, it: LibvirtDisk, sealed: readonly number[],
    others: Readonly<Record<string, Recorded>> = {}): Promise<unknown> =>
    (await begin(new FakeLibvirt({
      ...others, ...(recorded === undefined ? {} : { [own(1)]: recorded }) }), [it], sealed))
      .bases.get('vda')
  const whole = { vda: { file: '/a', size: 0 } }
  assert.deepEqual(await base(whole, A, [1]), { since: point(1) })
  assert.deepEqual(await base(undefined, A, []), { full: 'first-backup' })
  assert.deepEqual(await base(undefined, A, [], { [own(1, OTHER)]: whole }),
    { full: 'other-repository' })
  assert.deepEqual(await base(undefined, A, [], { foreign: whole }), { full: 'first-backup' })
  assert.deepEqual(await base(undefined, A, [1]), { full: 'bitmap-gone' })
  assert.deepEqual(await base(whole, A, [2]), { full: 'bitmap-gone' })
  assert.deepEqual(await base({ vda: { file: '/a' } }, A, [1]), { full: 'bitmap-inconsistent' })
  assert.deepEqual(await base({ vdb: { file: '/a', size: 0 } }, A, [1]),
    { full: 'disk-replaced' })
  assert.deepEqual(await base({ vda: { file: '/b', size: 0 } }, A, [1]),
    { full: 'disk-replaced' })
  assert.deepEqual(await base(whole, disk('vda', ['/top', '/a']), [1]), { since: point(1) })
  assert.deepEqual(await base(whole, disk('vda', ['/a'], 'raw'), [1]), { full: 'not-tracked' })
})

test('without a disk that can keep a bitmap there is no checkpoint', async () => {
  const tracking = await begin(new FakeLibvirt({}), [disk('vda', ['/a'], 'raw')], [])
  assert.equal(tracking.newName, undefined)
})

test('a checkpoint that cannot be deleted does not keep a backup from being made', async () => {
  const libvirt = new FakeLibvirt({ [own(1)]: {}, [own(2)]: { vda: { file: '/a', size: 1 } } })
  libvirt.stuck.add(own(1))
  const { bases } = await begin(libvirt, [A], [2])
  assert.deepEqual(bases.get('vda'), { since: point(2) })
  assert.ok(libvirt.checkpoints.has(own(1)))
})
