/** What others said, cut to what evidence holds, so that no long answer can spoil a backup. */

import { isFault } from '../base/fault.ts'
import { EVIDENCE_MAX } from './evidence-codec.ts'
import type { FileSystemList, StepFault } from './evidence.ts'
import type { GuestFileSystem } from './freezer.ts'

/** `text` at the length that evidence allows. */
export function observedText(text: string): string {
  return cut(text, EVIDENCE_MAX.text)
}

export function observedFault(error: unknown): StepFault {
  const message = error instanceof Error ? error.message : String(error)
  return { code: isFault(error) ? error.code : 'unexpected', message: observedText(message) }
}

/** A list with more entries than evidence holds is none: part of it would prove too little. */
export function observedList(fileSystems: readonly GuestFileSystem[]): FileSystemList {
  if (fileSystems.length > EVIDENCE_MAX.fileSystems) {
    return { state: 'unavailable', reason: `${fileSystems.length} mounts are more than can be kept` }
  }
  return {
    state: 'listed',
    fileSystems: fileSystems.map(({ mountpoint, type, device, diskIds }) => ({
      mountpoint: observedText(mountpoint), type: cut(type, EVIDENCE_MAX.name),
      device: observedText(device), diskIds: [...diskIds] })),
  }
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text
}
