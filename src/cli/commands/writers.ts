/** `stillpoint writers` */

import type { Command } from 'commander'
import { listWriters } from '../../engine/mod.ts'
import { renderReport } from '../render/report-text.ts'
import { writersJson, writersReport } from '../render/writers-report.ts'
import type { Run } from '../session.ts'

const EXAMPLES = `
Examples:
  $ stillpoint writers                        from an elevated shell
  $ stillpoint writers --json

What "vssadmin list writers" should be: asked in a session of its own, with components and ids.
Nothing is held, and no writer is told of a backup. The last error of a writer is that of whichever
backup was the last: what a backup of Stillpoint saw of it stands in that backup's evidence. If a
writer is not in order, the exit code is 3.`

export function addWriters(program: Command, run: Run): void {
  program.command('writers')
    .description('list the VSS writers of the Windows that it runs on, and how they stand')
    .addHelpText('after', EXAMPLES)
    .action(() => run(async ({ output, signal, openContext }) => {
      const list = await listWriters(await openContext(), signal)
      output.summary('writers', writersJson(list))
      output.result(renderReport(writersReport(list), output.paint))
      return list.writers.every(({ isInOrder }) => isInOrder) ? 0 : 3
    }))
}
