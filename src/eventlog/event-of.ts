/** One event out of its XML (the schema of [MS-EVEN6] 2.2.13). */

import { isoTimeMs } from '../base/clock.ts'
import type { EventRecord, EventValue } from './event-record.ts'
import type { XmlElement } from './binary-xml.ts'

/** More than any event has that somebody asks for. */
const MAX_VALUES = 128
const MAX_VALUE = 8192

/**
 * `header` is what stands before the XML in the log; where the time there is none, that in the XML
 * counts. Undefined if it is no event.
 */
export function eventOf(
  roots: readonly XmlElement[], header: Pick<EventRecord, 'recordId' | 'atMs'>,
): EventRecord | undefined {
  const event = roots.find(({ name }) => name === 'Event')
  const system = child(event, 'System')
  if (event === undefined || system === undefined) return undefined
  const provider = child(system, 'Provider')
  const created = isoTimeMs(child(system, 'TimeCreated')?.attributes.get('SystemTime') ?? '')
  const text = (name: string): string => child(system, name)?.texts.join('') ?? ''
  return {
    ...header, atMs: hasTime(header.atMs) || Number.isNaN(created) ? header.atMs : created,
    source: provider?.attributes.get('Name') ?? '',
    sourceAlias: provider?.attributes.get('EventSourceName'),
    id: numberOf(text('EventID')) & 0xffff, level: numberOf(text('Level')),
    channel: text('Channel'), computer: text('Computer'), data: valuesOf(event),
  }
}

/** Tools that export a log leave the time of some records empty: 1601. */
export function hasTime(atMs: number): boolean {
  return atMs > 0
}

function valuesOf(event: XmlElement): readonly EventValue[] {
  const values: EventValue[] = []
  const add = (name: string | undefined, value: string): void => {
    if (values.length < MAX_VALUES) values.push({ name, value: value.slice(0, MAX_VALUE) })
  }
  for (const { name, texts, attributes } of child(event, 'EventData')?.children ?? []) {
    if (name !== 'Data') continue
    const named = attributes.get('Name')
    if (texts.length === 0) add(named, '')
    for (const text of texts) add(named, text)
  }
  const ahead = [...child(event, 'UserData')?.children ?? []]
  for (let next = ahead.shift(); next !== undefined; next = ahead.shift()) {
    if (next.children.length === 0 && next.texts.length === 0) add(next.name, '')
    for (const text of next.texts) add(next.name, text)
    ahead.unshift(...next.children)
  }
  return values
}

function child(of: XmlElement | undefined, name: string): XmlElement | undefined {
  return of?.children.find((it) => it.name === name)
}

function numberOf(text: string): number {
  return /^\d{1,10}$/.test(text) ? Number(text) : 0
}
