/** A backup by a user who is a member of libvirt's group and nothing else. */

import assert from 'node:assert/strict'
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { runProgram } from '../../../src/base/program.ts'
import { PROGRAM } from '../program.ts'
import type { Shared } from './contract.ts'
import { GROUP, leftOvers } from './rig.ts'

/** `daemon`, which every Debian knows: virsh wants a user with a record. */
const USER = 1

export function libvirtMember(start: () => Promise<Shared>): void {
  test('a member of libvirt\'s group needs no root, only a folder for sockets', async (t) => {
    const { libvirt, guest } = await start()
    const home = join(libvirt.folder, 'home')
    await mkdir(home)
    await chown(home, USER, USER)
    const sockets = join(libvirt.folder, 'sockets')
    await mkdir(sockets)
    await chown(sockets, 0, GROUP.id)
    await chmod(sockets, 0o2770)
    for (const folder of [libvirt.folder, join(guest.domain.witnessPath, '..')]) {
      await chmod(folder, 0o711)
    }
    const config = join(home, 'stillpoint.yaml')
    await writeFile(config, `
platforms:
  kvm: { type: libvirt, uri: '${libvirt.uri}', socketDir: ${sockets}, runDir: ${home}/run }
machines:
  ${guest.name}: { platform: kvm, limits: { holdMs: 10000 } }
`)
    await chown(config, USER, USER)
    const run = async (groups: string, ...words: readonly string[]): Promise<string> => {
      const { stdout, stderr } = await runProgram('setpriv', [`--reuid=${USER}`,
        `--regid=${USER}`, groups, PROGRAM, ...words, '--config', config], {
        signal: t.signal, okCodes: [0, 1],
        env: { PATH: process.env['PATH'] ?? '', HOME: home, RESTIC_PASSWORD: 'x',
          RESTIC_REPOSITORY: join(home, 'repository') } })
      return `${Buffer.from(stdout).toString()}${stderr}`
    }
    const member = `--groups=${GROUP.id}`
    await run(member, 'init')
    const said = await run(member, 'backup', guest.name)
    assert.match(said, /grade: filesystem/, said)
    assert.deepEqual(await leftOvers(libvirt, guest), [])

    const stranger = await run('--clear-groups', 'doctor', guest.name)
    assert.match(stranger, /platform-unreachable/)
    assert.match(stranger, /group libvirt/)
  })

  test('root needs no folder: QEMU\'s socket is in libvirt\'s own of the machine', async () => {
    const { libvirt, guest } = await start()
    const home = join(libvirt.folder, 'root')
    await mkdir(home)
    const config = join(home, 'stillpoint.yaml')
    await writeFile(config, `
platforms:
  kvm: { type: libvirt, uri: '${libvirt.uri}', runDir: ${home}/run }
machines:
  ${guest.name}: { platform: kvm, limits: { holdMs: 10000 } }
`)
    await libvirt.inside(PROGRAM, 'init')
    assert.match(await libvirt.inside(PROGRAM, 'backup', guest.name, '--config', config),
      /grade: filesystem/)
    assert.deepEqual(await leftOvers(libvirt, guest), [])
  })
}
