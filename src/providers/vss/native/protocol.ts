/**
 * What a requestor's process and the one that started it say to one another: JSON lines over the
 * former's standard input and a pipe of its own, one request at a time; `abortBackup` and `release`
 * may come into the middle of a step, which is then cancelled.
 *
 * Both ends are ours; what passes through them are texts of writers, which are foreign. Documents
 * come in parts, so that no line and no event-loop turn is long.
 */

import * as z from 'zod'
import { FAULT_CODES, type FaultCode } from '../../../base/fault-codes.ts'
import { MAX_MESSAGE_UNITS } from '../session/transport.ts'

/**
 * Messages do not go through standard output: on Windows, Node waits there in the middle of a turn
 * until what was written is read (net.Socket makes 1 and 2 blocking).
 */
export const MESSAGES_FD = 3
export const REQUESTOR_STDIO = ['pipe', 'ignore', 'pipe', 'pipe'] as const

/** UTF-16 units of a document in one line. */
export const PART_UNITS = 64 * 1024
/** A part of which each unit is escaped takes six times its length. */
export const MAX_LINE_BYTES = 1024 * 1024
/** Of one document: the largest writers' take some MB. */
export const MAX_TEXT_UNITS = 16 * 1024 * 1024
/** A path of Windows, and a name in it. */
const MAX_NAME_UNITS = 32_768

const guid = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
const number32 = z.int().min(-0x8000_0000).max(0xffff_ffff)
const name = z.string().max(MAX_NAME_UNITS)
const component = z.object({
  instanceId: guid, writerId: guid, type: number32, logicalPath: name.nullable(), name })

const REQUESTS = [
  z.object({
    step: z.literal('open'), context: number32, backupType: number32, isBootable: z.boolean() }),
  z.object({ step: z.literal('gatherWriterMetadata') }),
  z.object({ step: z.literal('writerDocument'), index: number32 }),
  z.object({ step: z.literal('freeWriterMetadata') }),
  z.object({ step: z.literal('addComponent'), component }),
  z.object({ step: z.literal('startSnapshotSet') }),
  z.object({ step: z.literal('isVolumeSupported'), volume: name }),
  z.object({ step: z.literal('addToSnapshotSet'), volume: name }),
  z.object({ step: z.literal('prepareForBackup') }),
  z.object({ step: z.literal('gatherWriterStatus') }),
  z.object({ step: z.literal('addedWriters') }),
  z.object({ step: z.literal('failedComponent'), writer: number32, index: number32 }),
  z.object({ step: z.literal('doSnapshotSet') }),
  z.object({ step: z.literal('snapshotProperties'), snapshotId: guid }),
  z.object({ step: z.literal('setBackupSucceeded'), component, succeeded: z.boolean() }),
  z.object({ step: z.literal('backupComplete') }),
  z.object({ step: z.literal('componentsDocument') }),
  z.object({ step: z.literal('abortBackup') }),
  z.object({ step: z.literal('release') }),
] as const

const request = z.discriminatedUnion('step', REQUESTS)
const numbered = z.intersection(z.object({ id: z.int().positive() }), request)
export type Request = z.infer<typeof request>
export type NumberedRequest = z.infer<typeof numbered>
export type Step = Request['step']

/** What answers a step; its document, if it has one, came before in parts. */
export const VALUES = {
  open: z.null(),
  gatherWriterMetadata: z.object({ count: z.int().min(0).max(4096) }),
  writerDocument: z.object({ writerId: guid, instanceId: guid, name }),
  freeWriterMetadata: z.null(),
  addComponent: z.null(),
  startSnapshotSet: guid,
  isVolumeSupported: z.boolean(),
  addToSnapshotSet: guid,
  prepareForBackup: z.null(),
  gatherWriterStatus: z.array(z.object({
    writerId: guid, instanceId: guid, name, state: number32, failure: number32 })).max(4096),
  /** In the order of GetWriterComponents; `count` of components. */
  addedWriters: z.array(z.object({ instanceId: guid, count: z.int().min(0) })).max(4096),
  /** Null where the component says nothing of a failure. */
  failedComponent: z.object({
    type: number32, logicalPath: name.nullable(), name, failure: number32,
    applicationFailure: number32, messages: z.array(z.string().max(MAX_MESSAGE_UNITS)).max(3),
  }).nullable(),
  doSnapshotSet: z.null(),
  snapshotProperties: z.object({
    snapshotId: guid, snapshotSetId: guid, device: name.startsWith('\\\\?\\'),
    originalVolume: name, attributes: number32, createdMs: z.int() }),
  setBackupSucceeded: z.null(),
  backupComplete: z.null(),
  componentsDocument: z.null(),
  abortBackup: z.null(),
  /** The longest turn of the event loop since `open`: how long nobody could have been heard. */
  release: z.object({ wallMs: z.number(), cpuMs: z.number() }),
} as const satisfies Record<Step, z.ZodType>
export type Value<S extends Step> = z.infer<(typeof VALUES)[S]>

const faultCode = z.custom<FaultCode>((code) =>
  typeof code === 'string' && Object.hasOwn(FAULT_CODES, code))
const message = z.intersection(z.object({ id: z.int().positive() }), z.union([
  z.object({ part: z.string().max(PART_UNITS) }),
  z.object({ value: z.unknown() }),
  /** VSS ended the method `of` with this. */
  z.object({ hresult: number32, of: z.string().max(100) }),
  z.object({ fault: z.object({
    code: faultCode, message: z.string().max(4096), advice: z.string().max(4096).optional() }) }),
]))
export type Message = z.infer<typeof message>

/** Undefined for what is no request. */
export function parseRequest(value: unknown): NumberedRequest | undefined {
  return numbered.safeParse(value).data
}

/** Undefined for what is no message. */
export function parseMessage(value: unknown): Message | undefined {
  return message.safeParse(value).data
}
