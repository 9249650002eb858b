/** Shorthand for tests of `gradeOf`. */

import assert from 'node:assert/strict'
import type { Evidence, FileSystemEvidence } from '../evidence.ts'
import type { GuestFileSystem } from '../freezer.ts'
import { gradeOf } from '../grade.ts'
import type { ReasonCode } from '../reasons.ts'
import { sampleEvidence } from './sample-evidence.ts'

/** Asserts that `evidence` gets `grade`, and `code` as its first reason. */
export function gets(evidence: Evidence, grade: string, code: ReasonCode): void {
  const result = gradeOf(evidence)
  assert.deepEqual([result.grade, result.reasons[0]?.code], [grade, code])
}

export function codesOf(evidence: Evidence): readonly ReasonCode[] {
  return gradeOf(evidence).reasons.map((reason) => reason.code)
}

/** The sample with other observations of its file systems. */
export function withFiles(changes: Partial<FileSystemEvidence>): Evidence {
  const sample = sampleEvidence()
  return { ...sample, fileSystems: { ...sample.fileSystems, ...changes } }
}

/** The sample with other lists of the agent; one list stands for both. */
export function withLists(
  before: FileSystemEvidence['before'], after: FileSystemEvidence['after'] = before): Evidence {
  return withFiles({ before, after })
}

export function listed(...fileSystems: readonly GuestFileSystem[]): FileSystemEvidence['before'] {
  return { state: 'listed', fileSystems }
}
