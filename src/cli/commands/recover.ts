/** `stillpoint recover` */

import type { Command } from 'commander'
import { printable } from '../../base/text.ts'
import { recoverMachine } from '../../engine/mod.ts'
import type { Run } from '../session.ts'
import { onOption } from './options.ts'

const EXAMPLES = `
Examples:
  $ stillpoint recover web1                   a machine of stillpoint.yaml
  $ stillpoint recover --on qemu:qmp=/run/web1/qmp.sock,agent=/run/web1/agent.sock

Thaws the guest, lets the machine run, and removes filters, exports and scratch files, as far as a
killed run of Stillpoint left them. Every backup does this first by itself; use it when you do not
want to wait for the next one. What is not Stillpoint's is not touched.`

export function addRecover(program: Command, run: Run): void {
  program.command('recover')
    .description('clean up what a killed backup left in a machine')
    .argument('[machine]', 'its name; may be left out where there is only one')
    .addOption(onOption())
    .addHelpText('after', EXAMPLES)
    .action((machine: string | undefined, { on }: { on?: string }) =>
      run(async ({ output, signal, openContext }) => {
        const recovery = await recoverMachine({ machine, on }, await openContext(), signal)
        const { released } = recovery
        output.summary('recover', { machine: recovery.machine, released })
        output.result(released.length === 0
          ? `nothing was left in ${printable(recovery.machine)}`
          : released.map((what) => printable(what)).join('\n'))
        return 0
      }))
}
