/** `stillpoint unlock` */

import type { Command } from 'commander'
import { unlockRepository } from '../../engine/mod.ts'
import { counted } from '../render/words.ts'
import type { Run } from '../session.ts'

const EXAMPLES = `
Examples:
  $ stillpoint unlock                         locks that were left behind, and those alone
  $ stillpoint unlock --remove-all            every lock: only if no other client is at work

A lock is left behind when a client or its host is killed. It counts as such when its process is
gone from this host, or when it was not refreshed for half an hour.`

export function addUnlock(program: Command, run: Run): void {
  program.command('unlock')
    .description('remove locks that were left behind')
    .option('--remove-all', 'remove all locks, also those that seem to be held')
    .addHelpText('after', EXAMPLES)
    .action(({ removeAll = false }: { removeAll?: boolean }) =>
      run(async ({ output, repository, signal, openContext }) => {
        const removed = await unlockRepository(repository, removeAll, await openContext(), signal)
        output.summary('unlock', { removed })
        output.result(removed === 0
          ? 'there was no lock to remove' : `${counted(removed, 'lock')} removed`)
        return 0
      }))
}
