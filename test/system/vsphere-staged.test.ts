/**
 * States that vcsim can be brought into without a change to it: by `SET.` settings of a machine,
 * and by an inventory of its own that was edited as a file and loaded (`-load`).
 */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { QuiescedSet } from '../../src/consistency/mod.ts'
import {
  editedInventory, makeZip, temporaryFolder, vcsimMissing, VsphereBench, type EditObject,
} from '../../src/providers/testing/mod.ts'
import { DISK_BYTES, Round } from './vsphere-round.ts'

const skip = vcsimMissing() ?? false
const { signal } = new AbortController()
const POINT_ID = '0f1b2a0e-3c5d-4e8f-8a9b-0c1d2e3f4a5b'

/** What a snapshot that is to be quiesced shows, and `use` while it lives. */
async function quiesced(bench: VsphereBench): Promise<QuiescedSet['quiesce']> {
  await using platform = await bench.open()
  await using set = await platform.provider(bench.machine)
    .prepare({ pointId: POINT_ID, exclude: [] }, signal)
  assert.ok(set.heldBy === 'platform')
  return (await set.commitQuiesced('if-possible', signal)).quiesce
}

suite('[staged in vcsim] VMware Tools and their manifests', { skip }, () => {
  test('of each state of Tools it is said what it means, and none is believed by itself',
    async () => {
      await using bench = await VsphereBench.start()
      const cases: readonly (readonly [string, string, RegExp, string])[] = [
        ['guestToolsRunning', 'guestToolsCurrent', /^running; current$/, 'filesystem'],
        ['guestToolsRunning', 'guestToolsUnmanaged', /which is normal$/, 'filesystem'],
        ['guestToolsRunning', 'guestToolsTooOld', /too old to be supported$/, 'filesystem'],
        ['guestToolsRunning', 'guestToolsSupportedOld', /supported$/, 'filesystem'],
        ['guestToolsRunning', 'guestToolsSupportedNew', /supported$/, 'filesystem'],
        ['guestToolsRunning', 'guestToolsTooNew', /may not work with it$/, 'filesystem'],
        ['guestToolsRunning', 'guestToolsBlacklisted', /to be upgraded at once$/, 'filesystem'],
        ['guestToolsExecutingScripts', 'guestToolsCurrent', /^starting; current$/, 'none'],
        ['guestToolsNotRunning', 'guestToolsCurrent', /^not running, .*; current$/, 'none'],
        ['guestToolsNotRunning', 'guestToolsNotInstalled', /^never installed/, 'none'],
      ]
      for (const [running, version, says, level] of cases) {
        await bench.stage({
          'guest.toolsRunningStatus': running, 'guest.toolsVersionStatus2': version })
        await using platform = await bench.open()
        const { remarks = [], freezing } =
          await platform.provider(bench.machine).survey([], signal)
        assert.match(remarks.find(({ name }) => name === 'VMware Tools')?.says ?? '', says)
        assert.deepEqual(freezing, { by: 'platform', level }, `${running} ${version}`)
        const { claimed, documents } = await quiesced(bench)
        assert.equal(claimed, level)
        assert.ok(documents.every(({ shows }) => shows === 'nothing'), `${running} ${version}`)
      }
    })

  test('a manifest counts if it is there, is whole, and says that writes were held', async () => {
    const WRITER = '{a65faa63-5ea8-4ebc-9dbd-a0c4db26912a}'
    const text = (it: string): Uint8Array => Buffer.from(it)
    const components = (content: string): Uint8Array =>
      text(`<BACKUP_COMPONENTS backupType="copy">${content}</BACKUP_COMPONENTS>`)
    const linux = (provider: string): Uint8Array => text('<quiesceManifest><productVersion>12352' +
      `</productVersion><providerName>${provider}</providerName></quiesceManifest>`)
    const whole = makeZip([['backup.xml', components(`<WRITER_COMPONENTS writerId="${WRITER}" ` +
      'instanceId="{1}"><COMPONENT componentName="db"/></WRITER_COMPONENTS>')],
    ['writer1.xml', text('<WRITER_METADATA><IDENTIFICATION instanceId="{1}" ' +
      `writerId="${WRITER}" friendlyName="SqlServerWriter"/></WRITER_METADATA>`)]])
    const cases: readonly (readonly [string, string, Uint8Array | undefined, string])[] = [
      ['Linux', 'quiesce_manifest.xml', linux('fifreeze'), 'filesystem'],
      ['Linux, which only called sync()', 'quiesce_manifest.xml', linux('null'), 'nothing'],
      ['named, but not there', 'quiesce_manifest.xml', undefined, 'nothing'],
      ['outside its folder', '../quiesce_manifest.xml', linux('fifreeze'), 'nothing'],
      ['Windows with a writer', 'a.zip', whole, 'application'],
      ['Windows without writers', 'b.zip', makeZip([['backup.xml', components('')]]), 'filesystem'],
      ['cut off', 'c.zip', whole.subarray(0, whole.length - 40), 'nothing'],
      ['damaged', 'd.zip', whole.map((byte, at) => at === 60 ? byte ^ 0xff : byte), 'nothing'],
      ['empty', 'e.zip', new Uint8Array(), 'nothing'],
    ]
    let isStaged = true
    let name = ''
    // The front passes everything on; it knows when the snapshot is there and not yet looked at.
    await using bench: VsphereBench = await VsphereBench.start(async ({ method, body }) => {
      const isLook = method === 'RetrievePropertiesEx' && body.includes('VirtualMachineSnapshot')
      if (isLook && !isStaged) {
        isStaged = true
        await bench.stageManifest(name)
      }
      return false
    })
    await bench.stage({ 'guest.toolsRunningStatus': 'guestToolsRunning' })
    for (const [what, file, bytes, best] of cases) {
      await bench.stage({ 'config.guestId':
        what.startsWith('Linux') ? 'debian12_64Guest' : 'windows2019srv_64Guest' })
      if (bytes !== undefined && !file.includes('/')) await bench.put(file, bytes)
      ;[name, isStaged] = [file, false]
      const { documents, writers = [] } = await quiesced(bench)
      const shown = new Set(documents.map(({ shows }) => shows))
      const found = shown.has('application') ? 'application'
        : shown.has('filesystem') ? 'filesystem' : 'nothing'
      assert.equal(found, best, `${what}: ${JSON.stringify(documents)}`)
      assert.equal(writers.length, best === 'application' ? 1 : 0, what)
      assert.ok(documents.length > 0, what)
    }
  })

  test('disks that wait for their consolidation are told of before and after', async () => {
    await using round = await Round.start()
    await round.bench.stage({
      'runtime.consolidationNeeded': '<value xsi:type="xsd:boolean">true</value>' })
    const doctor = await round.run('doctor', round.bench.machine)
    assert.match(doctor.stdout, /^ {2}consolidation +needed: files of removed snapshots/m)
    const backup = await round.backup()
    assert.deepEqual([backup.code, backup.stored], [0, true])
    assert.match(backup.stderr, /"vsphere\.consolidation-needed"/)
  })
})

/** The machine's only disk as it is in the inventory, and others beside it. */
const withDevices = (change: (disk: string) => string): EditObject => (type, name, xml) =>
  type === 'VirtualMachine' && name === 'DC0_H0_VM0'
    ? xml.replace(/<(?:device|VirtualDevice)[^<>]*"VirtualDisk">.*?<\/(?:device|VirtualDevice)>/gs,
      change)
    : xml

/** Another disk of the same controller. */
function another(disk: string, key: number, unit: number): string {
  return disk.replace(/<key>\d+<\/key>/, `<key>${key}</key>`)
    .replace(/<unitNumber>\d+<\/unitNumber>/, `<unitNumber>${unit}</unitNumber>`)
    .replace('disk1.vmdk', `disk${key}.vmdk`)
}

suite('[loaded into vcsim] disks of other kinds', { skip }, () => {
  test('independent and shared disks are left out, said, and exit code 3', async () => {
    await using folder = await temporaryFolder()
    const flags = await editedInventory(folder.path, withDevices((first) => {
      const disk = first.replace(/<capacityInKB>\d+</, `<capacityInKB>${DISK_BYTES / 1024}<`)
      return disk + another(disk, 2001, 1).replace('>persistent<', '>independent_nonpersistent<') +
        another(disk, 2002, 2).replace('</backing>',
          '<sharing>sharingMultiWriter</sharing></backing>')
    }))
    await using round = await Round.start(() => false, ...flags)
    const doctor = await round.run('doctor', round.bench.machine)
    assert.match(doctor.stdout, /scsi0-1.*its mode independent_nonpersistent/)
    assert.match(doctor.stdout, /scsi0-2.*other machines may write/)
    const backup = await round.backup()
    assert.deepEqual([backup.code, backup.stored, backup.coverage.kind], [3, true, 'partial'])
    assert.deepEqual(backup.coverage.leftOut.map(({ reason }) => reason).toSorted(),
      ['independent', 'shared'])
    assert.ok(Buffer.compare(await round.restored('out'), round.image) === 0)
    assert.deepEqual((await round.bench.read()).snapshots, [])
  })

  // vcsim 0.24 breaks down when it removes a snapshot of such a machine, so none is taken.
  test('a raw disk in physical mode is left out and said, one in virtual mode is refused',
    async () => {
      for (const mode of ['physicalMode', 'virtualMode']) {
        await using folder = await temporaryFolder()
        const flags = await editedInventory(folder.path, withDevices((disk) => disk +
          another(disk, 2001, 1).replace('VirtualDiskFlatVer2BackingInfo',
            'VirtualDiskRawDiskMappingVer1BackingInfo')
            .replace(/<split>.*<\/digestEnabled>/s, '')
            .replace('<diskMode>', `<compatibilityMode>${mode}</compatibilityMode><diskMode>`)))
        await using bench = await VsphereBench.start(undefined, ...flags)
        await using platform = await bench.open()
        const provider = platform.provider(bench.machine)
        const { leftOut, remarks = [] } = await provider.survey([], signal)
        const prepared = provider.prepare({ pointId: POINT_ID, exclude: [] }, signal)
        if (mode === 'virtualMode') {
          await assert.rejects(prepared, { code: 'unsupported' })
          assert.ok(remarks.some(({ name }) => name === 'disk scsi0-1'))
          continue
        }
        assert.deepEqual(leftOut.map(({ id, reason }) => [id, reason]),
          [['scsi0-1', 'pass-through']])
        await using set = await prepared
        assert.deepEqual(set.leftOut, leftOut)
      }
    })

  test('a chain of files, and kinds that are not flat, are refused before a snapshot', async () => {
    const chain = (disk: string): string => disk
      .replace('disk1.vmdk', 'disk1-000001.vmdk')
      .replace('</backing>', '<parent><fileName>[LocalDS_0] DC0_H0_VM0/disk1.vmdk</fileName>' +
        '<diskMode>persistent</diskMode></parent></backing>')
    const sparse = (disk: string): string => disk
      .replace('VirtualDiskFlatVer2BackingInfo', 'VirtualDiskSeSparseBackingInfo')
      .replace(/<split>.*<\/digestEnabled>/s, '')
    for (const [change, code] of [[chain, 'chain-not-flat'], [sparse, 'unsupported']] as const) {
      await using folder = await temporaryFolder()
      const flags = await editedInventory(folder.path, withDevices(change))
      await using bench = await VsphereBench.start(undefined, ...flags)
      await assert.rejects(quiesced(bench), { code })
      await using platform = await bench.open()
      const { remarks = [] } = await platform.provider(bench.machine).survey([], signal)
      assert.ok(remarks.some(({ name }) => name === 'disk scsi0-0'), JSON.stringify(remarks))
      assert.deepEqual((await bench.read()).snapshots, [])
    }
  })
})
