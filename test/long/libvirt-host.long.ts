/** What a host with libvirt has that the other tests go without: UEFI, a TPM, QEMU as a user. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import { runProgram } from '../../src/base/program.ts'
import { defineResting } from '../system/libvirt/at-rest.ts'
import { libvirtMissing, startLibvirt, type Libvirt } from '../system/libvirt/rig.ts'
import { PROGRAM } from '../system/program.ts'

const LIMITS = { timeout: 450_000 }
const TEMPLATE = '/usr/share/OVMF/OVMF_VARS_4M.fd'
const UUID = '5a5a5a5a-2222-4333-8444-555555555555'
const NVRAM = '/var/lib/libvirt/qemu/nvram/uefi_VARS.fd'
const TPM = `/var/lib/libvirt/swtpm/${UUID}/tpm2/tpm2-00.permall`
/** Whom every Debian knows, and who may do nothing. */
const QEMU_USER = 'games'

const missing = libvirtMissing() ??
  (['swtpm', 'swtpm_setup'].every((it) => spawnSync('which', [it]).status === 0)
    ? undefined : 'swtpm missing')

suite('a host with libvirt', { skip: missing }, () => {
  test('UEFI variables and a TPM\'s state come back as they were, and a machine starts with them',
    LIMITS, async (t) => {
      await using libvirt = await startLibvirt()
      await defineUefi(t, libvirt)
      await libvirt.virsh('start', 'uefi')
      const template = await readFile(TEMPLATE, 'latin1')
      // The firmware writes what it finds of its machine; a TPM's state is made before.
      while (await contents(libvirt, NVRAM) === template) {
        await clock.sleep(500, t.signal)
      }
      await libvirt.virsh('suspend', 'uefi')
      const [nvram, tpm] = [await contents(libvirt, NVRAM), await contents(libvirt, TPM)]
      await libvirt.inside(PROGRAM, 'init')
      const config = await configure(libvirt)
      const said = await libvirt.inside(
        PROGRAM, 'backup', 'uefi', '--config', config, '--require', 'crash')
      assert.match(said, /grade: crash/)
      assert.doesNotMatch(said, /not kept/)
      const restored = join(libvirt.folder, 'restored')
      await libvirt.inside(PROGRAM, 'restore', 'latest', '--to', restored, '--format', 'qcow2')
      assert.equal(await readFile(join(restored, 'nvram.fd'), 'latin1'), nvram)
      const kept = Buffer.from(
        await readFile(join(restored, 'platform/tpm.base64'), 'latin1'), 'base64')
      assert.equal(kept.toString('latin1'), tpm)

      // As docs/operations/libvirt.md says: a machine of the old UUID, with the TPM's state.
      await libvirt.virsh('destroy', 'uefi')
      await libvirt.virsh('undefine', 'uefi', '--nvram', '--checkpoints-metadata')
      await libvirt.inside('rm', '-rf', `/var/lib/libvirt/swtpm/${UUID}`)
      const xml = join(restored, 'domain.xml')
      await writeFile(xml, (await readFile(xml, 'utf8')).replace(`type='kvm'`, `type='qemu'`)
        .replace('</name>', `</name><uuid>${UUID}</uuid>`)
        .replace('</devices>', `${TPM_XML}</devices>`))
      await writeFile(join(restored, 'permall'), kept)
      await libvirt.inside('install', '-D', join(restored, 'permall'), TPM)
      await libvirt.virsh('define', xml)
      await libvirt.virsh('start', 'uefi-restored')
      assert.equal((await libvirt.virsh('domstate', 'uefi-restored')).trim(), 'running')
      // What swtpm took up is what was put there: it says what it could not read.
      assert.match(await libvirt.virsh('dumpxml', 'uefi-restored'), /restored\/nvram\.fd/)
      await libvirt.virsh('destroy', 'uefi-restored')
    })

  test('QEMU that runs as a user is captured by root and gets at the scratch and the socket',
    LIMITS, async (t) => {
      await using libvirt = await startLibvirt(QEMU_USER)
      const { guest: { name } } = await defineResting(t, libvirt, 'plain')
      await libvirt.virsh('start', name)
      assert.match(await libvirt.inside('ps', '-e', '-o', 'user=,args='),
        RegExp(`^${QEMU_USER} +/usr/bin/qemu-system-x86_64 .*guest=${name},`, 'm'))
      await libvirt.inside(PROGRAM, 'init')
      const config = await configure(libvirt)
      for (const mode of ['full', 'incremental']) {
        const said = await libvirt.inside(
          PROGRAM, 'backup', name, '--config', config, '--json', '--require', 'crash')
        assert.match(said, /"grade":"crash"/) // there is no guest in it
        assert.match(said, RegExp(`"mode":"${mode}"`))
      }
      assert.match(await libvirt.virsh('domjobinfo', name), /^Job type:\s*None/)
      assert.deepEqual((await readdir(libvirt.folder)).filter((it) => /stillpoint/.test(it)), [])
      await libvirt.virsh('destroy', name)
      // Off, its images belong to root again.
      const off = await libvirt.inside(
        PROGRAM, 'backup', name, '--config', config, '--json', '--require', 'application')
      assert.match(off, /"grade":"application"/)
    })

  test('a user\'s own libvirt needs nothing of root\'s', LIMITS, async (t) => {
    await using own = await ownLibvirt(t)
    const config = join(own.home, 'stillpoint.yaml')
    await writeFile(config, `
platforms:
  own: { type: libvirt, uri: 'qemu:///session', runDir: ${own.home}/sp }
machines:
  mine: { platform: own }
`)
    await own.run('virsh', '-q', '-c', 'qemu:///session', 'define', join(own.home, 'mine.xml'))
    await own.run('virsh', '-q', '-c', 'qemu:///session', 'start', 'mine')
    await own.run(PROGRAM, 'init')
    const backup = (): Promise<string> => own.run(
      PROGRAM, 'backup', 'mine', '--config', config, '--json', '--require', 'crash')
    assert.match(await backup(), /"mode":"full"/)
    assert.match(await backup(), /"mode":"incremental"/)
    await own.run('virsh', '-q', '-c', 'qemu:///session', 'destroy', 'mine')
    assert.match(await backup(), /"mode":"incremental"/)
    assert.deepEqual(await readdir(join(own.home, 'sp')), [])
  })
})

interface OwnLibvirt extends AsyncDisposable {
  readonly home: string
  /** As that user. What it printed. */
  run(program: string, ...words: readonly string[]): Promise<string>
}

/** Of the user `daemon`; libvirtd is started by virsh, and ended with this. */
async function ownLibvirt(t: TestContext): Promise<OwnLibvirt> {
  const folder = await mkdtemp(join(tmpdir(), 'own-'))
  const [home, runtime] = [join(folder, 'home'), join(folder, 'run')]
  for (const path of [home, runtime]) await mkdir(path, { mode: 0o700 })
  const image = join(home, 'mine.qcow2')
  await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', image, '8M'], { signal: t.signal })
  await writeFile(join(home, 'mine.xml'), `<domain type='qemu'><name>mine</name>
    <memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${image}'/>
    <target dev='vda' bus='virtio'/></disk><memballoon model='none'/></devices></domain>`)
  await chmod(folder, 0o711)
  for (const path of [home, runtime, image]) await chown(path, 1, 1)
  return {
    home,
    run: async (program, ...words) => Buffer.from((await runProgram('setpriv',
      ['--reuid=daemon', '--regid=daemon', '--clear-groups', program, ...words], {
        signal: t.signal, env: { PATH: process.env['PATH'] ?? '', HOME: home,
          XDG_RUNTIME_DIR: runtime, RESTIC_PASSWORD: 'x',
          RESTIC_REPOSITORY: join(home, 'repository') } })).stdout).toString(),
    [Symbol.asyncDispose]: async () => {
      const pid = await readFile(join(runtime, 'libvirt/libvirtd.pid'), 'utf8').catch(() => '')
      if (/^\d+$/.test(pid)) process.kill(Number(pid), 'SIGTERM')
      await rm(folder, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}

const TPM_XML = `<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>`

async function defineUefi(t: TestContext, libvirt: Libvirt): Promise<void> {
  const image = join(libvirt.folder, 'uefi.qcow2')
  await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', image, '8M'],
    { signal: t.signal })
  const xml = join(libvirt.folder, 'uefi.xml')
  await writeFile(xml, `<domain type='qemu'><name>uefi</name><uuid>${UUID}</uuid>
    <memory unit='MiB'>128</memory><os firmware='efi'>
    <type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features><devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${image}'/>
    <target dev='vda' bus='virtio'/></disk>${TPM_XML}</devices></domain>`)
  await libvirt.virsh('define', xml)
}

async function configure(libvirt: Libvirt): Promise<string> {
  const home = join(libvirt.folder, 'home')
  await mkdir(home)
  const config = join(home, 'stillpoint.yaml')
  await writeFile(config, `
platforms:
  kvm: { type: libvirt, uri: '${libvirt.uri}', runDir: ${home}/run }
machines:
  uefi: { platform: kvm }
  plain: { platform: kvm }
`)
  return config
}

/** Of a file that libvirtd sees. */
async function contents(libvirt: Libvirt, path: string): Promise<string> {
  return Buffer.from(await libvirt.inside('base64', path), 'base64').toString('latin1')
}
