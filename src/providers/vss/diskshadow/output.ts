/**
 * What diskshadow prints, read by its GUIDs, numbers, device names and marks alone, since its words
 * are translated on some systems. Shapes: Microsoft's "DiskShadow". Pure.
 */

import { Fault } from '../../../base/fault.ts'
import { printable } from '../../../base/text.ts'
import { parseGuid } from '../session/guid.ts'
import type { Hresult } from '../session/hresult.ts'
import type { WriterStatus } from '../session/transport.ts'

/** A host has some twenty writers and a set 64 volumes at most. */
const MAX_BLOCKS = 1000

export interface ListedCopy {
  readonly alias: string
  readonly snapshotId: string
  readonly snapshotSetId: string
  readonly device: string
  readonly originalVolume: string
  /** The one attribute that bears on a grade; attributes are never translated. */
  readonly isWithoutWriters: boolean
}

/** Text of a console in whatever code page, or UTF-16: what is looked for is ASCII. */
export function decodeOutput(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('latin1')
  return text.includes('\0') ? text.replaceAll('\0', '') : text
}

const DEVICE = /\\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy\d{1,9}/i
const GUID = /\{([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}/gi

/**
 * The last list of writers in `text`. A writer is a paragraph behind a `*` with a number before a
 * bracket (its state), an HRESULT, its id and its instance id.
 */
export function readWriters(text: string): readonly WriterStatus[] {
  const writers = new Map<string, WriterStatus>()
  for (const block of blocksOf(text)) {
    const [, state] = /[:=]\s*(\d{1,2})\s*\([A-Z_]+\)/.exec(block) ?? []
    const [, failure] = /\b(0x[0-9a-f]{8})\b/i.exec(block) ?? []
    const [writerId, instanceId] = guidsOf(block)
    if (state === undefined || failure === undefined || writerId === undefined ||
      instanceId === undefined) continue
    writers.set(instanceId, {
      writerId, instanceId, name: nameOf(block), state: Number(state), failure: Number(failure) })
  }
  return [...writers.values()]
}

/** Shadow copies with an alias of ours. Fault: `platform-protocol` for one that lacks a part. */
export function readCopies(text: string): readonly ListedCopy[] {
  return blocksOf(text).flatMap((block): readonly ListedCopy[] => {
    const [, alias] = /%(SP\d{1,3})%/.exec(block) ?? []
    if (alias === undefined) return []
    const [device] = DEVICE.exec(block) ?? []
    const [originalVolume] = /\\\\\?\\Volume\{[0-9a-f-]{36}\}\\/i.exec(block) ?? []
    const [snapshotId, snapshotSetId] = guidsOf(block.replaceAll(originalVolume ?? '\0', ''))
    if (device === undefined || originalVolume === undefined || snapshotId === undefined ||
      snapshotSetId === undefined) {
      throw new Fault('platform-protocol',
        `diskshadow says too little of the shadow copy ${alias}: ${printable(block, 200)}`)
    }
    return [{
      alias, snapshotId, snapshotSetId, device, originalVolume,
      isWithoutWriters: /\bNo_Writers\b/i.test(block) }]
  })
}

/** The last code of failure in what was printed; undefined where there is none. */
export function lastFailure(text: string): Hresult | undefined {
  const [, hex] = [...text.matchAll(/\b0x(8[0-9a-f]{7})\b/gi)].at(-1) ?? []
  return hex === undefined ? undefined : parseInt(hex, 16)
}

/** Paragraphs that begin with a star at the start of a line. */
function blocksOf(text: string): readonly string[] {
  return text.split(/^[ \t]*\*[ \t]/m).slice(1, MAX_BLOCKS + 1)
}

function guidsOf(block: string): readonly string[] {
  return [...block.matchAll(GUID)].map(([guid]) => parseGuid(guid, 'the output of diskshadow'))
}

/** In quotes on some versions; the word before it is translated. */
function nameOf(block: string): string {
  const [first = ''] = block.split(/\r?\n/, 1)
  const [, inQuotes] = /"([^"]*)"/.exec(first) ?? []
  return inQuotes ?? first.trim().replace(/^\S+\s+/, '')
}
