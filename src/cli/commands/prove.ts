/** `stillpoint prove` */

import type { Command } from 'commander'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { provePoints, type Proved, type ProveRequest } from '../../engine/mod.ts'
import { provedJson } from '../render/json-shapes.ts'
import { renderProved } from '../render/proved-text.ts'
import type { Run } from '../session.ts'
import { signerNotice } from '../signer-notice.ts'
import { POINT_HELP } from './show.ts'

const EXAMPLES = `
Examples:
  $ stillpoint prove latest                   is the grade of the newest point true?
  $ stillpoint prove latest:web1 --image --logs
  $ stillpoint prove --all --budget 30        each machine's newest point, for half an hour

--image reads the captured disks without booting them: partition tables, superblocks, journals. A
file system that was held still shows it, unless it cannot (a FAT, or an ext4 without journal): then
the grade is "not proven", which is no reproach. A grade that the disks contradict is REFUTED, and
the exit code is 3. The verdict is signed and kept beside the point; "points" and "show" tell it.

--logs reads the event logs of a Windows out of the disks, and says what their records around the
instant mean. An image ends before the guest goes on, so what completes a backup is logged only in
the next one: prove a point again once the machine has been backed up a second time.`

interface ProveOptions {
  readonly image?: true
  readonly logs?: true
  readonly all?: true
  readonly budget?: string
}

export function addProve(program: Command, run: Run): void {
  program.command('prove')
    .description('check a restore point against its own data, and keep the verdict')
    .argument('[point]', POINT_HELP)
    .option('--image', 'read the captured disks (the default)')
    .option('--logs', 'read the event logs of a Windows out of the captured disks')
    .option('--all', 'the newest point of each machine, those first that were proved longest ago')
    .option('--budget <minutes>', 'with --all: begin no check after so many minutes')
    .addHelpText('after', EXAMPLES)
    .action((name: string | undefined, options: ProveOptions) =>
      run(async ({ output, repository, signal, openContext }) => {
        const proved = await provePoints({
          repository, points: chosen(name, options), budgetMs: budgetOf(options),
          checks: checksOf(options),
          onSigner: signerNotice(output),
          onPoint: ({ machine }, done, total) => {
            output.bar.show({
              what: `reading ${printable(machine.name, 64)}`, done, total, unit: 'count' })
            output.status('prove', { machine: machine.name, done, total })
          },
        }, await openContext(), signal)
        output.summary('prove', provedJson(proved))
        output.result(renderProved(proved, output.paint))
        return isRefuted(proved) ? 3 : 0
      }))
}

function checksOf({ image, logs }: ProveOptions): ProveRequest['checks'] {
  return { image: image === true || logs !== true, logs: logs === true }
}

function chosen(
  name: string | undefined, { all }: ProveOptions): { readonly name: string } | 'all' {
  if ((name === undefined) === (all === true)) {
    return name === undefined ? 'all' : { name }
  }
  throw new Fault('usage', name === undefined
    ? 'no restore point is named' : 'a restore point and --all cannot be given together', {
    advice: 'Name one point, or say --all.' })
}

/** Faults: `usage`. */
function budgetOf({ all, budget }: ProveOptions): number | undefined {
  if (budget === undefined) return undefined
  if (all !== true) throw new Fault('usage', '--budget needs --all')
  const minutes = Number(budget)
  if (/^\d{1,6}(\.\d+)?$/.test(budget)) return minutes * 60_000
  throw new Fault('usage', `"${printable(budget, 40)}" is no number of minutes`)
}

function isRefuted({ proved }: Proved): boolean {
  return proved.some(({ verdict }) => verdict.verdict === 'refuted')
}
