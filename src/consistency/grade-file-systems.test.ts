import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Evidence, VolumeEvidence } from './evidence.ts'
import { gradeOf } from './grade.ts'
import type { ReasonCode } from './reasons.ts'
import { codesOf, gets, listed, withFiles, withLists } from './testing/graded.ts'
import {
  SAMPLE_HOLD, SAMPLE_MOUNTS, SAMPLE_VOLUMES, sampleEvidence, sampleVolume,
} from './testing/sample-evidence.ts'

const [root, esp, srv] = SAMPLE_MOUNTS
const [rootVolume, espVolume, srvVolume] = SAMPLE_VOLUMES
assert.ok(root && esp && srv && rootVolume && espVolume && srvVolume)

/** The sample with other counts stated at freeze and thaw. */
function counted(count: number): Evidence {
  const { freeze, thaw } = SAMPLE_HOLD
  assert.ok(freeze.state === 'acknowledged' && thaw.state === 'thawed')
  return sampleEvidence({
    hold: { ...SAMPLE_HOLD, freeze: { ...freeze, count }, thaw: { ...thaw, count } } })
}

suite('file systems', () => {
  const isCrash = (name: string, evidence: Evidence, code: ReasonCode): void => {
    test(`crash: ${name}`, () => gets(evidence, 'crash', code))
  }
  const isHeld = (name: string, evidence: Evidence): void => {
    test(`held: ${name}`, () => assert.equal(gradeOf(evidence).grade, 'application'))
  }
  const both = (...volumes: readonly VolumeEvidence[]): Evidence =>
    withFiles({ volumes: [...SAMPLE_VOLUMES, ...volumes] })
  const extra = (changes: Partial<VolumeEvidence>): VolumeEvidence =>
    sampleVolume({ diskIds: ['vdb'], where: 'partition 5', partition: 5, ...changes })

  isCrash('no list of the agent before', withLists({ state: 'unavailable', reason: 'x' },
    listed(...SAMPLE_MOUNTS)), 'file-systems-unlisted')
  isCrash('no list of the agent after', withLists(listed(...SAMPLE_MOUNTS),
    { state: 'unavailable', reason: 'x' }), 'file-systems-unlisted')
  isCrash('a disk nobody probed', withFiles({
    probes: [{ diskId: 'vda', state: 'probed' }] }), 'disk-not-probed')
  isCrash('a disk whose probe failed', withFiles({
    probes: [
      { diskId: 'vda', state: 'probed' }, { diskId: 'vdb', state: 'failed', reason: 'x' }],
  }), 'disk-not-probed')
  isCrash('fewer frozen than listed, one of them silent on disk',
    counted(1),
    'freeze-count-differs')
  isHeld('fewer frozen than listed, each shown by its own disk', {
    ...counted(1),
    fileSystems: withFiles({
      volumes: [rootVolume, espVolume, { ...srvVolume, sign: 'frozen' }] }).fileSystems,
  })
  isCrash('more frozen than listed: the number proves nothing',
    counted(3),
    'freeze-count-differs')
  isCrash('one mounted during the backup', withLists(
    listed(...SAMPLE_MOUNTS), listed(...SAMPLE_MOUNTS, {
      mountpoint: '/mnt', type: 'xfs', device: 'loop0', diskIds: [] })), 'file-systems-changed')
  isCrash('one swapped for another during the backup, the number unchanged', withLists(
    listed(root, esp, srv), listed(root, esp, { ...srv, device: 'vdb1' })), 'file-systems-changed')
  isHeld('a bind mount and a subvolume are no file systems of their own', withLists(
    listed(...SAMPLE_MOUNTS, { ...root, mountpoint: '/chroot' }, { ...srv, mountpoint: '/home' })))
  isHeld('network mounts are outside', withLists(
    listed(...SAMPLE_MOUNTS, { mountpoint: '/n', type: 'nfs4', device: 'nas:/', diskIds: [] })))
  isHeld('a mounted CD is never written', withLists(
    listed(...SAMPLE_MOUNTS, { mountpoint: '/cd', type: 'udf', device: 'sr0', diskIds: [] })))
  isCrash('vfat that is not for booting', withLists(
    listed(...SAMPLE_MOUNTS, { mountpoint: '/data', type: 'vfat', device: 'loop1', diskIds: [] })),
  'unfreezable')
  isCrash('a boot mount of another type that cannot be frozen', withLists(
    listed(...SAMPLE_MOUNTS, { mountpoint: '/boot', type: 'exfat', device: 'loop1', diskIds: [] })),
  'unfreezable')
  isCrash('a file system partly on a disk that was left out', withLists(
    listed(root, esp, { ...srv, diskIds: ['vdb', 'vdc'] })), 'spans-left-out-disk')
  for (const [name, changes] of Object.entries({
    'frozen': { sign: 'frozen' }, 'a boot volume': { role: 'esp', type: 'vfat', sign: 'silent' },
    'a container': { role: 'opaque', type: 'lvm2', sign: 'silent' },
  } as const)) {
    isCrash(`partly on a disk that was left out, and unlisted: ${name}`,
      both(extra({ ...changes, diskIds: ['vdb', 'vdc'] })), 'spans-left-out-disk')
  }
  isHeld('a file system on a disk that was left out takes no part',
    withLists(listed(root, esp, srv,
      { mountpoint: '/x', type: 'vfat', device: 'vdc1', diskIds: ['vdc'] })))
  isCrash('acknowledged, and in use on the disk', withFiles({
    volumes: [{ ...rootVolume, sign: 'in-use' }, espVolume, srvVolume] }), 'image-contradicts')
  isCrash('listed, and not on the probed disk (another machine’s agent?)', withFiles({
    volumes: [rootVolume, espVolume] }), 'not-on-disk')
  isCrash('in use where the agent does not see it', both(extra({ sign: 'in-use' })),
    'not-listed-in-use')
  isCrash('silent where the agent does not see it', both(extra({ sign: 'silent' })),
    'not-listed-silent')
  isHeld('clean and not mounted', both(extra({ sign: 'clean' })))
  isHeld('frozen where the agent does not see it', both(extra({ sign: 'frozen' })))
  isHeld('swap is none', both(extra({ type: 'swap', role: 'swap', sign: 'silent' })))
  isCrash('a container nothing is known of',
    both(extra({ type: 'luks', role: 'opaque', sign: 'silent' })), 'contents-unexplained')

  test('one entry never covers two file systems', () => {
    const twin = { ...srvVolume, layer: 'partition', partition: 1 } as const
    const device = 'unknown-name'
    const evidence = withFiles({
      before: listed(root, esp, { ...srv, device }), after: listed(root, esp, { ...srv, device }),
      volumes: [rootVolume, espVolume, srvVolume, twin],
    })
    gets(evidence, 'crash', 'not-listed-silent')
  })

  test('a file system inside LVM is explained by the agent, and the remark says so', () => {
    const mapped = { ...srv, device: 'dm-0' }
    const container = { ...srvVolume, type: 'lvm2', role: 'opaque' } as const
    const lists = { before: listed(root, esp, mapped), after: listed(root, esp, mapped) }
    const evidence = withFiles({ ...lists, volumes: [rootVolume, espVolume, container] })
    assert.equal(gradeOf(evidence).grade, 'application')
    assert.ok(codesOf(evidence).includes('contents-hidden'))
    const short = { ...evidence, hold: counted(1).hold }
    gets(short, 'crash', 'freeze-count-differs')
    assert.ok(gradeOf(short).fileSystems.every((it) => it.class !== 'acknowledged'))
  })

  test('one of two boot volumes partly on a disk that was left out, whichever is mounted', () => {
    for (const sign of ['frozen', 'silent', 'in-use'] as const) {
      const other = { ...espVolume, diskIds: ['vdc', 'vda'], where: '', sign }
      gets(both(other), 'crash', 'spans-left-out-disk')
    }
  })

  test('at least one must have been frozen', () => {
    const elsewhere = [
      { mountpoint: '/x', type: 'ext4', device: 'vdc1', diskIds: ['vdc'] },
      { mountpoint: '/y', type: 'ext4', device: 'vdc2', diskIds: ['vdc'] }]
    gets(withFiles({
      before: listed(...elsewhere), after: listed(...elsewhere),
      volumes: [rootVolume, espVolume, { ...srvVolume, sign: 'clean' }],
    }), 'crash', 'no-file-system-held')
  })
})

test('foreign names reach a reason only in printable form', () => {
  const evidence = withLists(listed(...SAMPLE_MOUNTS,
    { mountpoint: '/\u001b[2J', type: 'vfat', device: 'x', diskIds: [] }))
  for (const { sentence } of gradeOf(evidence).reasons) assert.ok(!sentence.includes('\u001b'))
})
