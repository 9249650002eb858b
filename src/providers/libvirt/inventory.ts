/** What a machine of libvirt is, in portable words, and what libvirt itself says of it. */

import { childAt, childrenOf, formatXml, parseXml, type XmlElement } from '../../base/xml.ts'
import type { MachineDescription, PlatformDocument } from '../../catalog/mod.ts'
import { withoutSecrets } from '../machine/secrets.ts'
import { discoverDisks } from './disks.ts'
import type { Domain } from './domain.ts'
import type { VirshCommands } from './virsh.ts'

/** In characters, well below what is read back. */
const MAX_DOCUMENT_LENGTH = 4 * 1024 * 1024

/** The major version of the QEMU that libvirt starts; 0 if it does not tell. */
export async function qemuMajor(virsh: VirshCommands, signal: AbortSignal): Promise<number> {
  const said = await virsh.run(['version'], signal)
  return Number(/^Running hypervisor: QEMU (\d{1,4})\./m.exec(said)?.[1] ?? 0)
}

export function describeDomain(domain: Domain, major: number): MachineDescription {
  const { xml } = domain
  const devices = childAt(xml, 'devices')
  const arch = childAt(xml, 'os', 'type')?.attributes.get('arch') ?? ''
  const vcpu = childAt(xml, 'vcpu')
  return {
    version: 1,
    name: domain.name.slice(0, 256),
    platformId: domain.uuid,
    platform: 'libvirt',
    architecture: arch === 'x86_64' || arch === 'aarch64' ? arch : 'other',
    cpuCount: atLeastOne(vcpu?.attributes.get('current') ?? vcpu?.text),
    memoryBytes: memoryBytes(childAt(xml, 'memory')),
    firmware: firmwareOf(xml, arch),
    disks: discoverDisks(domain, major).disks.map(
      ({ id, sizeBytes, bus, serial, logicalBlockBytes }) => ({
        id, sizeBytes, bus,
        ...(serial === undefined ? {} : { serial: serial.slice(0, 256) }),
        ...(logicalBlockBytes === undefined ? {} : { logicalBlockBytes }),
      })),
    nics: childrenOf(devices, 'interface').slice(0, 256).map((nic) => {
      const mac = childAt(nic, 'mac')?.attributes.get('address')
      const model = childAt(nic, 'model')?.attributes.get('type') ?? 'virtio'
      return {
        model: (NIC_MODELS.get(model) ?? model).slice(0, 256),
        ...(mac === undefined ? {} : { mac: mac.slice(0, 256) }),
      }
    }),
  }
}

/** As QEMU calls them, which is what a restored machine is built by. */
const NIC_MODELS: ReadonlyMap<string, string> = new Map([
  ['virtio', 'virtio-net-pci'], ['virtio-non-transitional', 'virtio-net-pci'],
  ['virtio-transitional', 'virtio-net-pci']])

function firmwareOf(xml: XmlElement, arch: string): MachineDescription['firmware'] {
  const loader = childAt(xml, 'os', 'loader')
  const isUefi = childAt(xml, 'os')?.attributes.get('firmware') === 'efi' ||
    loader?.attributes.get('type') === 'pflash' || childAt(xml, 'os', 'nvram') !== undefined
  return isUefi ? 'uefi' : arch === 'x86_64' ? 'bios' : 'unknown'
}

function atLeastOne(text: string | undefined): number {
  return text !== undefined && /^[1-9]\d{0,3}$/.test(text) ? Number(text) : 1
}

/** libvirt shows KiB, whatever unit it was given. */
function memoryBytes(memory: XmlElement | undefined): number {
  const text = memory?.text ?? ''
  return /^\d{1,12}$/.test(text) ? Number(text) * 1024 : 0
}

/** The definition as libvirt keeps it, without secrets, and the versions that run. */
export async function domainDocuments(
  virsh: VirshCommands, uuid: string, signal: AbortSignal): Promise<readonly PlatformDocument[]> {
  const xml = parseXml(await virsh.run(['dumpxml', uuid, '--inactive'], signal),
    'the definition of the machine', 'platform-protocol')
  const documents = [
    { name: 'domain.xml', text: formatXml(stripped(xml)) },
    { name: 'versions.txt', text: await virsh.run(['version', '--daemon'], signal) },
  ]
  return documents.filter(({ text }) => text.length <= MAX_DOCUMENT_LENGTH)
}

/** Words in an attribute's or an element's name whose value is a secret whatever it is. */
const SECRET_NAME = /passw|secret(?!s?type)|token|credential/i
/** What a value says that is handed to QEMU or to the guest's firmware as it is. */
const SECRET_VALUE = /passw|secret|token|credential|private|\bkey=/i
/** Their values are free text: QEMU's arguments, SMBIOS strings, fw_cfg, other tools' metadata. */
const FREE_TEXT = new Set(['arg', 'env', 'entry', 'cmdline', 'initarg', 'initenv'])

/**
 * The element with everything that is or may be a secret as `***`. libvirt leaves out its own
 * (passwords of screens) unless it is asked for them; what others put in is free text.
 */
export function stripped(element: XmlElement): XmlElement {
  const isFree = FREE_TEXT.has(element.name)
  const hide = (name: string, value: string): string => {
    const isSecret = value !== '' && SECRET_NAME.test(name) || (isFree && SECRET_VALUE.test(value))
    return isSecret ? '***' : String(withoutSecrets(value))
  }
  // Any tool may keep anything here, and nothing is restored from it.
  if (element.name === 'metadata') return { ...element, children: [], text: '' }
  const isNamedSecret = isFree && [...element.attributes.values()].some((value) =>
    SECRET_VALUE.test(value))
  return {
    ...element,
    attributes: new Map([...element.attributes].map(([name, value]) => [name, hide(name, value)])),
    children: element.children.map(stripped),
    text: isNamedSecret && element.text !== '' ? '***' : hide(element.name, element.text),
  }
}
