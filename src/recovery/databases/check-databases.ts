/** The check `image` of applications: what each database left in the captured disks. */

import { deadline, throwIfAborted, type Clock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import {
  claimsOf, mountedVolumes, type ApplicationEvidence, type Check, type Claim, type Evidence,
  type GradeResult, type MountedVolume, type SetProbe,
} from '../../consistency/mod.ts'
import type { BlockSource } from '../../disk/mod.ts'
import { lookAtAccess } from './check-access.ts'
import { checkMariadb } from './check-mariadb.ts'
import { checkPostgres } from './check-postgres.ts'
import { checkRedis } from './check-redis.ts'
import { checkSqlite } from './check-sqlite.ts'
import { silent, type DatabaseReader, type Finding } from './finding.ts'
import { GuestFiles } from './guest-files.ts'
import { volumeOpener } from './open-volume.ts'

/** By the first word of the name that our own writers give an application. */
const READERS: Readonly<Record<string, DatabaseReader>> = {
  mariadb: checkMariadb,
  mysql: checkMariadb,
  postgres: checkPostgres,
  redis: checkRedis,
  sqlite: checkSqlite,
}

/** Of what no writer holds: looked at, although the grade claims nothing of it. */
const INCIDENTAL: Readonly<Record<string, DatabaseReader>> = { Access: lookAtAccess }

/** For all that is read of one application. */
const APPLICATION_MS = 60_000

export interface DatabasesRequest {
  readonly evidence: Evidence
  /** What the evidence was graded as: says which applications are claimed. */
  readonly result: GradeResult
  readonly probed: SetProbe
  /** The point's own disks. */
  readonly disks: readonly { readonly id: string; readonly source: BlockSource }[]
}

/**
 * One check for each application that the grade claims, silent, with the reason, where nothing can
 * be told; and what is seen of some that it claims nothing of. Faults: those of reading the disks,
 * but not what is wrong on them.
 */
export async function checkDatabases(
  { evidence, result, probed, disks }: DatabasesRequest, clock: Clock, signal: AbortSignal,
): Promise<readonly Check[]> {
  const { before, after } = evidence.fileSystems
  const mounts = mountedVolumes({ fileSystems: { before, after, ...probed } })
  const { discovery } = evidence.applications
  const applications = discovery.state === 'done' ? discovery.applications : []
  const claims = claimsOf(result).filter(({ kind }) => kind === 'application')
  const others = applications.filter(({ name, kind }) =>
    kind === 'incidental' && readerOf(name, INCIDENTAL) !== undefined)
    .map(({ name }): Claim => ({ kind: 'application', subject: printable(name) }))
  const checks: Check[] = []
  for (const claim of [...claims, ...others]) {
    const application = applications.find(({ name }) => printable(name) === claim.subject)
    using limit = deadline(clock, APPLICATION_MS, `reading ${claim.subject}`, signal)
    const own = mounts.map((mount) => ({ ...mount, ...rootOf(mount, application) }))
    const files = new GuestFiles(own, volumeOpener(disks, limit.signal))
    const finding = await check(application, files, limit.signal, signal)
    checks.push({ name: 'image', claim, answer: finding.answer, detail: printable(finding.detail) })
  }
  return checks
}

/** What the application's own places say of the mount. */
function rootOf(
  { mountpoint }: MountedVolume, application: ApplicationEvidence | undefined,
): Pick<MountedVolume, 'root'> {
  const places = application?.data.state === 'located' ? application.data.places ?? [] : []
  const root = places.find((place) => place.mountpoint === mountpoint)?.root
  return root === undefined ? {} : { root }
}

function readerOf(
  name: string, readers: Readonly<Record<string, DatabaseReader>>): DatabaseReader | undefined {
  const word = /^\w+/.exec(name)?.[0] ?? ''
  return Object.hasOwn(readers, word) ? readers[word] : undefined
}

async function check(
  application: ApplicationEvidence | undefined, files: GuestFiles, limited: AbortSignal,
  signal: AbortSignal): Promise<Finding> {
  if (application === undefined) return silent('the evidence does not speak of it')
  const { name, kind, data, writer } = application
  const reader = readerOf(name, kind === 'protected' ? READERS : INCIDENTAL)
  if (reader === undefined) return silent('nothing that reads its files is known')
  if (data.state !== 'located' || data.places === undefined) {
    return silent('the evidence does not say where its files lay')
  }
  try {
    const paths = data.places.map(({ path }) => path)
    return await reader({ paths, writer, files, signal: limited })
  } catch (error) {
    throwIfAborted(signal)
    if (isFault(error, 'disk-unreadable', 'timed-out')) return silent(error.message)
    throw error
  }
}
