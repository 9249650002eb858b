/** Every way to observe less, or worse, than one record of evidence does. */

import type { ApplicationEvidence, Evidence, WriterEvidence } from '../evidence.ts'

/** Records that say less than `evidence`, each by one step, with a name for messages. */
export function weakenings(evidence: Evidence): readonly (readonly [string, Evidence])[] {
  return [
    ...weakerInstants(evidence), ...weakerHolds(evidence), ...weakerFiles(evidence),
    ...weakerApplications(evidence), ...weakerPower(evidence),
    ['not rechecked', { ...evidence, coverage: { ...evidence.coverage, rechecked: false } }],
  ]
}

type Weaker = readonly (readonly [string, Evidence])[]

function weakerInstants(evidence: Evidence): Weaker {
  const { instant, reading } = evidence
  const result: [string, Evidence][] = [
    ['two instants', { ...evidence, instant: { ...instant, oneInstant: false } }],
    ['unread', { ...evidence, reading: { state: 'unfinished' } }],
  ]
  if (instant.startMs <= instant.endMs) {
    result.push(
      ['longer commit', { ...evidence, instant: { ...instant, endMs: instant.endMs + 50 } }],
      ['earlier commit', { ...evidence, instant: { ...instant, startMs: instant.startMs - 50 } }])
  }
  if (reading.state === 'finished') {
    result.push(
      ['broken', { ...evidence, reading: { ...reading, instant: { broken: 'x' } } }],
      ['disk unread', { ...evidence, reading: { ...reading, disks: reading.disks.slice(1) } }])
  }
  return result
}

function weakerPower(evidence: Evidence): Weaker {
  return [
    ['power unknown', { ...evidence, power: { ...evidence.power, after: 'unknown' } }],
    ['paused', { ...evidence, power: { ...evidence.power, before: 'paused' } }],
  ]
}

function weakerHolds(evidence: Evidence): Weaker {
  const { hold } = evidence
  const unheld: [string, Evidence] =
    ['not held', { ...evidence, hold: { by: 'nobody', reason: 'agent-silent', detail: '' } }]
  // A machine that is off needs no hold.
  if (hold.by === 'nobody') return []
  if (hold.by === 'platform') {
    return [
      unheld,
      ['claims none', { ...evidence, hold: { ...hold, claimed: 'none' } }],
      ...hold.claimed === 'application' ? [
        ['claims less', { ...evidence, hold: { ...hold, claimed: 'filesystem' } }] as const] : [],
      ['document lost', { ...evidence, hold: { ...hold, documents: hold.documents.slice(1) } }],
      ['documents show nothing', { ...evidence, hold: {
        ...hold, documents: hold.documents.map((it) => ({ ...it, shows: 'nothing' as const })) } }],
      ...hold.session === undefined ? [] : [
        ['status of others', { ...evidence, hold: {
          ...hold, session: { ...hold.session, statusOf: 'unsure' } } }] as const,
        ['without writers', { ...evidence, hold: {
          ...hold, session: { ...hold.session, attributes: 0x10 } } }] as const],
    ]
  }
  const { freeze, thaw } = hold
  const issuedMs = thaw.issuedMs
  const fault = { code: 'freeze-failed', message: 'x' }
  const result: [string, Evidence][] = [
    unheld,
    ['freeze failed', { ...evidence, hold: {
      ...hold, freeze: { state: 'failed', issuedMs: freeze.issuedMs, failedMs: 0, fault } } }],
    ['thaw unknown', { ...evidence, hold: {
      ...hold, thaw: { state: 'unknown', issuedMs, detail: '' } } }],
    ['found thawed', { ...evidence, hold: { ...hold, thaw: { state: 'not-frozen', issuedMs } } }],
    ['smaller limit', { ...evidence, hold: {
      ...hold, limits: { ...hold.limits, holdMs: hold.limits.holdMs / 2 } } }],
    ['earlier thaw', { ...evidence, hold: { ...hold, thaw: { ...thaw, issuedMs: 0 } } }],
  ]
  if (thaw.state === 'thawed') {
    result.push(
      ['early', { ...evidence, hold: { ...hold, thaw: { ...thaw, early: true } } }],
      ['no thaw count', { ...evidence, hold: { ...hold, thaw: { ...thaw, count: null } } }])
    if (freeze.state === 'acknowledged' && thaw.count === freeze.count) {
      result.push(['thawed fewer', { ...evidence, hold: {
        ...hold, thaw: { ...thaw, count: thaw.count + 1 } } }])
    }
  }
  return result
}

function weakerFiles(evidence: Evidence): Weaker {
  const { fileSystems } = evidence
  const without = { state: 'unavailable', reason: 'x' } as const
  const put = (changes: Partial<Evidence['fileSystems']>): Evidence =>
    ({ ...evidence, fileSystems: { ...fileSystems, ...changes } })
  // The word of a platform counts for the first file system that is found, and for nothing before.
  const isHeldUnseen = evidence.hold.by === 'platform' &&
    fileSystems.volumes.every(({ role }) => role === 'esp' || role === 'swap')
  return [
    // What a platform held needs no list.
    ['no list before', put({ before: without })],
    ['no list after', put({ after: without })],
    ...fileSystems.probes.map(({ diskId }, at) => [`${diskId} not probed`, put({
      probes: fileSystems.probes.with(at, { diskId, state: 'failed', reason: 'x' }) })] as const),
    ['nothing probed', put({ probes: [], volumes: [] })],
    ...fileSystems.volumes.flatMap((volume, at) => [
      ...volume.sign === 'in-use' ? [] : [[`${volume.where} in use`, put({
        volumes: fileSystems.volumes.with(at, { ...volume, sign: 'in-use' }) })] as const],
      ...volume.sign === 'frozen' || volume.sign === 'clean' ? [[`${volume.where} silent`, put({
        volumes: fileSystems.volumes.with(at, { ...volume, sign: 'silent' }) })] as const] : [],
      [`${volume.where} hibernates`, put({
        volumes: fileSystems.volumes.with(at, { ...volume, hibernation: 'present' }) })] as const,
      // Of a type that no list has: another might be what a listed one was missing.
      ...isHeldUnseen ? [] : [[`one more beside ${volume.where}`, put({
        volumes: [...fileSystems.volumes, {
          ...volume, type: 'unheard-of', role: 'file-system', sign: 'silent' }] })] as const],
    ]),
  ]
}

function weakerApplications(evidence: Evidence): Weaker {
  const { discovery } = evidence.applications
  const put = (applications: readonly ApplicationEvidence[]): Evidence => ({
    ...evidence, applications: {
      ...evidence.applications,
      discovery: { state: 'done', by: 'x', applications } } })
  const undeclared: [string, Evidence] = ['nothing declared', {
    ...evidence, applications: { ...evidence.applications, declaredNone: false } }]
  if (discovery.state === 'impossible') return [undeclared]
  const { applications } = discovery
  return [
    undeclared,
    // A machine that is off needs no discovery.
    ...evidence.power.before === 'off' ? [] : [['no discovery', { ...evidence, applications: {
      ...evidence.applications, discovery: { state: 'impossible', reason: 'x' } } }] as const],
    ...applications.flatMap((application, at) => [
      [`${application.name} elsewhere`, put(applications.with(
        at, { ...application, data: { state: 'outside', detail: 'x' } }))] as const,
      ...application.data.state === 'located' ? [[`${application.name} somewhere`, put(
        applications.with(
          at, { ...application, data: { state: 'unknown', detail: 'x' } }))] as const] : [],
      ...weakerWriters(application.writer).map((writer) =>
        [`writer of ${application.name}`, put(
          applications.with(at, { ...application, writer }))] as const),
    ]),
  ]
}

function weakerWriters(writer: WriterEvidence): readonly WriterEvidence[] {
  const none = { contract: 'none', reason: 'no-writer', detail: '' } as const
  if (writer.contract === 'none') return []
  if (writer.contract === 'platform-stated') {
    // A machine that was saved is known to be as after a crash: not to know it is no weaker.
    const unknown = writer.guest === 'saved' ? [] : [none]
    return [
      ...unknown, { ...writer, state: 'unknown' }, { ...writer, statement: '' },
      { ...writer, metadataDocument: null }, { ...writer, componentsDocument: null },
      ...weakerSeen(writer), { ...writer, guest: 'saved' },
    ]
  }
  const { freeze, thaw } = writer
  const fault = { code: 'writer-failed', message: 'x' }
  return [
    none,
    { ...writer, limitMs: 0 },
    { ...writer, thaw: { state: 'unknown', issuedMs: thaw.issuedMs, detail: '' } },
    { ...writer, freeze: { state: 'failed', issuedMs: 0, failedMs: 0, fault } },
    ...freeze.state === 'acknowledged'
      ? [{ ...writer, freeze: { ...freeze, statement: '' } },
        { ...writer, freeze: { ...freeze, positions: null } },
        { ...writer, freeze: { ...freeze, acknowledgedMs: freeze.acknowledgedMs + 200 } }] : [],
    ...thaw.state === 'thawed' ? [{ ...writer, thaw: { ...thaw, heldThroughout: false } }] : [],
    ...writer.contract === 'recoverable'
      ? [{ ...writer, durability: { state: 'unknown', settings: '' } } as const] : [],
  ]
}

function weakerSeen(
  writer: Extract<WriterEvidence, { contract: 'platform-stated' }>): readonly WriterEvidence[] {
  const { seen, ...unseen } = writer
  if (seen === undefined) return []
  return [
    { ...writer, seen: { ...seen, added: 0 } },
    { ...writer, seen: { ...seen, leftOut: seen.leftOut + 1 } },
    { ...writer, seen: { ...seen, afterSnapshot: null } },
    { ...writer, seen: { ...seen, afterComplete: null } },
    unseen,
  ]
}
