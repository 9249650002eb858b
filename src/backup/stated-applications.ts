/** Applications that a platform held, as evidence: where nobody else could look for them. */

import type {
  ApplicationData, ApplicationsEvidence, DiskLeftOut, SetDisk, StatedWriter,
} from '../consistency/mod.ts'

/** Media that hold nothing of an application. */
const HARMLESS: ReadonlySet<DiskLeftOut['reason']> = new Set(['read-only', 'empty'])

/**
 * `found`, or what the platform states where nothing could be found out. A platform does not say on
 * which disks an application lies: on those of the set, if that has all disks of the machine. Where
 * it does, that counts.
 */
export function withStated(
  found: ApplicationsEvidence, stated: readonly StatedWriter[],
  { disks, leftOut }: {
    readonly disks: readonly SetDisk[]; readonly leftOut: readonly DiskLeftOut[] },
): ApplicationsEvidence {
  if (found.discovery.state === 'done' || stated.length === 0) return found
  const data: ApplicationData = leftOut.every(({ reason }) => HARMLESS.has(reason))
    ? { state: 'located', diskIds: disks.map(({ id }) => id) }
    : { state: 'unknown', detail: 'disks were left out, and the platform does not say whose' }
  return {
    ...found,
    discovery: {
      state: 'done', by: 'the documents of the platform',
      applications: stated.map(({ name, kind, data: own, ...writer }) => ({
        name, kind, recovery: 'unknown', data: own ?? data,
        writer: { contract: 'platform-stated', ...writer } })),
    },
  }
}
