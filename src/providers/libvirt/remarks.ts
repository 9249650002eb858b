/** What bears on a machine's backups beside its disks and its agent; for `doctor`. */

import { printable } from '../../base/text.ts'
import type { PowerState, SurveyRemark } from '../../consistency/mod.ts'
import type { Domain } from './domain.ts'
import { isConfinedBy } from './socket-folder.ts'

export interface RemarkFacts {
  readonly domain: Domain
  readonly power: PowerState
  readonly isRemote: boolean
  /** Where QEMU would make its socket; undefined where that was not looked for. */
  readonly socketFolder: string | undefined
  /** Checkpoints of other tools. */
  readonly foreignCheckpoints: number
}

export function remarksOn(facts: RemarkFacts): readonly SurveyRemark[] {
  const { domain, power, isRemote, socketFolder, foreignCheckpoints } = facts
  const confined = ([['apparmor', 'AppArmor'], ['selinux', 'SELinux']] as const)
    .filter(([model]) => isConfinedBy(model, domain.xml)).map(([, name]) => name)
  return [
    ...(isRemote ? [{
      name: 'host', says: 'another host runs it: a backup from here is refused',
      advice: 'Run Stillpoint on the host that runs the machine.',
    }] : []),
    ...(power === 'off' || power === 'saved' ? [{
      name: 'state', says: `it is ${power}: its images are read as they lie, and a start of it ` +
        'meanwhile ends the backup',
    }] : []),
    ...(domain.id === undefined ? [] : [{
      name: 'confined', says: confined.length === 0 ? 'by nothing' : `by ${confined.join(', ')}`,
    }]),
    ...(socketFolder === undefined ? [] : [{
      name: 'socket', says: `in ${printable(socketFolder, 200)}`,
    }]),
    ...(foreignCheckpoints === 0 ? [] : [{
      name: 'checkpoints', says: `${foreignCheckpoints} of other tools, which are left alone`,
    }]),
  ]
}
