/** `stillpoint init` */

import type { Command } from 'commander'
import { initRepositoryAt } from '../../engine/mod.ts'
import { shortId } from '../render/words.ts'
import type { Run } from '../session.ts'

const EXAMPLES = `
Examples:
  $ stillpoint init -r /srv/backup --password-file /etc/stillpoint/password
  $ stillpoint init -r /srv/backup            asks for the password, twice

Without the password nothing in the repository can be read, by anybody: keep a copy elsewhere.
It is a repository of restic, format version 2: stock restic opens it with the same password.`

export function addInit(program: Command, run: Run): void {
  program.command('init')
    .description('create the repository')
    .addHelpText('after', EXAMPLES)
    .action(() => run(async ({ output, repository, signal, openContext }) => {
      const created = await initRepositoryAt(repository, await openContext(), signal)
      output.summary('init', { repository: created.id, location: created.location })
      output.result(`repository ${shortId(created.id)} is created at ${created.location}\n` +
        'Keep its password safe: without it nothing in the repository can be read.')
      return 0
    }))
}
