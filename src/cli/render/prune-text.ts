/** What a person sees after a prune. */

import { formatBytes } from '../../base/text.ts'
import type { PruneReport } from '../../repository/mod.ts'
import { counted } from './words.ts'

export function renderPrune(report: PruneReport): string {
  const { dryRun, bytesBefore, bytesAfter, bytesUnusedLeft } = report
  const freed = bytesBefore - bytesAfter
  const will = dryRun ? 'would be ' : ''
  const lines = [
    ...report.orphanPacks === 0 ? []
      : [`${counted(report.orphanPacks, 'pack')} that a crashed run had left ${will}removed`],
    ...report.repackedPacks === 0 ? []
      : [`${formatBytes(report.bytesCopied)} ${will}copied out of ${
        counted(report.repackedPacks, 'pack')} into ${counted(report.writtenPacks, 'new pack')}`],
    ...report.removedPacks === 0 ? []
      : [`${counted(report.removedPacks, 'pack')} of which nothing is needed ${will}removed`],
    ...bytesUnusedLeft === 0 ? []
      : [`${formatBytes(bytesUnusedLeft)} that nothing needs ${
        dryRun ? 'would stay' : 'stay'} in packs that are kept`],
  ]
  return [
    ...lines,
    freed > 0 ? `${formatBytes(freed)} ${will}freed, ${formatBytes(bytesAfter)} ${
      dryRun ? 'would remain' : 'remain'}`
      : `there is nothing to free; ${formatBytes(bytesAfter)} are in use`,
  ].join('\n')
}
