/** Says when the agent of Stillpoint is what a machine lacks, and how it gets there. */

import { printable } from '../base/text.ts'
import type { ApplicationsEvidence, Freezing, GradeResult } from '../consistency/mod.ts'

export interface Situation {
  readonly predicted: GradeResult
  readonly freezing: Freezing
  readonly applications: ApplicationsEvidence
  /** Whether the host's end of the agent's port was named. */
  readonly hasChannel: boolean
  /** What installs the agent in this machine. */
  readonly command: string
}

/** The command that brings the agent there, where that is what is missing; undefined elsewhere. */
export function nextStep(
  { predicted, freezing, applications, hasChannel, command }: Situation): string | undefined {
  const isHeldByAgent = 'by' in freezing && freezing.by === 'agent'
  if (!isHeldByAgent || predicted.grade !== 'filesystem' ||
    applications.discovery.state !== 'impossible') return undefined
  return hasChannel ? `run: ${command}`
    : 'give the machine a port named org.stillpoint.agent.0, name its socket (channel=PATH), and ' +
      `run: ${command}`
}

/** As a POSIX shell reads it. */
export function shellWord(text: string): string {
  const shown = printable(text)
  return /^[\w@%+=:,./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`
}
