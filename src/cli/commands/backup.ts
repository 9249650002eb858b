/** `stillpoint backup` */

import { Option, type Command } from 'commander'
import { backupMachine } from '../../engine/mod.ts'
import { GRADES, type Grade } from '../../consistency/mod.ts'
import { backupProgress } from '../backup-progress.ts'
import { renderBackup } from '../render/backup-text.ts'
import { backupJson } from '../render/json-shapes.ts'
import type { Output } from '../output.ts'
import type { Run } from '../session.ts'
import { signerNotice } from '../signer-notice.ts'
import { leaveOutOption, onOption } from './options.ts'

const EXAMPLES = `
Examples:
  $ stillpoint backup web1                    a machine of stillpoint.yaml
  $ stillpoint backup --on qemu:qmp=/run/web1/qmp.sock,agent=/run/web1/agent.sock
  $ stillpoint backup web1 --require filesystem --on-weaker fail
  $ stillpoint backup --on host:              the Windows that it runs on, by VSS

Only what has changed since the last backup is read, where the platform tells and a sample bears it
out; else all of it, and the result says why. Each restore point is whole in any case.

The machine works on; its writes are held for the instant of the snapshot. What is required is the
best grade that the machine has had, unless --require or the configuration says otherwise. If the
result is weaker, the exit code is 3; --on-weaker says whether it is stored all the same.`

/** Said before anything is touched. */
const FULL_MEANS = 'the writers of Windows are told of a full backup: when it is sealed they may ' +
  'truncate their logs, as Exchange does, and differential backups of SQL Server refer to it. ' +
  'Another program that keeps the logs of this host loses its chain.'

function tellOfFull(output: Output): void {
  output.notice(`--vss-type full: ${FULL_MEANS}`)
  if (output.options.json) output.log.warn('vss.full', { means: FULL_MEANS })
}

interface BackupOptions {
  readonly on?: string
  readonly require?: Grade
  readonly onWeaker?: 'keep' | 'fail'
  readonly full?: true
  readonly vssType?: 'copy' | 'full'
  readonly leaveOut?: readonly string[]
}

export function addBackup(program: Command, run: Run): void {
  program.command('backup')
    .description('back a running machine up, and say how consistent the backup is')
    .argument('[machine]', 'its name; may be left out where there is only one')
    .addOption(onOption())
    .addOption(new Option('--require <grade>', 'the least grade that is good enough')
      .choices([...GRADES].reverse()))
    .addOption(new Option('--on-weaker <what>', 'what to do with a weaker result (default keep)')
      .choices(['keep', 'fail']))
    .option('--full', 'read all of each disk, not only what has changed')
    .addOption(new Option('--vss-type <type>',
      'with host: what the writers of Windows are told (default copy)').choices(['copy', 'full']))
    .addOption(leaveOutOption())
    .addHelpText('after', EXAMPLES)
    .action((machine: string | undefined, options: BackupOptions) =>
      run(async ({ output, repository, signal, world, openContext }) => {
        if (options.vssType === 'full') tellOfFull(output)
        const summary = await backupMachine({
          repository, machine,
          on: options.on, require: options.require, onWeaker: options.onWeaker,
          full: options.full === true, vssType: options.vssType, leaveOut: options.leaveOut,
          onEvent: backupProgress(output, world.clock),
          onSigner: signerNotice(output),
        }, await openContext(), signal)
        output.summary('backup', backupJson(summary))
        output.result(renderBackup(summary, output.paint))
        return summary.judgement.kind === 'fine' ? 0 : 3
      }))
}
