/** `stillpoint show --html`: a restore point as a page for an auditor. */

import { isoTime } from '../../base/clock.ts'
import { printable, printableJson } from '../../base/text.ts'
import type { ShownPoint } from '../../engine/mod.ts'
import { pointReport } from './point-report.ts'
import { renderPage } from './report-html.ts'
import { shortId } from './words.ts'

export interface PageMaker {
  /** Wall time. */
  readonly nowMs: number
  /** Of this program. */
  readonly version: string
  readonly hostname: string
}

export function renderPointPage(shown: ShownPoint, maker: PageMaker): string {
  const { point } = shown
  const machine = printable(point.machine.name, 64)
  const [head, ...sections] = pointReport(shown, maker.nowMs)
  return renderPage({
    title: `Restore point ${shortId(point.pointId)} of ${machine}`,
    sections: [...head === undefined ? [] : [{ ...head, title: 'what it is' }], ...sections],
    source: {
      title: 'the evidence, as recorded',
      json: printableJson(JSON.stringify(point.evidence, null, 2)),
    },
    footer: `Made by stillpoint ${maker.version} on ${printable(maker.hostname, 64)}, ${
      isoTime(maker.nowMs)}. The grade was computed anew from the evidence, which the repository ` +
      `keeps in the snapshot ${point.snapshotId}.`,
  })
}
