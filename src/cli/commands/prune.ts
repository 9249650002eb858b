/** `stillpoint prune` */

import type { Command } from 'commander'
import { pruneRepositoryAt } from '../../engine/mod.ts'
import { pruneProgress } from '../prune-progress.ts'
import { renderPrune } from '../render/prune-text.ts'
import type { Run } from '../session.ts'
import { maxUnusedOption, parseMaxUnused } from './retention-options.ts'

const EXAMPLES = `
Examples:
  $ stillpoint prune
  $ stillpoint prune --dry-run                what it would free
  $ stillpoint prune --max-unused unlimited   copy nothing: quickest, and needs least space

It locks the repository for itself: no backup can run meanwhile. It may be interrupted at any time;
the next one goes on. If anything that a point needs is missing, it removes nothing and says so.`

export function addPrune(program: Command, run: Run): void {
  program.command('prune')
    .description('free the space that no restore point needs')
    .option('-n, --dry-run', 'say what would be freed; change nothing')
    .addOption(maxUnusedOption())
    .addHelpText('after', EXAMPLES)
    .action(({ dryRun = false, maxUnused }: { dryRun?: boolean; maxUnused: string }) =>
      run(async ({ output, repository, signal, world, openContext }) => {
        const report = await pruneRepositoryAt({
          repository, dryRun, maxUnused: parseMaxUnused(maxUnused),
          onProgress: pruneProgress(output, world.clock, 'prune'),
        }, await openContext(), signal)
        output.summary('prune', { ...report })
        output.result(renderPrune(report))
        return 0
      }))
}
