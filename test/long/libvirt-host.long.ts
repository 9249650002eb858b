/** What a host with libvirt has that the other tests go without: UEFI, a TPM, QEMU as a user. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock as clock } from '../../src/base/clock.ts'
import { runProgram } from '../../src/base/program.ts'
import { defineResting } from '../system/libvirt/at-rest.ts'
import { libvirtMissing, startLibvirt, type Libvirt } from '../system/libvirt/rig.ts'

const LIMITS = { timeout: 450_000 }
const PROGRAM = fileURLToPath(new URL('../../bin/stillpoint', import.meta.url))
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
})

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
