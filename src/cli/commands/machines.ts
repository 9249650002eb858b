/** `stillpoint machines` */

import type { Command } from 'commander'
import { listMachines } from '../../engine/mod.ts'
import { machinesJson } from '../render/json-shapes.ts'
import { renderMachines } from '../render/machines-table.ts'
import type { Run } from '../session.ts'
import { onOption } from './options.ts'

const EXAMPLES = `
Examples:
  $ stillpoint machines                       all that stillpoint.yaml names
  $ stillpoint machines --on qemu:qmp=/run/web1/qmp.sock,agent=/run/web1/agent.sock

The paths are sockets of QEMU's -qmp and of the guest agent's channel. A comma in a path is
written twice. Nothing in the machine is changed.`

export function addMachines(program: Command, run: Run): void {
  program.command('machines')
    .description('list what can be protected: power, guest agent, disks')
    .addOption(onOption())
    .addHelpText('after', EXAMPLES)
    .action(({ on }: { on?: string }) => run(async ({ output, signal, openContext }) => {
      const listings = await listMachines(on, await openContext(), signal)
      const [first, ...others] = listings.flatMap(({ fault }) => fault ?? [])
      if (first !== undefined && listings.length === 1) throw first
      output.summary('machines', machinesJson(listings))
      if (listings.some(({ machines }) => machines.length > 0)) {
        output.result(renderMachines(listings))
      }
      if (first === undefined) return 0
      for (const fault of others) output.notice(`warning: ${fault.message} (${fault.code})`)
      throw first
    }))
}
