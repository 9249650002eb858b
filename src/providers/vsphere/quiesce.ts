/**
 * What shows that vSphere's quiescing did what was asked (docs/operations/vmware.md). Pure.
 *
 * `quiesced=true` shows nothing, since servers echo the request. What counts is the document that
 * VMware Tools made inside the guest, and that they ran before and after in one and the same life
 * of the guest. The grade itself is `gradeOf`'s.
 */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { PlatformQuiesce, QuiesceDocument, StatedWriter } from '../../consistency/mod.ts'
import type { VimMachine } from './machine.ts'
import type { Quiescing } from './snapshots.ts'
import { childOf, childrenOf, parseXml, textAt, type XmlElement } from '../../base/xml.ts'
import { readZip } from './zip.ts'
import { SYSTEM_WRITERS } from '../vss/known-writers.ts'

/** How a machine's guest was round the instant. */
export type GuestState = Pick<VimMachine, 'tools' | 'bootTime' | 'power'>

export interface QuiesceFacts {
  readonly asked: Quiescing
  /** Why a first try, which was to quiesce, failed; then the snapshot was not asked to. */
  readonly failure: string | undefined
  /** The snapshot's own flag. */
  readonly saysQuiesced: boolean
  readonly before: GuestState
  readonly after: GuestState
  readonly manifest: ManifestFile
}

export type ManifestFile =
  | { readonly name: string; readonly bytes: Uint8Array }
  | { readonly missing: string }

export function assessQuiesce(facts: QuiesceFacts): PlatformQuiesce {
  const { asked, failure, saysQuiesced, manifest } = facts
  if (failure !== undefined) {
    return { claimed: 'none', documents: [remark('quiesce-fault', failure)] }
  }
  if (asked === 'none' || !saysQuiesced) return { claimed: 'none', documents: [] }
  const claimed = asked === 'windows' ? 'application' : 'filesystem'
  if ('missing' in manifest) {
    return { claimed, documents: [remark('no-manifest', manifest.missing)] }
  }
  const { documents, writers } = readManifest(manifest.name, manifest.bytes)
  const doubt = whyInDoubt(facts)
  if (doubt === undefined) return { claimed, documents, writers }
  return {
    claimed,
    documents: [remark('guest-state', doubt),
      ...documents.map((document): QuiesceDocument => ({ ...document, shows: 'nothing' }))],
  }
}

function remark(name: string, text: string): QuiesceDocument {
  return { name, text: printable(text, 2000), shows: 'nothing' }
}

/** Why the manifest may be of another life of the guest than the instant. */
function whyInDoubt({ before, after }: QuiesceFacts): string | undefined {
  if (before.tools.running !== 'guestToolsRunning') return 'VMware Tools did not run before it'
  if (after.tools.running !== 'guestToolsRunning') return 'VMware Tools did not run after it'
  if (after.power !== 'running') return 'the machine did not run after it'
  return before.bootTime === after.bootTime ? undefined : 'the machine was started anew meanwhile'
}

/** The documents in a manifest: a ZIP of those of VSS, or the XML of Tools on Linux. */
function readManifest(
  name: string, bytes: Uint8Array): Required<Pick<PlatformQuiesce, 'documents' | 'writers'>> {
  try {
    if (!isZip(bytes)) return { documents: [linuxDocument(name, bytes)], writers: [] }
    const files = vssFiles(bytes)
    const writers = statedWriters(files)
    return { documents: vssDocuments(files, writers), writers }
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return { documents: [remark(name.slice(0, 200), error.message)], writers: [] }
  }
}

function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b
}

/** Providers of open-vm-tools that hold writes; "null" only calls sync(). */
const FREEZING: ReadonlySet<string> = new Set(['fifreeze', 'vmsync'])

function linuxDocument(name: string, bytes: Uint8Array): QuiesceDocument {
  const root = parseXml(bytes, 'the manifest of the snapshot', 'platform-protocol')
  const provider = textAt(root, 'providerName')?.trim() ?? ''
  return {
    name: name.slice(0, 200), text: new TextDecoder().decode(bytes),
    shows: root.name === 'quiesceManifest' && FREEZING.has(provider) ? 'filesystem' : 'nothing',
  }
}

interface VssFile {
  readonly name: string
  readonly text: string
  readonly root: XmlElement
}

function vssDocuments(
  files: readonly VssFile[], writers: readonly StatedWriter[]): readonly QuiesceDocument[] {
  const shown = new Set(writers.map(({ metadataDocument }) => metadataDocument))
  const shows = ({ name, root }: VssFile): QuiesceDocument['shows'] => {
    if (root.name === 'BACKUP_COMPONENTS') return shown.size > 0 ? 'application' : 'filesystem'
    return shown.has(name) ? 'application' : 'nothing'
  }
  // Evidence has room for so much: what bears on the grade comes first, small before large.
  return files.map((file) => ({ name: file.name, text: file.text, shows: shows(file) }))
    .toSorted((a, b) => rank(a) - rank(b) || a.text.length - b.text.length)
}

function rank({ shows }: QuiesceDocument): number {
  return shows === 'nothing' ? 1 : 0
}

function vssFiles(bytes: Uint8Array): readonly VssFile[] {
  const what = 'the manifest of the snapshot'
  return readZip(bytes, what).map((entry, at) => {
    const text = decodeXml(entry.bytes)
    return {
      name: `${at}-${printable(entry.name, 150)}`, text,
      root: parseXml(text.replace(/^<\?xml[^>]*\?>/, ''), what, 'platform-protocol'),
    }
  })
}

/** A writer took part if its metadata is there, and components of it are in the set. */
function statedWriters(files: readonly VssFile[]): readonly StatedWriter[] {
  const components = files.find(({ root }) => root.name === 'BACKUP_COMPONENTS')
  if (components === undefined) return []
  const counts = new Map<string, number>()
  for (const writer of childrenOf(components.root, 'WRITER_COMPONENTS')) {
    const key = instanceOf(writer)
    counts.set(key, (counts.get(key) ?? 0) + childrenOf(writer, 'COMPONENT').length)
  }
  const type = printable(components.root.attributes.get('backupType') ?? 'not stated', 40)
  const names = new Set<string>()
  return files.flatMap(({ name, root }): readonly StatedWriter[] => {
    const identity = childOf(root, 'IDENTIFICATION')
    const count = identity === undefined ? 0 : counts.get(instanceOf(identity)) ?? 0
    if (root.name !== 'WRITER_METADATA' || identity === undefined || count === 0) return []
    const friendly = printable(identity.attributes.get('friendlyName') ?? 'a writer', 100)
    const unique = names.has(friendly) ? `${friendly} ${names.size}` : friendly
    names.add(unique)
    const id = printable(identity.attributes.get('writerId') ?? '', 64)
    return [{
      name: unique, kind: SYSTEM_WRITERS.has(friendly) ? 'incidental' : 'protected',
      state: 'stable', metadataDocument: name, componentsDocument: components.name,
      statement: `writer ${id}, ${count} components in the set, backup type ${type}`,
    }]
  })
}

function instanceOf({ attributes }: XmlElement): string {
  return `${attributes.get('writerId') ?? ''}/${attributes.get('instanceId') ?? ''}`.toLowerCase()
}

/** Windows writes UTF-16 with a byte order mark, or UTF-8. */
function decodeXml(bytes: Uint8Array): string {
  const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le'
    : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8'
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new Fault('platform-protocol', 'a document in the manifest is no text', { cause })
  }
}
