/** Applications that a platform held, as evidence: where nobody else could look for them. */

import { printable } from '../base/text.ts'
import {
  EVIDENCE_MAX, type ApplicationData, type ApplicationEvidence, type ApplicationsEvidence,
  type DiskLeftOut, type SetDisk, type StatedApplications,
} from '../consistency/mod.ts'

/** Media that hold nothing of an application. */
const HARMLESS: ReadonlySet<DiskLeftOut['reason']> = new Set(['read-only', 'empty'])
const MAX_ADVICE = 1000

/**
 * `found`, or what the platform states where nothing could be found out, with what lies beside it
 * that nobody holds. A platform does not say on which disks an application lies: on those of the
 * set, if that has all disks of the machine. Where it does, that counts.
 */
export function withStated(
  found: ApplicationsEvidence, { writers = [], unheld }: StatedApplications,
  { disks, leftOut }: {
    readonly disks: readonly SetDisk[]; readonly leftOut: readonly DiskLeftOut[] },
): ApplicationsEvidence {
  if (found.discovery.state === 'done') return found
  if (writers.length === 0 && unheld === undefined) return found
  const data: ApplicationData = leftOut.every(({ reason }) => HARMLESS.has(reason))
    ? { state: 'located', diskIds: disks.map(({ id }) => id) }
    : { state: 'unknown', detail: 'disks were left out, and the platform does not say whose' }
  const documents = 'the documents of the platform'
  return {
    ...found,
    discovery: {
      state: 'done',
      by: unheld === undefined ? documents : `${documents} and a look through its disks`,
      applications: kept([
        ...writers.map(({ name, kind, data: own, ...writer }): ApplicationEvidence => ({
          name, kind, recovery: 'unknown', data: own ?? data,
          writer: { contract: 'platform-stated', ...writer } })),
        ...(unheld ?? []).map(({ advice, ...it }): ApplicationEvidence => ({
          ...it, writer: {
            contract: 'none', reason: 'no-writer', detail: printable(advice, MAX_ADVICE) } })),
      ]),
    },
  }
}

/** As many as evidence holds, less of those that count for no grade, by names that are unique. */
function kept(applications: readonly ApplicationEvidence[]): readonly ApplicationEvidence[] {
  const { applications: most, name: longest } = EVIDENCE_MAX
  let room = most - applications.filter(({ kind }) => kind === 'protected').length
  const inOrder = applications.filter(({ kind }) => kind === 'protected' || room-- > 0)
  const names = new Set<string>()
  return inOrder.map((it) => {
    let name = it.name.slice(0, longest)
    for (let count = 2; names.has(name); count++) {
      name = `${it.name.slice(0, longest - 12)} (${count})`
    }
    names.add(name)
    return { ...it, name }
  })
}
