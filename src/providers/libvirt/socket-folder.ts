/**
 * Where QEMU makes the socket that the captured disks are read from, and whether it may: QEMU runs
 * as another user than we, and as a rule confined (libvirt.org, "QEMU/KVM hypervisor driver",
 * "Security").
 */

import { constants } from 'node:fs'
import { access, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { childAt, childrenOf, type XmlElement } from '../../base/xml.ts'
import type { Domain } from './domain.ts'
import { isSession } from './options.ts'

/** libvirt's folder for each machine that runs, `domain-ID-NAME`: QEMU's confinement allows it. */
const LIBVIRT_QEMU = '/var/lib/libvirt/qemu'
/** For who is not root; made by the operator, docs/operations/libvirt.md says how. */
const SHARED_FOLDER = '/var/lib/libvirt/stillpoint'
/** Where an operator adds to what AppArmor lets each machine do (Debian, Ubuntu, SUSE). */
const APPARMOR_LOCAL = '/etc/apparmor.d/local/abstractions/libvirt-qemu'

export interface SocketFolderWishes {
  readonly uri: string
  readonly configured: string | undefined
  readonly runDir: string
  readonly userId: number
}

/**
 * The folder for the socket of a machine that runs. Faults: `platform-refused` with advice where
 * QEMU or we may not use it.
 */
export async function socketFolder(domain: Domain, wishes: SocketFolderWishes): Promise<string> {
  const { uri, configured, runDir, userId } = wishes
  if (configured !== undefined) return checkFolder(configured, domain.xml, userId)
  if (isSession(uri)) return runDir // QEMU runs as we do
  return userId === 0 ? ownFolder(domain) : checkFolder(SHARED_FOLDER, domain.xml, userId)
}

async function ownFolder({ id }: Domain): Promise<string> {
  const names = await readdir(LIBVIRT_QEMU).catch(() => [])
  const name = names.find((name) => id !== undefined && name.startsWith(`domain-${id}-`))
  if (name !== undefined) return join(LIBVIRT_QEMU, name)
  throw new Fault('platform-refused', 'the folder of the machine in ' +
    `${LIBVIRT_QEMU} cannot be found`, {
    advice: 'Name a folder that QEMU may write: libvirt:URI,sockets=DIR (socketDir).' })
}

async function checkFolder(folder: string, xml: XmlElement, userId: number): Promise<string> {
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory() !== true) throw refused(folder, 'it is not there')
  if ((found.mode & 0o002) !== 0) throw refused(folder, 'everybody may write to it')
  const qemu = qemuUser(xml)
  if (qemu !== undefined && qemu.uid !== 0) {
    const mayWrite = found.uid === qemu.uid ? (found.mode & 0o300) === 0o300
      : found.gid === qemu.gid && (found.mode & 0o030) === 0o030
    if (!mayWrite) throw refused(folder, `QEMU (user ${qemu.uid}) may not write to it`)
  }
  if (userId !== 0) {
    await access(folder, constants.X_OK).catch(() => {
      throw refused(folder, 'this user may not use it')
    })
  }
  if (isConfinedBy('apparmor', xml)) await checkAppArmor(folder)
  return folder
}

/** Whose process the machine is: libvirt's `dac` label of a machine that runs, `+UID:+GID`. */
function qemuUser(xml: XmlElement): { readonly uid: number; readonly gid: number } | undefined {
  const label = childrenOf(xml, 'seclabel').find(({ attributes }) =>
    attributes.get('model') === 'dac')
  const [, uid, gid] = /^\+(\d{1,10}):\+(\d{1,10})$/.exec(childAt(label, 'label')?.text ?? '') ?? []
  return uid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) }
}

export function isConfinedBy(model: 'apparmor' | 'selinux', xml: XmlElement): boolean {
  return childrenOf(xml, 'seclabel').some(({ attributes }) =>
    attributes.get('model') === model && attributes.get('type') !== 'none')
}

/** What cannot be read cannot be judged: QEMU itself decides then, at the commit. */
async function checkAppArmor(folder: string): Promise<void> {
  const rules = await readFile(APPARMOR_LOCAL, 'utf8').catch(() => undefined)
  if (rules === undefined) return
  const isNamed = rules.split('\n')
    .some((line) => !line.trimStart().startsWith('#') && line.includes(folder))
  if (!isNamed) {
    throw refused(folder, `AppArmor keeps QEMU from it: ${APPARMOR_LOCAL} does not name it`)
  }
}

function refused(folder: string, why: string): Fault {
  return new Fault('platform-refused',
    `QEMU cannot make its socket in ${printable(folder, 200)}: ${why}`, {
      advice:
        'Make the folder as docs/operations/libvirt.md says, or name another with sockets=DIR.' })
}
