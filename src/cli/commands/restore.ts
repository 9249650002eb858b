/** `stillpoint restore` */

import { Option, type Command } from 'commander'
import { IMAGE_FORMATS, type ImageFormat } from '../../disk/mod.ts'
import { restorePoint } from '../../engine/mod.ts'
import { restoreJson } from '../render/json-shapes.ts'
import { renderRestore } from '../render/restore-text.ts'
import { brokenSeal } from '../render/words.ts'
import type { Run } from '../session.ts'
import { sometimes } from '../sometimes.ts'
import { POINT_HELP } from './show.ts'

const EXAMPLES = `
Examples:
  $ stillpoint restore latest --to /srv/restored
  $ stillpoint restore latest:web1 --to /srv/restored --format qcow2
  $ stillpoint restore 8d2f1a77 --disk vda --disk vdb --to /srv/restored

Each disk becomes FOLDER/DISK.FORMAT; zeros take no space. Every byte is compared with its hash on
the way. Files that exist are never overwritten, and an interrupted restore leaves nothing behind.`

interface RestoreOptions {
  readonly to: string
  readonly disk?: readonly string[]
  readonly format: ImageFormat
}

const collect = (id: string, before: readonly string[] | undefined): readonly string[] =>
  [...before ?? [], id]

export function addRestore(program: Command, run: Run): void {
  program.command('restore')
    .description('write the disks of a restore point into a folder')
    .argument('<point>', POINT_HELP)
    .requiredOption('--to <folder>', 'where to; made if it is not there')
    .addOption(new Option('--disk <id>', 'only this disk; may be given more than once')
      .argParser(collect))
    .addOption(new Option('--format <format>', 'image format')
      .choices(IMAGE_FORMATS).default('raw'))
    .addHelpText('after', EXAMPLES)
    .action((point: string, { to, disk, format }: RestoreOptions) =>
      run(async ({ output, repository, signal, world, openContext }) => {
        const now = sometimes(world.clock)
        const done = await restorePoint({
          repository, point, format, folder: to, disks: disk,
          onProgress: ({ diskId, doneBytes, totalBytes }) => {
            output.bar.show({
              what: 'restoring', done: doneBytes, total: totalBytes, unit: 'bytes' })
            if (now()) output.status('restore', { disk: diskId, doneBytes, totalBytes })
          },
        }, await openContext(), signal)
        output.summary('restore', restoreJson(done))
        output.result(renderRestore(done, output.paint))
        return brokenSeal(done.point.result) === undefined ? 0 : 3
      }))
}
