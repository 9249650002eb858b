/** `stillpoint show` */

import type { Command } from 'commander'
import { showPoint } from '../../engine/mod.ts'
import { shownPointJson } from '../render/json-shapes.ts'
import { renderPoint } from '../render/point-page.ts'
import type { Run } from '../session.ts'

/** How a restore point is named, for every command that takes one. */
export const POINT_HELP = 'the first digits of its id, "latest", or "latest:MACHINE"'

const EXAMPLES = `
Examples:
  $ stillpoint show latest
  $ stillpoint show latest:web1
  $ stillpoint show 8d2f1a77 --json           with all the evidence

The grade is computed from the evidence each time, and not taken from a label.`

export function addShow(program: Command, run: Run): void {
  program.command('show')
    .description('show a restore point: its grade and why, its hold, its disks, how to restore it')
    .argument('<point>', POINT_HELP)
    .addHelpText('after', EXAMPLES)
    .action((name: string) =>
      run(async ({ output, repository, signal, world, openContext }) => {
        const point = await showPoint(repository, name, await openContext(), signal)
        output.summary('show', shownPointJson(point))
        output.result(renderPoint(point, world.clock.nowMs(), output.paint))
        return 0
      }))
}
