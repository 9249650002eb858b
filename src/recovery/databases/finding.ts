/** What a reader of one kind of database says of what it found in the captured disks. */

import type { Check, WriterEvidence } from '../../consistency/mod.ts'
import type { GuestFiles } from './guest-files.ts'

export type Finding = Pick<Check, 'answer' | 'detail'>

export interface DatabaseSubject {
  /** Where its data lay, in the guest's own terms; from the evidence. */
  readonly paths: readonly string[]
  readonly writer: WriterEvidence
  readonly files: GuestFiles
  readonly signal: AbortSignal
}

/** Faults: `disk-unreadable` where its files cannot be read, and those of reading the disks. */
export type DatabaseReader = (subject: DatabaseSubject) => Promise<Finding>

export function confirms(detail: string): Finding {
  return { answer: 'confirms', detail }
}

export function contradicts(detail: string): Finding {
  return { answer: 'contradicts', detail }
}

export function silent(detail: string): Finding {
  return { answer: 'silent', detail }
}
