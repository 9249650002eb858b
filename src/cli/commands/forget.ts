/** `stillpoint forget` */

import type { Command } from 'commander'
import { Fault } from '../../base/fault.ts'
import type { ForgetPlan } from '../../catalog/mod.ts'
import { forgetPoints } from '../../engine/mod.ts'
import { hasRules } from '../../schedule/mod.ts'
import { pruneProgress } from '../prune-progress.ts'
import { forgetJson } from '../render/forget-json.ts'
import { renderForgetEnd, renderForgetPlan } from '../render/forget-text.ts'
import { renderPrune } from '../render/prune-text.ts'
import type { Run } from '../session.ts'
import { signerNotice } from '../signer-notice.ts'
import {
  addRetentionOptions, maxUnusedOption, parseMaxUnused, retentionRules, type RetentionOptions,
} from './retention-options.ts'

const EXAMPLES = `
Examples:
  $ stillpoint forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run
  $ stillpoint forget web1 --keep-within 14d --keep-within-weekly 1y --prune
  $ stillpoint forget 8d2f1a77                just this point

With --keep-… the argument is a machine, and rules apply to each machine by itself: a point that any
rule keeps is kept. Without, the arguments are points. Days, weeks and so on are those of this
host's time zone. Snapshots that are not Stillpoint's are never touched, and damaged points neither
count as kept nor go unless they are named. Space comes back with --prune, or a later prune.
A signed tombstone of each point stays, so that it does not look removed by somebody else.`

interface ForgetOptions extends RetentionOptions {
  readonly dryRun?: true
  readonly prune?: true
  readonly maxUnused: string
  readonly unsafeAllowRemoveAll?: true
}

export function addForget(program: Command, run: Run): void {
  const command = program.command('forget')
    .description('remove restore points by rules, or by name')
    .argument('[machine-or-point...]', 'a machine with --keep-…, points without')
  addRetentionOptions(command)
    .option('-n, --dry-run', 'show what would go, and why the rest is kept; change nothing')
    .option('--prune', 'also free the space that only they needed')
    .addOption(maxUnusedOption())
    .option('--unsafe-allow-remove-all', 'the last point of a machine may go too')
    .addHelpText('after', EXAMPLES)
    .action((words: readonly string[], options: ForgetOptions) =>
      run(async ({ output, repository, signal, world, openContext }) => {
        const rules = retentionRules(options)
        const [machine, ...others] = hasRules(rules) ? words : []
        if (others.length > 0) {
          throw new Fault('usage', 'rules apply to one machine or to all', {
            advice: 'Name one machine, or none. To forget points by name, give no --keep-….' })
        }
        const dryRun = options.dryRun === true
        const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
        const onPlan = (plan: ForgetPlan): void =>
          output.result(renderForgetPlan(plan, output.paint))
        const done = await forgetPoints({
          repository, rules, machine, zone, dryRun, onPlan, onSigner: signerNotice(output),
          names: hasRules(rules) ? [] : words,
          allowRemoveAll: options.unsafeAllowRemoveAll === true,
          prune: options.prune === true
            ? { maxUnused: parseMaxUnused(options.maxUnused) } : undefined,
          onProgress: pruneProgress(output, world.clock, 'forget'),
        }, await openContext(), signal)
        output.summary('forget', forgetJson(done, dryRun, zone))
        output.result(renderForgetEnd(done.plan, dryRun, zone))
        if (done.pruned !== undefined) output.result(renderPrune(done.pruned))
        return 0
      }))
}
