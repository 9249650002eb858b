/** `stillpoint show --verify`. */

import { printable } from '../../base/text.ts'
import { gapWords, type Verification, type VerifyCode } from '../../catalog/mod.ts'
import type { VerifiedPoint } from '../../engine/mod.ts'
import type { JsonFields } from '../output.ts'
import { noPaint, type Paint } from '../paint.ts'
import { command, pair, text, type ReportLine, type ReportSection } from './report.ts'
import { renderReport } from './report-text.ts'
import { counted, shortId } from './words.ts'

const RESULT_WORDS: Readonly<Record<'intact' | VerifyCode, string>> = {
  'intact': 'intact',
  'unreadable': 'NO READABLE EVIDENCE',
  'forged': 'FORGED',
  'foreign-signer': 'FOREIGN SIGNER',
  'altered-since-seal': 'ALTERED SINCE THE SEAL',
  'damaged': 'DAMAGED',
  'forgotten': 'forgotten',
  'missing': 'MISSING',
  'forked': 'FORKED',
  'missing-link': 'MISSING LINK',
  'signer-unknown': 'self-consistent, signer unknown',
}

/** The verdict comes last, next to the prompt. */
export function renderVerification(verified: VerifiedPoint, paint: Paint = noPaint): string {
  const { verification } = verified
  const { result, findings, remarks } = verification
  const words = RESULT_WORDS[result]
  const tone = result === 'intact' ? 'good' : result === 'signer-unknown' ? 'weak' : 'bad'
  const sections: readonly ReportSection[] = [
    { title: titleOf(verified), lines: factsOf(verification) },
    {
      title: `verification: ${words}`, marked: words, tone,
      lines: [
        ...findings.map(({ sentence }) => text(sentence)),
        ...result === 'intact' ? [text('Disks and documents are those that were sealed, the ' +
          'signature is that of a pinned key, and no earlier evidence is missing.')] : [],
        ...remarks.map((remark) => text(printable(remark))),
        ...result === 'signer-unknown' ? pinAdvice(verification) : [],
      ],
    },
  ]
  return renderReport(sections, paint)
}

function titleOf({ point }: VerifiedPoint): string {
  if (point === undefined) return 'a restore point that is not there'
  const statement = point.seal?.statement
  return statement === undefined ? `snapshot ${shortId(point.snapshotId)}`
    : `restore point ${shortId(statement.evidence.pointId)} of ${
      printable(statement.evidence.machine.name, 64)}`
}

function factsOf(it: Verification): readonly ReportLine[] {
  const { signer, digest, sequence, isPinned, chain, completion } = it
  const standing = isPinned === undefined ? 'no key is pinned' : isPinned ? 'pinned' : 'NOT PINNED'
  return [
    ...signer === undefined ? [] : [pair('signed by', `${signer} (${standing})`)],
    ...digest === undefined ? [] : [pair('evidence', `number ${sequence ?? '?'}, ${digest}`)],
    ...chain === undefined ? [] : [pair('chain', chainWords(chain))],
    ...completion === undefined ? [] : [pair('completed', completionWords(completion))],
  ]
}

function chainWords({ present, forgotten, missing, forked }: NonNullable<Verification['chain']>,
): string {
  return [
    `${present} present`, `${forgotten} forgotten`,
    ...missing.length === 0 ? ['none missing'] : [`MISSING ${missing.map(gapWords).join(', ')}`],
    ...forked.length === 0 ? [] : [`FORKED at ${forked.join(', ')}`],
  ].join(', ')
}

function completionWords(
  { completedAt, applications }: NonNullable<Verification['completion']>): string {
  const failed = applications.filter(({ outcome }) => outcome === 'failed')
  const told = applications.length === 0 ? 'no application had to be told'
    : `${counted(applications.length, 'application')} told of the point`
  return `${completedAt}; ${told}${failed.length === 0 ? ''
    : `, of which failed: ${printable(failed.map(({ name }) => name).join(', '), 300)}`}`
}

/** Only who made the backup knows the fingerprint: to copy it from here would show nothing. */
function pinAdvice({ signer }: Verification): readonly ReportLine[] {
  return signer === undefined ? [] : [
    text('Compare the fingerprint with the one that `stillpoint init` printed on the host that ' +
      'makes the backups, and pin it:'),
    command('stillpoint show POINT --verify --fingerprint FINGERPRINT'),
  ]
}

export function verificationJson({ point, verification }: VerifiedPoint): JsonFields {
  const { result, findings, remarks, signer, digest, sequence, isPinned, chain, completion } =
    verification
  return {
    point: point?.seal?.statement.evidence.pointId ?? null,
    snapshot: point?.snapshotId ?? null,
    machine: point?.seal?.statement.evidence.machine.name ?? null,
    verification: {
      result, findings, remarks,
      signer: signer ?? null,
      pinned: isPinned ?? null,
      evidence: digest ?? null,
      sequence: sequence ?? null,
      differences: point?.seal?.differences ?? [],
      chain: chain ?? null,
      completedAt: completion?.completedAt ?? null,
      told: completion?.applications ?? [],
    },
  }
}
