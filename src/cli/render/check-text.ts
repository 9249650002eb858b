/** What a person sees after a check. */

import { formatBytes } from '../../base/text.ts'
import type { CheckedRepository } from '../../engine/mod.ts'
import { counted } from './words.ts'

type Findings = CheckedRepository['report']['findings']

export function renderCheck({ location, report }: CheckedRepository, readData: boolean): string {
  const { snapshots, packs, blobs, duplicateBlobs, unreferencedBlobs, findings } = report
  const left = report.errors + report.warnings - findings.length
  const how = readData
    ? `every byte was read (${formatBytes(report.bytesRead)})`
    : 'the data itself was not read: --read-data does that'
  return [
    ...findings.filter(({ severity }) => severity === 'error')
      .map(({ message }) => `error: ${message}`),
    ...groupedWarnings(findings),
    ...left > 0 ? [`and ${left} more`] : [],
    `checked ${location}: ${counted(snapshots, 'snapshot')}, ${counted(packs, 'pack')}, ${
      counted(blobs, 'blob')}; ${how}`,
    ...unreferencedBlobs === 0 ? []
      : [`${counted(unreferencedBlobs, 'blob')} that no snapshot needs: lost space, no damage`],
    ...duplicateBlobs === 0 ? []
      : [`${counted(duplicateBlobs, 'blob')} stored more than once: lost space, no damage`],
    report.isSound
      ? report.warnings === 0 ? 'no errors were found'
        : `no errors were found; ${counted(report.warnings, 'warning')}: lost space, no lost data`
      : `${counted(report.errors, 'error')} found`,
  ].join('\n')
}

/** One of each kind: a run that was interrupted may have left hundreds of packs. */
function groupedWarnings(findings: Findings): readonly string[] {
  const warnings = findings.filter(({ severity }) => severity === 'warning')
  return [...new Set(warnings.map(({ code }) => code))].map((code) => {
    const [first, ...others] = warnings.filter((finding) => finding.code === code)
    const more = others.length === 0 ? '' : ` (and ${others.length} more of this kind)`
    return `warning: ${first?.message ?? ''}${more}`
  })
}
