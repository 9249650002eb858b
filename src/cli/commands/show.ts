/** `stillpoint show` */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { printable } from '../../base/text.ts'
import { showPoint } from '../../engine/mod.ts'
import { writeNewFile } from '../new-file.ts'
import { shownPointJson } from '../render/json-shapes.ts'
import { renderPointPage } from '../render/point-html.ts'
import { renderPoint } from '../render/point-page.ts'
import type { Run } from '../session.ts'

/** How a restore point is named, for every command that takes one. */
export const POINT_HELP = 'the first digits of its id, "latest", or "latest:MACHINE"'

const EXAMPLES = `
Examples:
  $ stillpoint show latest
  $ stillpoint show latest:web1
  $ stillpoint show 8d2f1a77 --json           with all the evidence
  $ stillpoint show latest --html web1.html   a page to print or to hand to an auditor

The grade is computed from the evidence each time, and not taken from a label.`

export function addShow(program: Command, run: Run): void {
  program.command('show')
    .description('show a restore point: its grade and why, its hold, its disks, how to restore it')
    .argument('<point>', POINT_HELP)
    .option('--html <file>', 'write it as a page that needs nothing else, into a new file')
    .addHelpText('after', EXAMPLES)
    .action((name: string, { html }: { html?: string }) =>
      run(async ({ output, repository, signal, world, openContext }) => {
        const point = await showPoint(repository, name, await openContext(), signal)
        const nowMs = world.clock.nowMs()
        const { version, hostname } = world
        if (html !== undefined) {
          const path = resolve(world.workingDir, html)
          await writeNewFile(path, renderPointPage(point, { nowMs, version, hostname }))
        }
        output.summary('show', { ...shownPointJson(point), page: html ?? null })
        output.result(html === undefined
          ? renderPoint(point, nowMs, output.paint) : `the page is in ${printable(html)}`)
        return 0
      }))
}
