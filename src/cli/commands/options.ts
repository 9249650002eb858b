/** Options that several commands share. */

import { Option } from 'commander'

/** `--on` */
export function onOption(): Option {
  return new Option('--on <platform>',
    'where the machine runs, such as qemu:qmp=PATH,agent=PATH,channel=PATH ' +
    '(docs/command-line.md has all parts)')
}
