/** `stillpoint files` */

import { Argument, type Command } from 'commander'
import { Fault } from '../../base/fault.ts'
import { fetchPointFile, listPointFiles, listPointVolumes } from '../../engine/mod.ts'
import type { FilePlace } from '../../recovery/mod.ts'
import { renderFetched, renderListing, renderVolumes } from '../render/files-text.ts'
import { fetchedJson, listingFilesJson, volumesJson } from '../render/files-json.ts'
import type { Run, Session } from '../session.ts'
import { sometimes } from '../sometimes.ts'
import { POINT_HELP } from './show.ts'

const EXAMPLES = `
Examples:
  $ stillpoint files latest ls                          which volumes there are, and which are read
  $ stillpoint files latest:web1 ls vda2 /etc
  $ stillpoint files latest:web1 ls /var/log            by the machine's own mounts, links followed
  $ stillpoint files latest get vda3 'Windows/System32/winevt/Logs/System.evtx' --to System.evtx
  $ stillpoint files 8d2f1a77 get vg0/root /etc/fstab

Files are read out of ext4, XFS, btrfs and NTFS without mounting anything. What NTFS keeps
compressed or encrypted is refused. "get" writes one file, named as it was unless --to says
otherwise, and never over another without --overwrite. Exit code 3: a log was not replayed, so that
what was read may be older than the instant.`

interface FilesOptions {
  readonly to?: string
  readonly overwrite?: true
}

export function addFiles(program: Command, run: Run): void {
  program.command('files')
    .description('list files on the disks of a restore point, and take one out')
    .argument('<point>', POINT_HELP)
    .addArgument(new Argument('<action>', 'what to do').choices(['ls', 'get']))
    .argument('[volume]', 'which volume; left out where the path is one in the machine')
    .argument('[path]', 'a path, from the top')
    .option('--to <file>', 'get: the file to write')
    .option('--overwrite', 'get: in place of a file that is there')
    .addHelpText('after', EXAMPLES)
    .action((point: string, action: 'ls' | 'get', volume: string | undefined,
      path: string | undefined, options: FilesOptions) => run((session) => {
      const place = placeOf(volume, path)
      if (action === 'get') return get(session, point, place, options)
      if (options.to !== undefined || options.overwrite === true) {
        throw new Fault('usage', '--to and --overwrite are for get')
      }
      return list(session, point, place)
    }))
}

/** What begins with a slash is a path in the machine. */
function placeOf(volume: string | undefined, path: string | undefined): FilePlace | undefined {
  if (volume === undefined) return undefined
  if (volume.startsWith('/')) {
    if (path === undefined) return { volume: undefined, path: volume }
    throw new Fault('usage', 'two paths are given', { advice: 'Name a volume and a path in it.' })
  }
  return { volume, path: path ?? '/' }
}

async function list(
  { output, repository, signal, openContext }: Session, point: string,
  place: FilePlace | undefined): Promise<0 | 3> {
  const context = await openContext()
  if (place === undefined) {
    const found = await listPointVolumes({ repository, point }, context, signal)
    output.summary('files', volumesJson(found))
    output.result(renderVolumes(found))
    return 0
  }
  const listing = await listPointFiles({ repository, point, place }, context, signal)
  output.summary('files', listingFilesJson(listing))
  output.result(renderListing(listing))
  return warned(output, listing)
}

async function get(
  { output, repository, signal, world, openContext }: Session, point: string,
  place: FilePlace | undefined, { to, overwrite }: FilesOptions): Promise<0 | 3> {
  const name = place?.path.split(/[\\/]/).findLast((part) => part !== '')
  if (place === undefined || name === undefined) {
    throw new Fault('usage', 'it is not said which file', {
      advice: 'Name a volume and a path in it, or a path in the machine.' })
  }
  const now = sometimes(world.clock)
  const fetched = await fetchPointFile({
    repository, point, place, to: to ?? name, overwrite: overwrite === true,
    onProgress: (done, total) => {
      output.bar.show({ what: 'reading', done, total, unit: 'bytes' })
      if (now()) output.status('files', { doneBytes: done, totalBytes: total })
    },
  }, await openContext(), signal)
  output.summary('files', fetchedJson(fetched))
  output.result(renderFetched(fetched))
  return warned(output, fetched)
}

function warned(
  output: Session['output'], { warning }: { readonly warning: string | undefined }): 0 | 3 {
  if (warning === undefined) return 0
  output.notice(`warning: ${warning}`)
  return 3
}
