/** The check `image` of file systems: what the captured disks themselves say of the hold. */

import type { Evidence, VolumeEvidence } from './evidence.ts'
import type { ClassifiedFileSystem } from './grade-file-systems.ts'
import { gradeOf } from './grade.ts'
import type { SetProbe } from './probe-set.ts'
import { claimsOf, type Check } from './verdict.ts'

/**
 * Holds what `probed` found on the disks, now, against what `evidence` says was held. Confirms only
 * by a sign that use would have changed; `probed` must be of the point's own disks.
 */
export function checkFileSystems(evidence: Evidence, probed: SetProbe): readonly Check[] {
  const sealed = gradeOf(evidence)
  const { before, after } = evidence.fileSystems
  const seen = gradeOf({ ...evidence, fileSystems: { before, after, ...probed } })
  const unread = new Map(probed.probes.flatMap((probe) =>
    probe.state === 'failed' ? [[probe.diskId, probe.reason]] : []))
  return claimsOf(sealed).filter(({ kind }) => kind === 'file-system').map((claim) => {
    const was = sealed.fileSystems.find(({ name }) => name === claim.subject)
    const is = seen.fileSystems.find(({ name }) => name === claim.subject)
    const [failed] = was?.volume?.diskIds.flatMap((id) => unread.get(id) ?? []) ?? []
    return { name: 'image', claim, ...failed === undefined
      ? answerOf(is) : silent(`its disk could not be read: ${failed}`) }
  })
}

type Answer = Pick<Check, 'answer' | 'detail'>

function answerOf(seen: ClassifiedFileSystem | undefined): Answer {
  if (seen === undefined) {
    return { answer: 'contradicts', detail: 'there is no such file system on the disks' }
  }
  const { volume, reason } = seen
  if (seen.class === 'unexplained') {
    return { answer: 'contradicts',
      detail: volume?.detail === undefined ? reason?.sentence ?? '' : seenOn(volume) }
  }
  if (volume === undefined) return silent('it cannot be told which volume on the disks it is')
  if (volume.role === 'opaque') return silent(`its contents are hidden: ${volume.detail}`)
  switch (volume.sign) {
    case 'frozen': case 'clean': return { answer: 'confirms', detail: seenOn(volume) }
    case 'in-use': return { answer: 'contradicts', detail: seenOn(volume) }
    case 'silent': return silent(`the disk does not tell: ${volume.detail}`)
    default: return volume.sign satisfies never
  }
}

function seenOn({ diskIds, where, detail }: VolumeEvidence): string {
  return `${diskIds.join(', ')} ${where}: ${detail}`
}

function silent(detail: string): Answer {
  return { answer: 'silent', detail }
}
