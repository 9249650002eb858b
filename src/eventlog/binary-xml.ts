/**
 * Binary XML as an event log keeps it ([MS-EVEN6] 2.2.12): elements, templates, and the values
 * that are put into them. Everything is followed inside one chunk, as deep and as long as `Budget`
 * allows, so that a chunk whose parts point at each other ends as a fault.
 */

import { valueTexts } from './binary-values.ts'
import { damaged, type ChunkCursor } from './chunk-cursor.ts'

export interface XmlElement {
  readonly name: string
  readonly attributes: ReadonlyMap<string, string>
  readonly children: readonly XmlElement[]
  /** What it holds besides elements; of an array of strings each by itself. */
  readonly texts: readonly string[]
}

/** An element under way. */
interface OpenElement {
  readonly name: string
  readonly attributes: Map<string, string>
  readonly children: XmlElement[]
  readonly texts: string[]
}

interface Substitution {
  readonly type: number
  readonly at: number
  readonly length: number
}

/** Where text goes: into an element, or while an attribute is read into that. */
interface Scope {
  readonly substitutions: readonly Substitution[]
  readonly depth: number
}

/** Real events need eight: one embedded in another, and five elements each. */
const MAX_DEPTH = 24
const MAX_SUBSTITUTIONS = 1024
const MORE = 0x40

const BINARY_XML = 0x21

/** The elements at the cursor, up to its end. Fault: `disk-unreadable`. */
export function readBinaryXml(cursor: ChunkCursor): readonly XmlElement[] {
  const root: OpenElement = { name: '', attributes: new Map(), children: [], texts: [] }
  readContent(cursor, root, { substitutions: [], depth: 0 })
  return root.children
}

/** Tokens up to the end of `into`, of the fragment, or of the cursor. */
function readContent(cursor: ChunkCursor, into: OpenElement, scope: Scope): void {
  if (scope.depth > MAX_DEPTH) damaged('its parts are nested too deep')
  while (cursor.at < cursor.end) {
    cursor.budget.step()
    const token = cursor.u8()
    switch (token & ~MORE) {
      case 0x00: case 0x04: return
      case 0x01: into.children.push(readElement(cursor, token, scope)); break
      case 0x0c: readTemplate(cursor, into, scope); break
      case 0x0f: cursor.take(3); break
      case 0x0a: readName(cursor); break // an instruction to a processor: not ours
      case 0x0b: cursor.take(cursor.u16() * 2); break
      default: readText(cursor, token, into, scope)
    }
  }
}

function readElement(cursor: ChunkCursor, token: number, scope: Scope): XmlElement {
  cursor.take(2) // which value decides whether it is shown: an empty one is harmless here
  cursor.take(4) // its length, which the tokens give once more
  const name = readName(cursor)
  const element: OpenElement = { name, attributes: new Map(), children: [], texts: [] }
  if ((token & MORE) !== 0) readAttributes(cursor, element, scope)
  cursor.budget.step()
  const close = cursor.u8()
  if (close === 0x02) readContent(cursor, element, { ...scope, depth: scope.depth + 1 })
  else if (close !== 0x03) damaged('an element has no end')
  return element
}

function readAttributes(cursor: ChunkCursor, element: OpenElement, scope: Scope): void {
  const list = cursor.from(cursor.at + 4, cursor.at + 4 + cursor.u32())
  if (list.end > cursor.end) damaged('attributes are longer than their element')
  while (list.at < list.end) {
    list.budget.step()
    if ((list.u8() & ~MORE) !== 0x06) damaged('an attribute is none')
    const name = readName(list)
    const value: OpenElement = { name, attributes: new Map(), children: [], texts: [] }
    while (list.at < list.end && ((list.chunk[list.at] ?? 0) & ~MORE) !== 0x06) {
      readText(list, list.u8(), value, { ...scope, depth: scope.depth + 1 })
    }
    element.attributes.set(name, value.texts.join(''))
  }
  cursor.at = list.end
}

function readText(cursor: ChunkCursor, token: number, into: OpenElement, scope: Scope): void {
  switch (token & ~MORE) {
    case 0x05: {
      if (cursor.u8() !== 0x01) damaged('a value has a type that only values from outside have')
      into.texts.push(cursor.text(cursor.u16()))
      return
    }
    case 0x07: into.texts.push(cursor.text(cursor.u16())); return
    case 0x08: into.texts.push(String.fromCharCode(cursor.u16())); return
    case 0x09: into.texts.push(ENTITIES[readName(cursor)] ?? ''); return
    case 0x0d: case 0x0e: {
      const chosen = scope.substitutions[cursor.u16()]
      cursor.take(1)
      if (chosen !== undefined) substitute(cursor, chosen, into, scope)
      return
    }
    default: damaged('there is a token that is none')
  }
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&', lt: '<', gt: '>', quot: '"', apos: '\'',
}

function substitute(
  cursor: ChunkCursor, { type, at, length }: Substitution, into: OpenElement, scope: Scope): void {
  if (type === 0 || length === 0) return
  if (type === BINARY_XML) {
    const inner = { substitutions: [], depth: scope.depth + 1 }
    readContent(cursor.from(at, at + length), into, inner)
    return
  }
  cursor.budget.text(length)
  into.texts.push(...valueTexts(type, cursor.chunk.subarray(at, at + length)))
}

/** A template stands where it was first used; a later record points back at it. */
function readTemplate(cursor: ChunkCursor, into: OpenElement, scope: Scope): void {
  cursor.take(1 + 4)
  const at = cursor.u32()
  const isHere = at === cursor.at
  const definition = cursor.from(at, cursor.chunk.length)
  definition.take(4 + 16) // the next in its list, and its id
  const length = definition.u32()
  const content = definition.from(definition.at, definition.at + length)
  if (isHere) cursor.at = content.end
  const substitutions = readSubstitutions(cursor)
  readContent(content, into, { substitutions, depth: scope.depth + 1 })
}

function readSubstitutions(cursor: ChunkCursor): readonly Substitution[] {
  const count = cursor.u32()
  if (count > MAX_SUBSTITUTIONS) damaged(`${count} values belong to a template`)
  const declared = Array.from({ length: count }, () => {
    cursor.budget.step()
    const length = cursor.u16()
    const type = cursor.u8()
    cursor.take(1)
    return { length, type }
  })
  return declared.map(({ length, type }) => ({ type, length, at: cursor.take(length) }))
}

/** A name stands where it was first used; what comes later points back at it. */
function readName(cursor: ChunkCursor): string {
  const at = cursor.u32()
  const isHere = at === cursor.at
  const name = isHere ? cursor : cursor.from(at, cursor.chunk.length)
  name.take(4 + 2) // the next in its list, and its hash
  const text = name.text(name.u16())
  name.take(2)
  return text
}
