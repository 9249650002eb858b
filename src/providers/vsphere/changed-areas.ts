/** What of a disk has changed, as QueryChangedDiskAreas tells it. */

import { Fault } from '../../base/fault.ts'
import { normalise, type Range } from '../../disk/mod.ts'
import type { VimClient } from './vim/client.ts'
import { morefElement, textElement, type Moref } from './vim/soap.ts'
import { childOf, childrenOf, textAt, type XmlElement } from '../../base/xml.ts'
import { numberOf } from './vim/values.ts'

/** Each takes some hundred bytes; a disk that changed in more places is read in full. */
const MAX_AREAS = 1_000_000

export interface AreaQuery {
  readonly machine: Moref
  /** Up to its instant. */
  readonly snapshot: Moref
  readonly deviceKey: number
  readonly sizeBytes: number
  /** Since when: of the earlier snapshot. */
  readonly changeId: string
}

/**
 * The areas that may differ, as a range set. The answers must cover the whole disk without a gap.
 * Faults: `platform-protocol` for answers that do not, and what the server refuses.
 */
export async function changedAreas(
  client: VimClient, query: AreaQuery, signal: AbortSignal): Promise<readonly Range[]> {
  const { machine, snapshot, deviceKey, sizeBytes, changeId } = query
  const found: Range[] = []
  for (let offset = 0; offset < sizeBytes;) {
    const answer = await client.call('QueryChangedDiskAreas', machine,
      morefElement('snapshot', snapshot) + textElement('deviceKey', deviceKey) +
      textElement('startOffset', offset) + textElement('changeId', changeId),
      { doing: 'to tell what has changed' }, signal)
    const part = childOf(answer, 'returnval')
    const start = numberOf(textAt(part, 'startOffset'), 'the beginning of an area')
    const length = numberOf(textAt(part, 'length'), 'the length of an area')
    if (start !== offset || length <= 0 || length > sizeBytes - offset) {
      throw notWhole(`it tells of ${length} bytes at ${start}, asked for from ${offset} on`)
    }
    for (const area of childrenOf(part, 'changedArea')) found.push(areaOf(area, offset, length))
    if (found.length > MAX_AREAS) throw notWhole(`it tells of over ${MAX_AREAS} areas`)
    offset += length
  }
  return normalise(found)
}

function areaOf(area: XmlElement, offset: number, length: number): Range {
  const range = {
    offset: numberOf(textAt(area, 'start'), 'the beginning of a changed area'),
    length: numberOf(textAt(area, 'length'), 'the length of a changed area'),
  }
  const isInside = range.offset >= offset && range.length >= 0 &&
    range.length <= offset + length - range.offset
  if (isInside) return range
  throw notWhole(`an area of ${range.length} bytes at ${range.offset} lies outside its answer`)
}

function notWhole(why: string): Fault {
  return new Fault('platform-protocol', `what vSphere tells of changes is not whole: ${why}`)
}
