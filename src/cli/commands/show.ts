/** `stillpoint show` */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { showPoint, verifyPointAt } from '../../engine/mod.ts'
import { writeNewFile } from '../new-file.ts'
import { shownPointJson } from '../render/json-shapes.ts'
import { renderPointPage } from '../render/point-html.ts'
import { renderPoint } from '../render/point-page.ts'
import { renderVerification, verificationJson } from '../render/verification.ts'
import type { Run } from '../session.ts'

/** How a restore point is named, for every command that takes one. */
export const POINT_HELP = 'the first digits of its id, "latest", or "latest:MACHINE"'

const EXAMPLES = `
Examples:
  $ stillpoint show latest
  $ stillpoint show latest:web1
  $ stillpoint show 8d2f1a77 --json           with all the evidence
  $ stillpoint show latest --html web1.html   a page to print or to hand to an auditor
  $ stillpoint show latest --verify           is it what was sealed, and signed by whom?

The grade is computed from the evidence each time, and not taken from a label. --verify checks the
signature, that disks and documents are those that were sealed, and the chain of the machine's
evidence, from the repository alone; the exit code is 3 unless all is intact and signed by a key
whose fingerprint is pinned: by --fingerprint, or by evidence.fingerprint of the configuration.`

interface ShowOptions {
  readonly html?: string
  readonly verify?: true
  readonly fingerprint?: readonly string[]
}

export function addShow(program: Command, run: Run): void {
  program.command('show')
    .description('show a restore point: its grade and why, its hold, its disks, how to restore it')
    .argument('<point>', POINT_HELP)
    .option('--html <file>', 'write it as a page that needs nothing else, into a new file')
    .option('--verify', 'verify signature, content and chain instead')
    .option('--fingerprint <hex...>', 'with --verify: the keys to trust')
    .addHelpText('after', EXAMPLES)
    .action((name: string, { html, verify, fingerprint = [] }: ShowOptions) =>
      run(async ({ output, repository, signal, world, openContext }) => {
        if (verify === true && html !== undefined) {
          throw new Fault('usage', '--verify and --html cannot be given together')
        }
        if (fingerprint.length > 0 && verify !== true) {
          throw new Fault('usage', '--fingerprint needs --verify', {
            advice: 'To pin a key for all commands, set evidence.fingerprint in stillpoint.yaml.' })
        }
        if (verify === true) {
          const verified = await verifyPointAt(
            { repository, point: name, fingerprints: fingerprint }, await openContext(), signal)
          output.summary('show', verificationJson(verified))
          output.result(renderVerification(verified, output.paint))
          return verified.verification.result === 'intact' ? 0 : 3
        }
        const shown = await showPoint(repository, name, await openContext(), signal)
        const nowMs = world.clock.nowMs()
        const { version, hostname } = world
        if (html !== undefined) {
          const path = resolve(world.workingDir, html)
          await writeNewFile(path, renderPointPage(shown, { nowMs, version, hostname }))
        }
        output.summary('show', { ...shownPointJson(shown), page: html ?? null })
        output.result(html === undefined
          ? renderPoint(shown, nowMs, output.paint) : `the page is in ${printable(html)}`)
        return 0
      }))
}
