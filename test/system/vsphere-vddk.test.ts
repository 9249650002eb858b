/**
 * Disks read through nbdkit. VDDK is nobody's to ship, so that a stub stands in for the plugin: the
 * nbdkit is real, and serves what a script reads out of vcsim's datastore.
 */

import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import {
  checkVddk, editedInventory, temporaryFolder, type VddkVersions,
} from '../../src/providers/testing/mod.ts'
import { leftBehind, VddkRound, vddkSkip as skip } from './vddk-round.ts'
import { DISK_BYTES } from './vsphere-round.ts'

const { signal } = new AbortController()

suite('disks read through nbdkit', { skip }, () => {
  test('without the library a backup is refused before a snapshot is taken', async () => {
    await using vddk = await VddkRound.start()
    const { round } = vddk
    const { code, stderr } = await round.run('backup', round.bench.machine)
    assert.equal(code, 1, stderr)
    assert.match(stderr, /VDDK is not in .*: it has no lib64\/libvixDiskLib\.so/)
    assert.deepEqual((await round.bench.read()).snapshots, [])
  })

  test('the preflight says what is missing, one after the other', async () => {
    await using folder = await temporaryFolder()
    const programs = join(folder.path, 'programs')
    const path = process.env['PATH'] ?? ''
    const library = { libraryDir: join(folder.path, 'vddk') }
    const check = (): Promise<VddkVersions> => checkVddk(library, systemClock, signal)
    await assert.rejects(check(), { code: 'program-missing', message: /it has no lib64/ })
    await mkdir(join(library.libraryDir, 'lib64'), { recursive: true })
    await writeFile(join(library.libraryDir, 'lib64', 'libvixDiskLib.so.8'), '')
    await mkdir(programs)
    process.env['PATH'] = programs
    try {
      await assert.rejects(check(), { code: 'program-missing', message: /nbdkit is not installed/ })
      process.env['PATH'] = path
      // The real nbdkit: Debian 12 has no such plugin, and one that is there has no library.
      await assert.rejects(check(), { code: 'program-missing', message: /its plugin vddk$/ })
    } finally {
      process.env['PATH'] = path
    }
  })

  test('[stub in place of VDDK] a chain is read, the password is on no command line', async () => {
    await using folder = await temporaryFolder()
    const flags = await editedInventory(folder.path, (type, name, xml) =>
      type === 'VirtualMachine' && name === 'DC0_H0_VM0' ? xml
        .replace(/<capacityInKB>\d+</, `<capacityInKB>${DISK_BYTES / 1024}<`)
        .replace('</backing><controllerKey>202', '<parent><fileName>[LocalDS_0] ' +
          'DC0_H0_VM0/base.vmdk</fileName><diskMode>persistent</diskMode></parent></backing>' +
          '<controllerKey>202') : xml)
    await using vddk = await VddkRound.start(() => false, ...flags)
    await vddk.unpackLibrary()
    await vddk.stub()
    const { round } = vddk
    const [disk] = (await round.bench.read()).disks
    assert.equal(disk?.backing.hasParent, true)
    const doctor = await round.run('doctor', round.bench.machine)
    assert.match(doctor.stdout, /^ {2}VDDK +disks are read by VDDK 8 and nbdkit \d/m)
    const before = await leftBehind()
    const backup = await round.backup()
    assert.deepEqual([backup.code, backup.stored], [0, true], backup.stderr)
    assert.ok(Buffer.compare(await round.restored('out'), round.image) === 0)
    assert.deepEqual(await leftBehind(), before)
    const told = await vddk.read('told')
    for (const line of [/^libdir=\/.*\/vddk$/m, /^server=127\.0\.0\.1$/m, /^port=\d+$/m,
      /^user=u$/m, /^password=\+\/.*\/password$/m, /^thumbprint=([0-9A-F]{2}:){19}[0-9A-F]{2}$/m,
      /^vm=moref=vm-\d+$/m, /^snapshot=snapshot-\d+$/m,
      /^file=\[LocalDS_0\] DC0_H0_VM0\/disk1\.vmdk$/m]) assert.match(told, line)
    assert.equal((await vddk.read('password-read')).trim().split('\n')[0], 'secret')
    const commands = await vddk.read('commands')
    assert.match(commands, / --foreground --exit-with-parent --readonly /)
    assert.doesNotMatch(commands, /secret/)
  })

  test('[stub in place of VDDK] a disk that it cannot open is a fault, and nothing is left',
    async () => {
      await using vddk = await VddkRound.start()
      await vddk.unpackLibrary()
      await vddk.stub()
      const { round } = vddk
      await round.bench.changeDisk(2 * DISK_BYTES)
      const before = await leftBehind()
      const { code, stderr } = await round.run('backup', round.bench.machine)
      assert.equal(code, 1)
      assert.match(stderr, /has 16777216 bytes by VDDK, and 33554432 by vSphere/)
      assert.deepEqual((await round.bench.read()).snapshots, [])
      assert.deepEqual(await leftBehind(), before)
    })
})
