/** `stillpoint demo` */

import { Option, type Command } from 'commander'
import { runDemo } from '../../demo/mod.ts'
import type { Run } from '../session.ts'

const EXAMPLES = `
It builds a Linux machine from Debian packages, backs it up while it works, kills it, restores it,
and compares what it had promised with what is there. "tiny" runs SQLite and takes a minute or two,
"full" is a Debian with PostgreSQL, MariaDB, Redis and SQLite, and takes longer. It needs
qemu-system-x86_64 and restic ("make demo" in a checkout installs them), and touches nothing but new
folders.`

export function addDemo(program: Command, run: Run): void {
  program.command('demo')
    .description('show all of it on a real machine made for the purpose')
    .addOption(new Option('--guest <kind>', 'which machine').choices(['tiny', 'full'])
      .default('tiny'))
    .addHelpText('after', EXAMPLES)
    .action(({ guest }: { guest: 'tiny' | 'full' }) =>
      run(async ({ world, signal }) => {
        const { clock, random } = world
        const write = (text: string): void => world.stdout.write(text)
        await runDemo({ guest, write }, { clock, random }, signal)
        return 0
      }))
}
