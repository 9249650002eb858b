/** Says when the agent of Stillpoint is what a machine lacks, and how it gets there. */

import { printable } from '../base/text.ts'
import type { ApplicationsEvidence, Freezing, GradeResult } from '../consistency/mod.ts'

export interface Situation {
  readonly predicted: GradeResult
  readonly freezing: Freezing
  readonly applications: ApplicationsEvidence
  /** What installs the agent in this machine. */
  readonly command: string
}

/** The command that brings the agent there, where that is what is missing; undefined elsewhere. */
export function nextStep(
  { predicted, freezing, applications, command }: Situation): string | undefined {
  const { discovery } = applications
  const ignored = discovery.state === 'impossible' ? undefined
    : discovery.applications.find(({ writer }) =>
      writer.contract === 'none' && writer.reason === 'hook-ignored')?.writer
  if (ignored?.contract === 'none') return `${printable(ignored.detail, 200)}; run: ${command}`
  const isHeldByAgent = 'by' in freezing && freezing.by === 'agent'
  if (!isHeldByAgent || predicted.grade !== 'filesystem' ||
    discovery.state !== 'impossible') return undefined
  return `run: ${command}`
}

/** As a POSIX shell reads it. */
export function shellWord(text: string): string {
  const shown = printable(text)
  return /^[\w@%+=:,./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`
}
