/** What others said, cut to what evidence holds, so that no long answer can spoil a backup. */

import { isFault } from '../base/fault.ts'
import { EVIDENCE_MAX } from './evidence-codec.ts'
import type { FileSystemList, LogPositions, QuiesceDocument, StepFault } from './evidence.ts'
import type { GuestFileSystem } from './freezer.ts'

/** `text` at the length that evidence allows. */
export function observedText(text: string): string {
  return cut(text, EVIDENCE_MAX.text)
}

/** Positions at the length of a name. */
export function observedPositions(positions: LogPositions | null): LogPositions | null {
  return positions === null ? null : {
    beforeCheckpoint: positions.beforeCheckpoint.slice(0, EVIDENCE_MAX.name),
    atFreeze: positions.atFreeze.slice(0, EVIDENCE_MAX.name),
  }
}

export function observedFault(error: unknown): StepFault {
  const message = error instanceof Error ? error.message : String(error)
  return { code: isFault(error) ? error.code : 'unexpected', message: observedText(message) }
}

/** Of the evidence's 4 MiB, what one list and all documents together may take. */
const LIST_BYTES = 1024 * 1024
const DOCUMENT_BYTES = 1024 * 1024

/** A list with more than evidence holds is none: part of it would prove too little. */
export function observedList(fileSystems: readonly GuestFileSystem[]): FileSystemList {
  const kept = fileSystems.slice(0, EVIDENCE_MAX.fileSystems)
    .map(({ mountpoint, type, device, diskIds }) => ({
      mountpoint: observedText(mountpoint), type: cut(type, EVIDENCE_MAX.name),
      device: observedText(device), diskIds: [...diskIds] }))
  if (kept.length < fileSystems.length || sizeOf(kept) > LIST_BYTES) {
    const reason = `${fileSystems.length} mounts are more than can be kept`
    return { state: 'unavailable', reason }
  }
  return { state: 'listed', fileSystems: kept }
}

/** Documents of a platform; what does not fit is kept by name and shows nothing. */
export function observedDocuments(
  documents: readonly QuiesceDocument[]): readonly QuiesceDocument[] {
  let left = DOCUMENT_BYTES
  return documents.slice(0, EVIDENCE_MAX.documents).map((document) => {
    const name = cut(document.name, EVIDENCE_MAX.name)
    left -= sizeOf(document.text)
    return left < 0 || document.text.length > EVIDENCE_MAX.documentText
      ? { name, text: '', shows: 'nothing' } : { ...document, name }
  })
}

function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text
}
