/** `stillpoint init` */

import type { Command } from 'commander'
import { printable } from '../../base/text.ts'
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
    .description('create the repository, and this host\'s key for signing evidence')
    .addHelpText('after', EXAMPLES)
    .action(() => run(async ({ output, repository, signal, openContext }) => {
      const created = await initRepositoryAt(repository, await openContext(), signal)
      const { path, isNew, signer: { publicKey: { fingerprint } } } = created.key
      output.summary('init', {
        repository: created.id, location: created.location,
        evidenceKey: { path, fingerprint, isNew },
      })
      output.result(`repository ${shortId(created.id)} is created at ${created.location}\n` +
        'Keep its password safe: without it nothing in the repository can be read.\n\n' +
        `Evidence is signed with ${isNew ? 'a new key' : 'the key of this host'}, ${
          printable(path)}. Its fingerprint (SHA-256) is\n  ${fingerprint}\n` +
        'Pin it outside the repository, wherever points are verified, in stillpoint.yaml:\n' +
        `  evidence: { fingerprint: ${fingerprint} }`)
      return 0
    }))
}
