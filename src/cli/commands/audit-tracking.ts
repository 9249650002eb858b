/** `stillpoint audit-tracking` */

import type { Command } from 'commander'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { auditMachine } from '../../engine/mod.ts'
import { auditJson, renderAudit } from '../render/audit-text.ts'
import type { Run } from '../session.ts'
import { signerNotice } from '../signer-notice.ts'
import { onOption } from './options.ts'

const EXAMPLES = `
Examples:
  $ stillpoint audit-tracking web1                a tenth of what is said to be unchanged
  $ stillpoint audit-tracking web1 --sample 100   all of it

An increment is as good as what the platform says has changed. This reads what it says has not,
and compares it with the newest point; nothing is held still and nothing is backed up. Where
changes were missed, a point that was read as an increment itself is refuted, and the next backup
reads all of the disk; the exit code is 3. Run it from a timer, and after a host has crashed.`

interface AuditOptions {
  readonly on?: string
  readonly sample: string
}

export function addAuditTracking(program: Command, run: Run): void {
  program.command('audit-tracking')
    .description('read what is said not to have changed, and see whether that is true')
    .argument('[machine]', 'its name; may be left out where there is only one')
    .addOption(onOption())
    .option('--sample <percent>', 'how much of it is read and compared', '10')
    .addHelpText('after', EXAMPLES)
    .action((machine: string | undefined, { on, sample }: AuditOptions) =>
      run(async ({ output, repository, signal, openContext }) => {
        const audit = await auditMachine({
          repository, machine, on, share: shareOf(sample),
          onSigner: signerNotice(output),
          onProgress: (done, total) => {
            output.bar.show({ what: 'comparing', done, total, unit: 'bytes' })
            output.status('audit-tracking', { doneBytes: done, totalBytes: total })
          },
        }, await openContext(), signal)
        output.summary('audit-tracking', auditJson(audit))
        output.result(renderAudit(audit, output.paint))
        return audit.disks.some((disk) => 'since' in disk && disk.differing > 0) ? 3 : 0
      }))
}

/** Fault: `usage`. */
function shareOf(text: string): number {
  const percent = /^\d{1,3}(\.\d{1,6})?$/.test(text) ? Number(text) : 0
  if (percent > 0 && percent <= 100) return percent / 100
  throw new Fault('usage', `"${printable(text, 40)}" is no percentage`, {
    advice: 'Give --sample a number over 0 and up to 100.' })
}
