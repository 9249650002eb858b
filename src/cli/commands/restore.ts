/** `stillpoint restore` */

import { Option, type Command } from 'commander'
import { IMAGE_FORMATS, type ImageFormat } from '../../disk/mod.ts'
import { Fault } from '../../base/fault.ts'
import { restoreMachine, restorePoint } from '../../engine/mod.ts'
import type { RestoreProgress } from '../../recovery/mod.ts'
import { madeMachineJson, restoreJson } from '../render/json-shapes.ts'
import { renderMadeMachine, renderRestore } from '../render/restore-text.ts'
import { brokenSeal } from '../render/words.ts'
import type { Run } from '../session.ts'
import { sometimes } from '../sometimes.ts'
import { onOption } from './options.ts'
import { POINT_HELP } from './show.ts'

const EXAMPLES = `
Examples:
  $ stillpoint restore latest --to /srv/restored
  $ stillpoint restore latest:web1 --to /srv/restored --format qcow2
  $ stillpoint restore 8d2f1a77 --disk vda --disk vdb --to /srv/restored
  $ stillpoint restore latest:web1 --as vc/web1-restored     a new machine of a vSphere, off

Each disk becomes FOLDER/DISK.FORMAT; zeros take no space. Every byte is compared with its hash on
the way. Files and machines that exist are never overwritten, but for --replace, and an interrupted
restore leaves nothing behind.`

interface RestoreOptions {
  readonly to?: string
  readonly as?: string
  readonly replace?: true
  readonly on?: string
  readonly disk?: readonly string[]
  readonly format: ImageFormat
}

const collect = (id: string, before: readonly string[] | undefined): readonly string[] =>
  [...before ?? [], id]

export function addRestore(program: Command, run: Run): void {
  program.command('restore')
    .description('write the disks of a restore point into a folder, or make a machine of it')
    .argument('<point>', POINT_HELP)
    .option('--to <folder>', 'where to; made if it is not there')
    .addOption(new Option('--as <machine>', 'make this machine, PLATFORM/NAME, or NAME with --on')
      .conflicts(['to', 'disk']))
    .option('--replace', 'with --as: delete the machine of that name, once the new one is whole')
    .addOption(onOption())
    .addOption(new Option('--disk <id>', 'only this disk; may be given more than once')
      .argParser(collect))
    .addOption(new Option('--format <format>', 'image format')
      .choices(IMAGE_FORMATS).default('raw'))
    .addHelpText('after', EXAMPLES)
    .action((point: string, { to, as, replace, on, disk, format }: RestoreOptions) =>
      run(async ({ output, repository, signal, world, openContext }) => {
        const now = sometimes(world.clock)
        const onProgress = ({ diskId, doneBytes, totalBytes }: RestoreProgress): void => {
          output.bar.show({ what: 'restoring', done: doneBytes, total: totalBytes, unit: 'bytes' })
          if (now()) output.status('restore', { disk: diskId, doneBytes, totalBytes })
        }
        if (as !== undefined) {
          const made = await restoreMachine(
            { repository, point, as, on, replace: replace === true, onProgress },
            await openContext(), signal)
          output.summary('restore', madeMachineJson(made))
          output.result(renderMadeMachine(made, output.paint))
          return brokenSeal(made.point.result) === undefined ? 0 : 3
        }
        if (replace === true) throw new Fault('usage', '--replace needs --as')
        if (to === undefined) {
          throw new Fault('usage', 'it is not said where to restore to', {
            advice: 'Give --to FOLDER, or --as PLATFORM/NAME for a new machine.' })
        }
        const done = await restorePoint(
          { repository, point, format, folder: to, disks: disk, onProgress },
          await openContext(), signal)
        output.summary('restore', restoreJson(done))
        output.result(renderRestore(done, output.paint))
        return brokenSeal(done.point.result) === undefined ? 0 : 3
      }))
}
