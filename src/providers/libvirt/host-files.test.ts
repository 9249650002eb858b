/** What the provider needs of this host's files: firmware state, a folder for sockets, names. */

import assert from 'node:assert/strict'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { formatXml, parseXml } from '../../base/xml.ts'
import { temporaryFolder } from '../testing/mod.ts'
import { backupXml, checkpointXml } from './backup-job.ts'
import type { Domain } from './domain.ts'
import { readFirmwareState } from './firmware-state.ts'
import { jobNames, ownerOf } from './names.ts'
import { remarksOn, type RemarkFacts } from './remarks.ts'
import { socketFolder } from './socket-folder.ts'

const UUID = '11111111-2222-4333-8444-555555555555'
const URI = 'qemu:///system'

function domain(inner: string): Domain {
  return { uuid: UUID, name: 'db1', id: 3, state: { state: 1, reason: 1 }, sizes: new Map(),
    isBusy: false,
    xml: parseXml(`<domain>${inner}</domain>`, 'a test', 'platform-protocol') }
}

test('UEFI variables are kept as they are, and told where they cannot be read', async () => {
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'vars.fd')
  const bytes = Buffer.from(Array.from({ length: 5000 }, (_, n) => n % 256))
  await writeFile(file, bytes)
  const kept = await readFirmwareState(domain(`<os><nvram>${file}</nvram></os>`), URI)
  assert.deepEqual(kept.leftOut, [])
  assert.deepEqual(kept.documents.map(({ name }) => name), ['nvram.base64'])
  assert.deepEqual(Buffer.from(kept.documents[0]?.text ?? '', 'base64'), bytes)
  const left = async (inner: string, uri = URI): Promise<readonly string[]> =>
    (await readFirmwareState(domain(inner), uri)).leftOut.map(({ id, detail }) =>
      `${id}: ${detail}`)
  assert.match((await left(`<os><nvram>${file}x</nvram></os>`)).join(), /nvram: .* not there/)
  assert.match((await left(`<os><nvram>${folder.path}</nvram></os>`)).join(), /no file/)
  assert.match((await left('<os><nvram/></os>')).join(), /not told/)
  assert.match((await left(`<os><nvram>${file}</nvram></os>`, 'qemu+ssh://h/system')).join(),
    /another host/)
  await writeFile(file, Buffer.alloc(3 * 1024 * 1024))
  assert.match((await left(`<os><nvram>${file}</nvram></os>`)).join(), /larger/)
  const tpm = (type: string): string => `<devices><tpm><backend type='${type}'/></tpm></devices>`
  assert.match((await left(tpm('emulator'))).join(), /tpm: /)
  assert.deepEqual(await left(tpm('passthrough')), [])
})

test('a folder for sockets must be there, QEMU\'s to write and nobody else\'s', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'sockets')
  const find = (uid: number, configured = path): Promise<string> => socketFolder(
    domain(`<seclabel model='dac'><label>+${uid}:+${uid}</label></seclabel>`),
    { uri: URI, configured, runDir: '/run/x', userId: 0 })
  await assert.rejects(find(0), { code: 'platform-refused', message: /not there/ })
  await mkdir(path, { mode: 0o755 })
  assert.equal(await find(0), path)
  const own = process.getuid?.() ?? 0
  assert.equal(await find(own), path)
  await assert.rejects(find(own + 1), { code: 'platform-refused', message: /may not write/ })
  await chmod(path, 0o777)
  await assert.rejects(find(0), { code: 'platform-refused', message: /everybody/ })
  assert.equal(await socketFolder(domain(''), {
    uri: 'qemu:///session', configured: undefined, runDir: '/run/x', userId: 1 }), '/run/x')
})

test('a file tells whose it is, and whether that process lives', () => {
  const names = jobNames('01234567-89ab-4def-8123-456789abcdef', UUID)
  const mine = names.scratch('vda')
  assert.deepEqual(ownerOf(mine), { run: '01234567', machine: '11111111', process: 'alive' })
  assert.deepEqual(ownerOf(names.document('backup')), ownerOf(mine))
  const [, , , here, pid, start] = mine.split('-')
  assert.equal(ownerOf(mine.replace(`-${start}-`, '-1-'))?.process, 'gone')
  assert.equal(ownerOf(mine.replace(`-${pid}-`, '-4194999-'))?.process, 'gone')
  assert.equal(ownerOf(mine.replace(`-${here}-`, '-0000000000000000-'))?.process, 'elsewhere')
  for (const name of ['vda.qcow2', 'stillpoint-vda.qcow2', `x${mine}`, `${mine}x`, '']) {
    assert.equal(ownerOf(name), undefined, name)
  }
})

test('what libvirt is given names each disk once, whatever the names hold', () => {
  const target = {
    id: 'vda', name: `v"d'a<`, sizeBytes: 1, bus: 'virtio', serial: undefined, pci: undefined,
    target: undefined, lun: undefined, logicalBlockBytes: undefined, format: 'qcow2',
    file: undefined, sources: [] } as const
  const backup = parseXml(backupXml(`/s/"&.sock`,
    [{ disk: target, scratchFile: '/x<y', since: 'c' }], ['vdb']), 'it', 'platform-protocol')
  assert.match(formatXml(backup), / incremental="c" exportbitmap="changes"/)
  const checkpoint = parseXml(checkpointXml('c', ['vda'], ['vdb']), 'it', 'platform-protocol')
  assert.match(formatXml(checkpoint), / name="vdb" checkpoint="no"/)
})

test('doctor is told what confines a machine and what keeps it from being captured', () => {
  const says = (inner: string, more: Partial<RemarkFacts> = {}): readonly string[] => remarksOn({
    domain: domain(inner), power: 'running', isRemote: false, socketFolder: '/s',
    foreignCheckpoints: 0, ...more }).map(({ name, says }) => `${name} ${says}`)
  assert.deepEqual(says(''), ['confined by nothing', 'socket in /s'])
  assert.match(says(`<seclabel model='apparmor' type='dynamic'/>`).join(), /by AppArmor/)
  assert.match(says(`<seclabel model='selinux' type='none'/>`).join(), /by nothing/)
  assert.match(says('', { isRemote: true }).join(), /refused/)
  assert.match(says('', { power: 'off' }).join(), /read as they lie/)
  assert.match(says('', { foreignCheckpoints: 2 }).join(), /2 of other tools/)
})
