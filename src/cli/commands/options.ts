/** Options that several commands share. */

import { InvalidArgumentError, Option } from 'commander'
import { checkLeaveOut } from '../../engine/mod.ts'

/** `--on` */
export function onOption(): Option {
  return new Option('--on <platform>',
    'where the machine runs, such as qemu:qmp=PATH,agent=PATH,channel=PATH ' +
    '(docs/command-line.md has all parts)')
}

/** `--leave-out`, which may be given several times. */
export function leaveOutOption(): Option {
  return new Option('--leave-out <what>',
    'with host: files whose contents become zeros: files-not-to-snapshot, files-not-to-backup ' +
    '(lists of Windows), or a path such as "D:\\scratch\\* /s"; may be given again')
    .argParser((word: string, before: readonly string[] | undefined): readonly string[] => {
      try {
        return [...before ?? [], checkLeaveOut(word)]
      } catch (error) {
        throw new InvalidArgumentError(error instanceof Error ? error.message : '')
      }
    })
}
