/** What a machine keeps outside its disks: UEFI variables and the state of an emulated TPM. */

import { readFile, stat } from 'node:fs/promises'
import { childAt, type XmlElement } from '../../base/xml.ts'
import type { PlatformDocument } from '../../catalog/mod.ts'
import type { DiskLeftOut } from '../../consistency/mod.ts'
import type { Domain } from './domain.ts'
import { isRemote } from './options.ts'

/** OVMF's variables take 528 KiB, AAVMF's 64 MiB of which nearly all is empty; a TPM some kB. */
const MAX_BYTES = 2 * 1024 * 1024
const SWTPM = '/var/lib/libvirt/swtpm'

export interface FirmwareState {
  /** Base64, as documents are text. */
  readonly documents: readonly PlatformDocument[]
  /** What could not be read, as `nvram` and `tpm` beside the disks. */
  readonly leftOut: readonly DiskLeftOut[]
}

/** Reads what is there. What cannot be read is no fault, but is told. */
export async function readFirmwareState(domain: Domain, uri: string): Promise<FirmwareState> {
  const documents: PlatformDocument[] = []
  const leftOut: DiskLeftOut[] = []
  for (const [id, file] of statesOf(domain)) {
    const found = file === undefined ? 'its file is not told'
      : isRemote(uri) ? 'it is on another host' : await readBounded(file)
    if (typeof found !== 'string') documents.push({ name: `${id}.base64`, text: encode(found) })
    else leftOut.push({ id, reason: 'unsupported', detail: `${WORDS[id]}: ${found}` })
  }
  return { documents, leftOut }
}

const WORDS = { nvram: 'the UEFI variables are not kept', tpm: 'the TPM\'s state is not kept' }

function statesOf(
  { xml, uuid }: Domain): readonly (readonly [keyof typeof WORDS, string | undefined])[] {
  const nvram = childAt(xml, 'os', 'nvram')
  const backend = childAt(xml, 'devices', 'tpm', 'backend')
  return [
    ...(nvram === undefined ? [] : [['nvram', fileOf(nvram)] as const]),
    // libvirt starts swtpm with this folder (virTPMEmulator); 1.2 has another name in it.
    ...(backend?.attributes.get('type') !== 'emulator' ? [] : [['tpm',
      backend.attributes.get('version') === '1.2' ? `${SWTPM}/${uuid}/tpm1.2/tpm-00.permall`
        : `${SWTPM}/${uuid}/tpm2/tpm2-00.permall`] as const]),
  ]
}

function fileOf(nvram: XmlElement): string | undefined {
  const file = nvram.text === '' ? childAt(nvram, 'source')?.attributes.get('file') : nvram.text
  return file?.startsWith('/') === true ? file : undefined
}

async function readBounded(file: string): Promise<Uint8Array | string> {
  try {
    const found = await stat(file)
    if (!found.isFile()) return 'it is no file'
    if (found.size > MAX_BYTES) return `it is larger than ${MAX_BYTES} bytes`
    return await readFile(file)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    return code === 'ENOENT' ? 'its file is not there' : 'this user may not read its file'
  }
}

function encode(bytes: Uint8Array): string {
  return `${Buffer.from(bytes).toString('base64').replaceAll(/.{76}/g, '$&\n')}\n`
}
