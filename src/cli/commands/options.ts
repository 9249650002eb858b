/** Options that several commands share. */

import { Option } from 'commander'

/** `--on` */
export function onOption(): Option {
  return new Option('--on <platform>',
    'where the machine runs: ' +
    'qemu:qmp=PATH[,agent=PATH][,channel=PATH][,guardian-qmp=PATH][,name=NAME]')
}
