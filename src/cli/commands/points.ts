/** `stillpoint points` */

import type { Command } from 'commander'
import { listPoints } from '../../engine/mod.ts'
import { listingJson } from '../render/json-shapes.ts'
import { renderPoints } from '../render/points-table.ts'
import type { Run } from '../session.ts'

const EXAMPLES = `
Examples:
  $ stillpoint points
  $ stillpoint points web1

The newest comes last. VERDICT is what "prove" made of the grade, and when, HELD how long writes
were held for it, SIZE what its disks have, ADDED what its backup added to the repository, SNAPSHOT
the id that restic knows it by.`

export function addPoints(program: Command, run: Run): void {
  program.command('points')
    .description('list the restore points and their grades')
    .argument('[machine]', 'only those of this machine')
    .addHelpText('after', EXAMPLES)
    .action((machine: string | undefined) =>
      run(async ({ output, repository, signal, world, openContext }) => {
        const points = await listPoints(repository, machine, await openContext(), signal)
        output.summary('points', { points: points.map(listingJson) })
        output.result(renderPoints(points, world.clock.nowMs(), output.paint))
        return 0
      }))
}
