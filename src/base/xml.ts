/**
 * XML from outside as a tree of elements, bounded in bytes, depth and number of elements.
 *
 * Namespaces are resolved, since the prefix of one and the same name differs between writers. A
 * document type is refused, so nothing is expanded.
 */

import { SaxesParser, type SaxesAttributeNS } from 'saxes'
import { Fault, type FaultCode } from './fault.ts'
import type { Work } from './turns.ts'

export interface XmlElement {
  /** Without its prefix. */
  readonly name: string
  /** As written; empty for none. Nothing but writing the element again should look at it. */
  readonly prefix: string
  /** The namespace; empty for none. */
  readonly uri: string
  /** The namespaces declared here, by prefix; empty for the default one. */
  readonly declares: ReadonlyMap<string, string>
  /** By local name for those without a namespace, else by `{namespace}name`. */
  readonly attributes: ReadonlyMap<string, string>
  readonly children: readonly XmlElement[]
  /** All text directly inside, unchanged; blanks alone are nothing beside child elements. */
  readonly text: string
}

export interface XmlLimits {
  readonly maxBytes: number
  readonly maxDepth: number
  /** Elements and attributes; each takes some hundred bytes once parsed, in the text only four. */
  readonly maxNodes: number
}

/** A domain of libvirt with 500 devices is some 300 kB of 30,000 nodes, nested ten deep. */
const DEFAULT_XML_LIMITS: XmlLimits = {
  maxBytes: 8 * 1024 * 1024, maxDepth: 64, maxNodes: 200_000,
}

const NOTHING: ReadonlyMap<string, string> = new Map()
const NO_CHILDREN: readonly XmlElement[] = []
const XML_NAMESPACE = 'http://www.w3.org/XML/1998/namespace'

interface OpenElement extends Omit<XmlElement, 'children' | 'text'> {
  children: XmlElement[] | undefined
  text: string
}

/** Takes a document piece by piece. Every fault is of `code` and names `what`. */
export class XmlReader {
  readonly #what: string
  readonly #code: FaultCode
  readonly #limits: XmlLimits
  readonly #parser = new SaxesParser({ xmlns: true, position: false })
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  readonly #open: OpenElement[] = []
  #bytes = 0
  #nodes = 0
  #root: XmlElement | undefined

  constructor(what: string, code: FaultCode, limits: XmlLimits = DEFAULT_XML_LIMITS) {
    this.#what = what
    this.#code = code
    this.#limits = limits
    const parser = this.#parser
    parser.on('error', (cause) => { throw this.#fault('is no XML', cause) })
    parser.on('doctype', () => { throw this.#fault('has a document type, which is refused') })
    parser.on('opentag', ({ local, prefix, uri, attributes }) => {
      const all = Object.values(attributes)
      this.#nodes += 1 + all.length
      if (this.#nodes > limits.maxNodes) throw this.#fault(`has over ${limits.maxNodes} elements`)
      if (this.#open.length >= limits.maxDepth) {
        throw this.#fault(`is nested deeper than ${limits.maxDepth}`)
      }
      const { declares, kept } = all.length === 0 ? { declares: NOTHING, kept: NOTHING }
        : sorted(all)
      this.#open.push({
        name: local, prefix, uri, declares, attributes: kept, text: '', children: undefined })
    })
    const onText = (text: string): void => {
      const element = this.#open.at(-1)
      if (element !== undefined) element.text += text
    }
    parser.on('text', onText)
    parser.on('cdata', onText)
    parser.on('closetag', () => this.#close())
  }

  #close(): void {
    const closed = this.#open.pop()
    if (closed === undefined) return
    const { children = NO_CHILDREN } = closed
    const isBlank = children.length > 0 && closed.text.trim() === ''
    const element: XmlElement = { ...closed, children, text: isBlank ? '' : closed.text }
    const parent = this.#open.at(-1)
    if (parent === undefined) this.#root = element
    else (parent.children ??= []).push(element)
  }

  /** Refuses a document of so many bytes, or more, before it is read. */
  expect(bytes: number): void {
    if (bytes > this.#limits.maxBytes) throw this.#tooLong()
  }

  write(bytes: Uint8Array): void {
    this.#count(bytes.length)
    this.#feed(() => this.#parser.write(this.#decoder.decode(bytes, { stream: true })))
  }

  writeText(text: string): void {
    this.#count(Buffer.byteLength(text))
    this.#feed(() => this.#parser.write(text))
  }

  /** The root, once all is written; a text that ends early is a fault. */
  end(): XmlElement {
    this.#feed(() => this.#parser.write(this.#decoder.decode()).close())
    if (this.#root === undefined) throw this.#fault('is empty')
    return this.#root
  }

  #count(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes > this.#limits.maxBytes) throw this.#tooLong()
  }

  #tooLong(): Fault {
    return this.#fault(`is longer than the ${this.#limits.maxBytes} bytes allowed`)
  }

  #feed(step: () => void): void {
    try {
      step()
    } catch (cause) {
      throw cause instanceof Fault ? cause : this.#fault('is no UTF-8 text', cause)
    }
  }

  #fault(says: string, cause?: unknown): Fault {
    return new Fault(this.#code, `${this.#what} ${says}`, { cause })
  }
}

function sorted(attributes: readonly SaxesAttributeNS[]): {
  readonly declares: ReadonlyMap<string, string>
  readonly kept: ReadonlyMap<string, string>
} {
  const isDeclared = ({ prefix, name }: SaxesAttributeNS): boolean =>
    prefix === 'xmlns' || name === 'xmlns'
  const declared = attributes.filter(isDeclared)
  const others = attributes.filter((it) => !isDeclared(it))
  return {
    declares: declared.length === 0 ? NOTHING
      : new Map(declared.map(({ prefix, local, value }) => [prefix === '' ? '' : local, value])),
    kept: others.length === 0 ? NOTHING
      : new Map(others.map((it) => [it.uri === '' ? it.local : `{${it.uri}}${it.local}`,
        it.value])),
  }
}

/** The root of a document. Every fault is of `code` and names `what`. */
export function parseXml(
  document: string | Uint8Array, what: string, code: FaultCode, limits?: XmlLimits): XmlElement {
  const reader = new XmlReader(what, code, limits)
  if (typeof document === 'string') reader.writeText(document)
  else reader.write(document)
  return reader.end()
}

/** UTF-16 units of a document that are one step. */
const STEP_UNITS = 8 * 1024

/** `parseXml` of a text, in steps. */
export function* parsingXml(
  document: string, what: string, code: FaultCode, limits?: XmlLimits): Work<XmlElement> {
  const reader = new XmlReader(what, code, limits)
  reader.expect(document.length)
  for (let at = 0; at < document.length; at += STEP_UNITS) {
    reader.writeText(document.slice(at, at + STEP_UNITS))
    yield
  }
  return reader.end()
}

/** The first child of that name, whatever its namespace. */
export function childOf(element: XmlElement | undefined, name: string): XmlElement | undefined {
  return element?.children.find((child) => child.name === name)
}

export function childrenOf(element: XmlElement | undefined, name: string): readonly XmlElement[] {
  return element?.children.filter((child) => child.name === name) ?? NO_CHILDREN
}

/** What is found going down by these names. */
export function childAt(
  element: XmlElement | undefined, ...path: readonly string[]): XmlElement | undefined {
  return path.reduce(childOf, element)
}

/** The text found going down by these names; undefined where there is none. */
export function textAt(
  element: XmlElement | undefined, ...path: readonly string[]): string | undefined {
  return childAt(element, ...path)?.text
}

/** The element as text, two blanks a level; text beside child elements is not kept. */
export function formatXml(element: XmlElement): string {
  return format(element, '', new Map([['xml', XML_NAMESPACE]]))
}

function format(
  element: XmlElement, indent: string, outer: ReadonlyMap<string, string>): string {
  const { prefix, name, declares, attributes, children, text } = element
  const scope = declares.size === 0 ? outer : new Map([...outer, ...declares])
  const tag = prefix === '' ? name : `${prefix}:${name}`
  const pairs = [
    ...[...declares].map(([of, uri]) => [of === '' ? 'xmlns' : `xmlns:${of}`, uri] as const),
    ...[...attributes].map(([key, value]) => [attributeName(key, scope), value] as const),
  ]
  const open = `${indent}<${tag}${pairs.map(([key, value]) =>
    ` ${key}="${escapeXml(value).replaceAll('\n', '&#10;').replaceAll('\t', '&#9;')}"`).join('')}`
  if (children.length > 0) {
    const inner = children.map((child) => format(child, `${indent}  `, scope)).join('')
    return `${open}>\n${inner}${indent}</${tag}>\n`
  }
  return text === '' ? `${open}/>\n` : `${open}>${escapeXml(text)}</${tag}>\n`
}

/** As it may be written: with a prefix that stands for its namespace here. */
function attributeName(key: string, scope: ReadonlyMap<string, string>): string {
  const [, uri, local] = /^\{(.*)\}([^}]*)$/.exec(key) ?? []
  if (uri === undefined || local === undefined) return key
  const [prefix] = [...scope].find(([of, it]) => of !== '' && it === uri) ?? []
  return prefix === undefined ? local : `${prefix}:${local}`
}

/**
 * Text as it may stand in an element or between quotes. What XML has no place for, control bytes,
 * becomes a question mark.
 */
export function escapeXml(text: string): string {
  return text
    .toWellFormed()
    // eslint-disable-next-line no-control-regex
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '?')
    .replace(/[&<>"']/g, (char) => ENTITIES.get(char) ?? char)
    .replaceAll('\r', '&#13;')
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'], ['<', '&lt;'], ['>', '&gt;'], ['"', '&quot;'], ["'", '&apos;'],
])
