/** What the scripts answer, once it is checked. All strings are foreign. */

import { z } from 'zod'

const text = z.string().max(4096)
const guid = z.string().regex(/^[0-9A-Fa-f-]{36}$/).transform((it) => it.toLowerCase())
const count = z.int().min(0)
/** PowerShell makes null of an empty list that was the last thing in a pipeline. */
const list = <T>(item: z.ZodType<T>, most: number): z.ZodType<readonly T[]> =>
  z.union([z.array(item).max(most), z.null()]).transform((it) => it ?? [])

const layer = z.object({
  path: text, id: z.union([z.string().max(64), z.null()]), format: z.union([text, z.null()]),
  sizeBytes: count,
})

const drive = z.object({
  controller: text, number: count, location: z.int(), isPassThrough: z.boolean(),
  isShared: z.boolean(),
  /** The file it writes to, then that one's parent, and so on; empty where there is none. */
  chain: list(layer, 64),
})

const machine = z.object({
  id: guid, name: text.min(1), state: text, version: text, generation: count,
  memoryBytes: count, cpuCount: count, checkpointType: text, hasScsi: z.boolean(),
  hasFibreChannel: z.boolean(), isClustered: z.boolean(), ownerNode: z.union([text, z.null()]),
  guestOs: z.union([text, z.null()]), disks: list(drive, 260),
  services: list(z.object({
    id: text, enabled: z.boolean(), primary: text, secondary: text }), 64),
  nics: list(z.object({ mac: text, isLegacy: z.boolean() }), 256),
  checkpoints: list(z.object({
    id: guid, name: text, notes: text, isRecovery: z.boolean() }), 1000),
  referencePoints: list(z.object({
    id: guid, consistencyLevel: z.int(), diskIds: list(text, 260),
    trackingIds: list(text, 260) }), 1000),
})

export const surveySchema = z.object({
  host: z.object({
    name: text, version: text,
    /** It can ask guests for a copy, which leaves applications their logs (Server 2019). */
    canCopy: z.boolean() }), machines: list(machine, 10_000) })

export type HypervSurvey = z.infer<typeof surveySchema>
export type HypervMachine = z.infer<typeof machine>
export type HypervHostFacts = HypervSurvey['host']
export type HypervDrive = z.infer<typeof drive>
export type HypervCheckpoint = HypervMachine['checkpoints'][number]

export const startedSchema = z.object({
  returnValue: z.int(), job: z.union([guid, z.null()]) })

export const jobSchema = z.object({
  state: z.int(), percent: z.int(), errorCode: z.int(), error: text, made: list(guid, 64) })

export const changesSchema = startedSchema.extend({
  processed: count, offsets: list(count, 1_000_000), lengths: list(count, 1_000_000) })

export const eventsSchema = z.object({
  events: list(z.object({ source: text, id: count, level: z.int(), at: text }), 5000) })
export type HostEvent = z.infer<typeof eventsSchema>['events'][number]
