/** What is shown while a backup runs. */

import type { BackupEvent, BackupPhase } from '../backup/mod.ts'
import type { Clock } from '../base/clock.ts'
import { unreachable } from '../base/unreachable.ts'
import type { Output } from './output.ts'
import { sometimes } from './sometimes.ts'

/** Nothing is written in the phase `holding`: a terminal that is stopped would stop us with it. */
const WORDS: Readonly<Record<BackupPhase, string | undefined>> = {
  preparing: 'preparing: looking at the machine, then holding its writes for an instant',
  holding: undefined,
  judging: 'the instant is captured and the machine writes again; looking at its file systems',
  reading: 'reading the disks as they were at that instant',
  sealing: 'storing the index and the evidence',
  releasing: 'removing the snapshot from the machine',
}

/** A listener for one backup. */
export function backupProgress(output: Output, clock: Clock): (event: BackupEvent) => void {
  const now = sometimes(clock)
  return (event) => {
    switch (event.kind) {
      case 'phase': {
        const words = WORDS[event.phase]
        if (words === undefined) return output.bar.clear()
        output.step(words)
        return output.status('backup', { phase: event.phase })
      }
      case 'reading': {
        const { diskId, doneBytes, sizeBytes, bytesRead, bytesAdded } = event
        output.bar.show({
          what: `reading disk ${diskId}`, done: doneBytes, total: sizeBytes, unit: 'bytes' })
        if (!now()) return undefined
        return output.status('backup', {
          phase: 'reading', disk: diskId, doneBytes, sizeBytes, bytesRead, bytesAdded })
      }
      default: return unreachable(event)
    }
  }
}
