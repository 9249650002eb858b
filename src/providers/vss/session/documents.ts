/**
 * The two documents of VSS as a requestor gets them (SaveAsXML), read with bounds.
 *
 * - Writer metadata: what a writer has to say of itself at Identify: components and their files.
 * - Backup components: what was added to a backup, and what writers and requestor noted there.
 *
 * Sources: vswriter.h and vsbackup.h for the values, the pages "VSS Metadata Components" and
 * "Backup Components Document Contents" of Microsoft's win32 documentation for the meaning. Their
 * schema has no page of its own: an element or attribute that is unknown here is passed over, one
 * that is needed and cannot be right is a fault (`platform-protocol`).
 */

import { Fault } from '../../../base/fault.ts'
import { printable } from '../../../base/text.ts'
import { atOnce, mapping, type Work } from '../../../base/turns.ts'
import { childOf, parsingXml, type XmlElement, type XmlLimits } from '../../../base/xml.ts'
import { parseGuid } from './guid.ts'
import type { VssComponentType } from './transport.ts'

/** The System Writer alone lists some 100,000 files of Windows in 10 MB. */
export const DOCUMENT_LIMITS: XmlLimits = {
  maxBytes: 32 * 1024 * 1024, maxDepth: 32, maxNodes: 1_000_000,
}

export interface WriterMetadata {
  readonly writerId: string
  readonly instanceId: string
  /** Foreign text, as all names here. */
  readonly name: string
  /** `USER_DATA`, `BOOTABLE_SYSTEM_STATE` … as written; empty where it is not. */
  readonly usage: string
  readonly dataSource: string
  /** `RESTORE_IF_NONE_THERE` …; undefined for a writer that restores nothing. */
  readonly restoreMethod: string | undefined
  /** Files that need not be stored. */
  readonly excludes: readonly FileSet[]
  readonly components: readonly WriterComponent[]
}

export interface WriterComponent {
  readonly type: VssComponentType
  /** Null where the document has none. */
  readonly logicalPath: string | null
  readonly name: string
  readonly caption: string
  readonly selectable: boolean
  readonly notifyOnBackupComplete: boolean
  /** All its own files, those of databases and their logs too. */
  readonly files: readonly FileSet[]
}

export interface FileSet {
  /** A folder: may hold `%NAME%` of the environment, may end in a backslash. */
  readonly path: string
  /** `*`, `*.mdf`, `master.mdf`. */
  readonly filespec: string
  readonly recursive: boolean
}

export interface BackupComponents {
  /** As the document says it; null where it does not. */
  readonly backupType: string | null
  readonly writers: readonly AddedWriter[]
}

export interface AddedWriter {
  readonly writerId: string
  readonly instanceId: string
  readonly components: readonly AddedComponent[]
}

export interface AddedComponent {
  readonly logicalPath: string | null
  readonly name: string
  /** Null before the requestor said so. */
  readonly backupSucceeded: boolean | null
}

export function parseWriterMetadata(document: string): WriterMetadata {
  return atOnce(parsingWriterMetadata(document))
}

export function* parsingWriterMetadata(document: string): Work<WriterMetadata> {
  const what = 'the metadata document of a writer'
  const root = yield* rootOf(document, 'WRITER_METADATA', what)
  const identity = own(root, 'IDENTIFICATION').at(0)
  if (identity === undefined) throw wrong(what, 'says not whose it is')
  const method = own(root, 'RESTORE_METHOD').at(0)
  return {
    ...identified(identity, what),
    name: textOf(identity, 'friendlyName', what),
    usage: identity.attributes.get('usage') ?? '',
    dataSource: identity.attributes.get('dataSource') ?? '',
    restoreMethod: method?.attributes.get('method'),
    excludes: yield* mapping(own(root, 'EXCLUDE_FILES'), (element) => fileSet(element, what)),
    components: yield* componentsOf(root, what),
  }
}

function* componentsOf(root: XmlElement, what: string): Work<readonly WriterComponent[]> {
  const components: WriterComponent[] = []
  for (const { children } of own(root, 'BACKUP_LOCATIONS')) {
    for (const element of children) {
      const type = element.uri === root.uri ? COMPONENT_ELEMENTS.get(element.name) : undefined
      if (type !== undefined) components.push(yield* component(element, type, what))
      yield
    }
  }
  return components
}

const COMPONENT_ELEMENTS: ReadonlyMap<string, VssComponentType> = new Map([
  ['DATABASE', 'database'], ['FILE_GROUP', 'filegroup']])

const FILE_ELEMENTS: ReadonlySet<string> = new Set([
  'FILE_LIST', 'DATABASE_FILES', 'DATABASE_LOGFILES'])

function* component(
  element: XmlElement, type: VssComponentType, what: string): Work<WriterComponent> {
  const files = element.children.filter(({ uri, name }) =>
    uri === element.uri && FILE_ELEMENTS.has(name))
  return {
    type,
    logicalPath: element.attributes.get('logicalPath') ?? null,
    name: textOf(element, 'componentName', what),
    caption: element.attributes.get('caption') ?? '',
    selectable: yes(element, 'selectable', what) ?? true,
    notifyOnBackupComplete: yes(element, 'notifyOnBackupComplete', what) ?? false,
    files: yield* mapping(files, (child) => fileSet(child, what)),
  }
}

/** An alternate path is where a writer wants the files to be read at a backup. */
function fileSet(element: XmlElement, what: string): FileSet {
  const alternate = element.attributes.get('alternatePath') ?? ''
  return {
    path: alternate === '' ? textOf(element, 'path', what) : alternate,
    filespec: textOf(element, 'filespec', what),
    recursive: yes(element, 'recursive', what) ?? false,
  }
}

export function parseBackupComponents(document: string): BackupComponents {
  return atOnce(parsingBackupComponents(document))
}

export function* parsingBackupComponents(document: string): Work<BackupComponents> {
  const what = 'the backup components document'
  const root = yield* rootOf(document, 'BACKUP_COMPONENTS', what)
  const writers: AddedWriter[] = []
  for (const writer of own(root, 'WRITER_COMPONENTS')) {
    writers.push({
      ...identified(writer, what),
      components: yield* mapping(own(writer, 'COMPONENT'), (element): AddedComponent => ({
        logicalPath: element.attributes.get('logicalPath') ?? null,
        name: textOf(element, 'componentName', what),
        backupSucceeded: yes(element, 'backupSucceeded', what),
      })),
    })
    yield
  }
  return { backupType: root.attributes.get('backupType') ?? null, writers }
}

function* rootOf(document: string, name: string, what: string): Work<XmlElement> {
  const text = document.replace(/^\ufeff/, '')
  const root = yield* parsingXml(text, what, 'platform-protocol', DOCUMENT_LIMITS)
  if (root.name === name) return root
  throw wrong(what, `begins with ${printable(root.name, 40)} where ${name} should be`)
}

/** Children of that name in the namespace of their parent: others may mean something else. */
function own(element: XmlElement, name: string): readonly XmlElement[] {
  if (childOf(element, name) === undefined) return []
  return element.children.filter((child) => child.name === name && child.uri === element.uri)
}

function identified(
  element: XmlElement, what: string): { readonly writerId: string; readonly instanceId: string } {
  return {
    writerId: parseGuid(element.attributes.get('writerId'), what),
    instanceId: parseGuid(element.attributes.get('instanceId'), what),
  }
}

/** Paths of Windows have at most 32,767 characters; names are far shorter. */
const MAX_TEXT = 32_767

function textOf(element: XmlElement, attribute: string, what: string): string {
  const text = element.attributes.get(attribute)
  if (text === undefined) throw wrong(what, `has ${shown(element)} without ${attribute}`)
  if (text.length > MAX_TEXT) throw wrong(what, `has an endless ${attribute}`)
  return text
}

function yes(element: XmlElement, attribute: string, what: string): boolean | null {
  const text = element.attributes.get(attribute)
  switch (text) {
    case undefined: return null
    case 'yes': return true
    case 'no': return false
    default: throw wrong(what, `has ${shown(element)} with ${attribute} ${printable(text, 40)}`)
  }
}

function shown({ name }: XmlElement): string {
  return printable(name, 40)
}

function wrong(what: string, says: string): Fault {
  return new Fault('platform-protocol', `${what} ${says}`)
}
