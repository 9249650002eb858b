/** `stillpoint check` */

import type { Command } from 'commander'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { checkRepositoryAt, type CheckRequest } from '../../engine/mod.ts'
import type { Output } from '../output.ts'
import { renderCheck } from '../render/check-text.ts'
import { checkJson } from '../render/json-shapes.ts'
import { counted } from '../render/words.ts'
import type { Run } from '../session.ts'
import { sometimes } from '../sometimes.ts'

const EXAMPLES = `
Examples:
  $ stillpoint check                          all that finding one's way takes: quick
  $ stillpoint check --read-data              every byte: damaged disks show themselves

It locks the repository for itself: no backup can run meanwhile. It changes nothing.`

export function addCheck(program: Command, run: Run): void {
  program.command('check')
    .description('check that the repository is whole')
    .option('--read-data', 'read and verify all data too')
    .addHelpText('after', EXAMPLES)
    .action(({ readData = false }: { readData?: boolean }) =>
      run(async ({ output, repository, signal, world, openContext }) => {
        const onEvent = checkProgress(output, world.clock)
        const checked = await checkRepositoryAt(
          { repository, readData, onEvent }, await openContext(), signal)
        output.summary('check', checkJson(checked))
        output.result(renderCheck(checked, readData))
        if (checked.report.isSound) return 0
        throw new Fault('repository-damaged',
          `${counted(checked.report.errors, 'error')} found in ${checked.location}`, {
            advice: 'See "stillpoint points" for points that are whole; restore from those, and ' +
              'keep this repository unchanged until you have looked into it.' })
      }))
}

function checkProgress(output: Output, clock: Clock): CheckRequest['onEvent'] {
  const now = sometimes(clock)
  return (event) => {
    // Findings come with the report.
    if (event.kind === 'finding') return
    const { phase, done, total } = event
    output.bar.show({ what: `checking ${phase}`, done, total, unit: 'count' })
    if (now()) output.status('check', { phase, done, total: total ?? null })
  }
}
