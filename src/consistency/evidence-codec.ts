/** Evidence as bytes: one canonical text for one record, and a strict reader of foreign ones. */

import { z } from 'zod'
import { canonicalJson } from '../base/canonical-json.ts'
import { checked } from '../base/checked.ts'
import { parseJson } from '../base/json.ts'
import { FULL_REASONS, type FullReason } from './change-tracking.ts'
import type { Evidence } from './evidence.ts'

/**
 * Bounds on what a stored record may hold. A machine has at most a few dozen disks and a few
 * hundred mounts; the platform's documents are the only long texts.
 */
export const EVIDENCE_MAX = {
  disks: 256, fileSystems: 1024, volumes: 1024, applications: 256, documents: 64, places: 32,
  name: 256, text: 4096, documentText: 512 * 1024, ms: 1e15, count: 100_000,
} as const

/** The largest encoded evidence that is read. */
export const MAX_EVIDENCE_BYTES = 4 * 1024 * 1024

const name = z.string().max(EVIDENCE_MAX.name)
const text = z.string().max(EVIDENCE_MAX.text)
const ms = z.number().min(0).max(EVIDENCE_MAX.ms)
const count = z.int().min(0).max(EVIDENCE_MAX.count)
const bytes = z.int().min(0)
/** A name that is safe as a file's: not `.`, `..` or hidden. */
const diskId = z.string().regex(/^[a-z0-9_-][a-z0-9._-]{0,63}$/)
const diskIds = z.array(diskId).max(EVIDENCE_MAX.disks)
const at = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/)
  .refine((time) => !Number.isNaN(Date.parse(time)), 'no such time')
const uuid = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
const stepFault = z.strictObject({ code: name, message: text })

/** 32 bits without a sign: an HRESULT, flags of VSS. */
const hresult = z.int().min(0).max(0xffffffff)
const vssState = z.strictObject({ state: count, failure: hresult }).nullable()

const power = z.enum(['running', 'paused', 'saved', 'off'])

const noHold = z.strictObject({
  by: z.literal('nobody'),
  reason: z.enum([
    'no-agent-configured', 'agent-silent', 'agent-disabled', 'agent-busy', 'would-truncate-logs',
    'powered-off', 'paused', 'saved', 'declined',
  ]),
  detail: text,
})

const requestorHold = z.strictObject({
  by: z.literal('requestor'),
  agent: text,
  limits: z.strictObject({ freezeMs: ms, holdMs: ms, thawMs: ms }),
  freeze: z.discriminatedUnion('state', [
    z.strictObject({
      state: z.literal('acknowledged'), issuedMs: ms, acknowledgedMs: ms, count,
    }),
    z.strictObject({
      state: z.literal('failed'), issuedMs: ms, failedMs: ms, fault: stepFault,
    }),
  ]),
  thaw: z.discriminatedUnion('state', [
    z.strictObject({
      state: z.literal('thawed'), issuedMs: ms, acknowledgedMs: ms, count: count.nullable(),
      early: z.boolean(),
    }),
    z.strictObject({ state: z.literal('not-frozen'), issuedMs: ms }),
    z.strictObject({ state: z.literal('unknown'), issuedMs: ms, detail: text }),
  ]),
})

const platformHold = z.strictObject({
  by: z.literal('platform'),
  claimed: z.enum(['application', 'filesystem', 'none']),
  documents: z.array(z.strictObject({
    name, text: z.string().max(EVIDENCE_MAX.documentText),
    shows: z.enum(['application', 'filesystem', 'nothing']),
  })).max(EVIDENCE_MAX.documents).check(unique('name')),
  session: z.strictObject({
    transport: name, statusOf: z.enum(['this-session', 'unsure']), attributes: hresult,
  }).exactOptional(),
})

const instant = z.strictObject({
  method: name,
  oneInstant: z.boolean(),
  startMs: ms,
  endMs: ms,
  takenAt: at,
  disks: z.array(z.strictObject({ id: diskId, sizeBytes: bytes }))
    .max(EVIDENCE_MAX.disks).check(unique('id')),
})

const fileSystemList = z.discriminatedUnion('state', [
  z.strictObject({
    state: z.literal('listed'),
    fileSystems: z.array(z.strictObject({
      mountpoint: text, type: name, device: text, diskIds,
    })).max(EVIDENCE_MAX.fileSystems),
  }),
  z.strictObject({ state: z.literal('unavailable'), reason: text }),
])

const fileSystems = z.strictObject({
  before: fileSystemList,
  after: fileSystemList,
  probes: z.array(z.discriminatedUnion('state', [
    z.strictObject({ diskId, state: z.literal('probed') }),
    z.strictObject({ diskId, state: z.literal('failed'), reason: text }),
  ])).max(EVIDENCE_MAX.disks),
  volumes: z.array(z.strictObject({
    diskIds: diskIds.min(1),
    where: name,
    layer: z.enum(['disk', 'partition', 'mapped']),
    partition: count.nullable(),
    type: name,
    role: z.enum(['file-system', 'esp', 'swap', 'opaque']),
    sign: z.enum(['frozen', 'clean', 'in-use', 'silent']),
    hibernation: z.enum(['none', 'present', 'unknown']),
    detail: text,
  })).max(EVIDENCE_MAX.volumes),
})

const coverage = z.strictObject({
  leftOut: z.array(z.strictObject({
    id: name,
    reason: z.enum([
      'excluded', 'read-only', 'empty', 'unsupported', 'independent', 'pass-through', 'shared',
      'hot-added', 'hot-removed',
    ]),
    detail: text,
  })).max(EVIDENCE_MAX.disks),
  excludes: z.array(name).max(EVIDENCE_MAX.disks),
  rechecked: z.boolean(),
})

const writerHold = {
  limitMs: ms,
  freeze: z.discriminatedUnion('state', [
    z.strictObject({
      state: z.literal('acknowledged'), issuedMs: ms, acknowledgedMs: ms, statement: text,
      positions: z.strictObject({ beforeCheckpoint: name, atFreeze: name }).nullable(),
    }),
    z.strictObject({ state: z.literal('failed'), issuedMs: ms, failedMs: ms, fault: stepFault }),
  ]),
  thaw: z.discriminatedUnion('state', [
    z.strictObject({
      state: z.literal('thawed'), issuedMs: ms, acknowledgedMs: ms, heldThroughout: z.boolean(),
      statement: text,
    }),
    z.strictObject({ state: z.literal('unknown'), issuedMs: ms, detail: text }),
  ]),
}

const writer = z.discriminatedUnion('contract', [
  z.strictObject({
    contract: z.literal('none'),
    reason: z.enum([
      'no-writer', 'no-channel', 'hook-ignored', 'hook-not-run', 'hook-failed', 'not-reachable',
      'would-truncate-logs', 'declined', 'not-tried',
    ]),
    detail: text,
  }),
  z.strictObject({ contract: z.literal('held'), ...writerHold }),
  z.strictObject({
    contract: z.literal('recoverable'), ...writerHold,
    durability: z.strictObject({ state: z.enum(['safe', 'unsafe', 'unknown']), settings: text }),
  }),
  z.strictObject({
    contract: z.literal('platform-stated'),
    state: z.enum(['stable', 'failed', 'unknown']),
    metadataDocument: name.nullable(),
    componentsDocument: name.nullable(),
    statement: text,
    seen: z.strictObject({
      added: count, leftOut: count, afterSnapshot: vssState,
      afterComplete: vssState.exactOptional(),
    }).exactOptional(),
    guest: z.enum(['online', 'saved']).exactOptional(),
  }),
])

const applications = z.strictObject({
  declaredNone: z.boolean(),
  discovery: z.discriminatedUnion('state', [
    z.strictObject({ state: z.literal('impossible'), reason: text }),
    z.strictObject({
      state: z.literal('done'),
      by: name,
      applications: z.array(z.strictObject({
        name,
        kind: z.enum(['protected', 'incidental']),
        recovery: z.enum(['self', 'none', 'unknown']),
        data: z.discriminatedUnion('state', [
          z.strictObject({
            state: z.literal('located'), diskIds,
            places: z.array(z.strictObject({
              path: text, mountpoint: text, root: text.exactOptional(),
            })).max(EVIDENCE_MAX.places).exactOptional(),
          }),
          z.strictObject({ state: z.literal('outside'), detail: text }),
          z.strictObject({ state: z.literal('unknown'), detail: text }),
        ]),
        writer,
      })).max(EVIDENCE_MAX.applications).check(unique('name')),
    }),
  ]),
})

const diskBase = z.union([
  z.strictObject({ since: uuid }),
  z.strictObject({ full: z.enum(Object.keys(FULL_REASONS) as readonly FullReason[]) }),
])

const reading = z.discriminatedUnion('state', [
  z.strictObject({ state: z.literal('unfinished') }),
  z.strictObject({
    state: z.literal('finished'),
    instant: z.union([
      z.strictObject({ intact: z.literal(true) }), z.strictObject({ broken: text }),
    ]),
    disks: z.array(z.strictObject({
      diskId, bytesRead: bytes, base: diskBase,
      filesAsZeros: z.strictObject({ files: count, bytes }).exactOptional(),
    })).max(EVIDENCE_MAX.disks),
  }),
])

const evidenceSchema: z.ZodType<Evidence> = z.strictObject({
  version: z.literal(1),
  pointId: uuid,
  machine: z.strictObject({ name, platform: name }),
  observedBy: z.strictObject({ program: name, version: name }),
  startedAt: at,
  power: z.strictObject({ before: power, after: z.enum([...power.options, 'unknown']) }),
  hold: z.discriminatedUnion('by', [noHold, requestorHold, platformHold]),
  instant,
  fileSystems,
  coverage,
  applications,
  reading,
  policy: z.strictObject({
    require: z.enum(['application', 'filesystem', 'crash', 'torn']),
    origin: z.enum(['operator', 'best-so-far', 'predicted']),
    onWeaker: z.enum(['keep', 'fail']),
  }),
})

/** Evidence from outside. Unknown keys are refused. Fault: `point-invalid`. */
export function parseEvidence(value: unknown): Evidence {
  return checked(evidenceSchema, value, 'the evidence', 'point-invalid')
}

/** Evidence as it is stored. Faults: `point-invalid`. */
export function decodeEvidence(encoded: Uint8Array | string): Evidence {
  return parseEvidence(parseText(encoded))
}

function parseText(encoded: Uint8Array | string): unknown {
  return parseJson(encoded, 'the evidence', 'point-invalid',
    { maxBytes: MAX_EVIDENCE_BYTES, maxDepth: 16 })
}

/**
 * The canonical text (RFC 8785) of `evidence`: equal records give equal bytes. Fault:
 * `point-invalid` if what was observed is over the bounds, so that nothing is sealed that could
 * not be read back.
 */
export function encodeEvidence(evidence: Evidence): string {
  const encoded = canonicalJson(parseEvidence(evidence))
  parseText(encoded) // its size as a whole
  return encoded
}

function unique<K extends string>(
  key: K): (context: z.core.ParsePayload<Readonly<Record<K, string>>[]>) => void {
  return ({ value, issues }) => {
    if (new Set(value.map((item) => item[key])).size < value.length) {
      issues.push({ code: 'custom', message: `two items with the same ${key}`, input: value })
    }
  }
}
