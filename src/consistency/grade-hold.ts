/**
 * What the evidence shows of the instant and of the hold round it (docs/grades.md).
 *
 * Comparisons are written so that a number which is none (NaN) shows nothing.
 */

import { unreachable } from '../base/unreachable.ts'
import type {
  Evidence, NoHoldReason, PlatformHold, RequestorHold, VolumeEvidence,
} from './evidence.ts'
import { reason, type GradeReason, type ReasonCode } from './reasons.ts'
import { isWithoutWriters } from './vss-facts.ts'

/** Why the captured data is not one instant; empty if it is, and was read so to the end. */
export function instantReasons({ instant, reading }: Evidence): readonly GradeReason[] {
  const reasons: GradeReason[] = []
  if (instant.disks.length === 0) reasons.push(reason('nothing-captured'))
  if (!instant.oneInstant) reasons.push(reason('not-one-instant', instant.method))
  if (reading.state === 'unfinished') {
    return [...reasons, ...instant.disks.map((disk) => reason('not-read-to-end', disk.id))]
  }
  if (!('intact' in reading.instant)) reasons.push(reason('read-broken', reading.instant.broken))
  for (const { id } of instant.disks) {
    if (!reading.disks.some((read) => read.diskId === id)) {
      reasons.push(reason('not-read-to-end', id))
    }
  }
  return reasons
}

/** Why nothing shows that a machine that was off is at rest; empty if it is. */
export function offReasons({ power, instant, fileSystems }: Evidence): readonly GradeReason[] {
  const reasons: GradeReason[] = []
  if (power.after === 'unknown') reasons.push(reason('power-unknown'))
  else if (power.after !== 'off') reasons.push(reason('power-changed'))
  for (const { id } of instant.disks) {
    if (!isProbed(fileSystems, id)) reasons.push(reason('disk-not-probed', id))
  }
  if (!fileSystems.volumes.some((volume) => volume.role === 'file-system')) {
    reasons.push(reason('image-not-clean', 'no file system was found'))
  }
  for (const volume of fileSystems.volumes) {
    if (volume.hibernation === 'present') reasons.push(reason('hibernated', nameOf(volume)))
    else if (volume.hibernation === 'unknown' && mayHibernate(volume)) {
      reasons.push(reason('hibernated', `${nameOf(volume)}: cannot be told`))
    }
    if (!isAtRest(volume)) {
      reasons.push(reason('image-not-clean', `${nameOf(volume)}: ${volume.detail}`))
    }
  }
  return reasons
}

/** Where hibernation images lie: swap, the system volume of Windows, or out of sight. */
function mayHibernate({ role, type }: VolumeEvidence): boolean {
  return role === 'swap' || role === 'opaque' || type === 'ntfs'
}

function isAtRest({ role, sign }: VolumeEvidence): boolean {
  switch (role) {
    case 'swap': return true
    // Nothing is kept there by the running system but firmware updates.
    case 'esp': return sign !== 'in-use'
    case 'opaque': return false
    // `frozen` would be the sign of a machine that was cut while held.
    case 'file-system': return sign === 'clean'
    default: return unreachable(role)
  }
}

export function isProbed(fileSystems: Evidence['fileSystems'], diskId: string): boolean {
  const probes = fileSystems.probes.filter((probe) => probe.diskId === diskId)
  return probes.length > 0 && probes.every((probe) => probe.state === 'probed')
}

/** `disk vda, partition 2 (ext)`; `disk c` where nothing is known of what it holds. */
export function nameOf({ diskIds, where, type }: VolumeEvidence): string {
  const disk = `disk ${diskIds.join(', ')}`
  return where === '' ? disk : `${disk}, ${where} (${type})`
}

/** Why the hold does not span the instant; empty if it does. */
export function holdReasons({ hold, instant }: Evidence): readonly GradeReason[] {
  switch (hold.by) {
    case 'nobody': return [reason(NOT_HELD[hold.reason], hold.detail)]
    case 'platform': return platformReasons(hold)
    case 'requestor': return requestorReasons(hold, instant.startMs, instant.endMs)
    default: return unreachable(hold)
  }
}

const NOT_HELD: Readonly<Record<NoHoldReason, ReasonCode>> = {
  'no-agent-configured': 'no-agent-configured',
  'agent-silent': 'agent-silent',
  'agent-disabled': 'agent-disabled',
  'agent-busy': 'agent-busy',
  'would-truncate-logs': 'freeze-would-truncate-logs',
  'powered-off': 'powered-off',
  'paused': 'paused',
  'saved': 'saved',
  'declined': 'freeze-declined',
}

/** A claim counts as far as a document shows it (a flag of success is not evidence). */
function platformReasons(
  { claimed, documents, session }: PlatformHold): readonly GradeReason[] {
  if (claimed === 'none') return [reason('platform-held-nothing')]
  const isShown = documents.some(({ shows, text }) => shows !== 'nothing' && text !== '')
  if (!isShown) return [reason('platform-claim-unproven')]
  return session !== undefined && isWithoutWriters(session)
    ? [reason('writers-not-involved', 'an application')] : []
}

function requestorReasons(
  hold: RequestorHold, startMs: number, endMs: number): readonly GradeReason[] {
  const { freeze, thaw, limits } = hold
  if (freeze.state === 'failed') return [reason('freeze-failed', freeze.fault.message)]
  const reasons: GradeReason[] = []
  if (!(freeze.count > 0)) reasons.push(reason('nothing-frozen'))
  const inOrder = freeze.issuedMs <= freeze.acknowledgedMs && freeze.acknowledgedMs <= startMs &&
    startMs <= endMs && endMs <= thaw.issuedMs
  if (!inOrder) reasons.push(reason('hold-not-across'))
  const heldMs = thaw.issuedMs - freeze.acknowledgedMs
  if (!(heldMs <= limits.holdMs)) reasons.push(reason('hold-too-long', 'the guest'))
  switch (thaw.state) {
    case 'unknown': reasons.push(reason('thaw-unknown', thaw.detail)); break
    case 'not-frozen': reasons.push(reason('found-thawed')); break
    case 'thawed': {
      if (thaw.early) reasons.push(reason('thawed-early'))
      if (thaw.count === null) reasons.push(reason('thaw-count-unknown'))
      else if (thaw.count !== freeze.count) {
        reasons.push(reason('thaw-count-differs', `${thaw.count} of ${freeze.count}`))
      }
    }
  }
  return reasons
}
