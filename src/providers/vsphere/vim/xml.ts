/**
 * XML from outside as a tree of elements, bounded in bytes, depth and number of elements.
 *
 * Namespaces are resolved: vSphere's answers carry `type` and `xsi:type` on one element, and the
 * prefix of the second differs between servers. A document type is refused, so nothing is expanded.
 */

import { SaxesParser } from 'saxes'
import { Fault } from '../../../base/fault.ts'
import { printable } from '../../../base/text.ts'

export interface XmlLimits {
  readonly maxBytes: number
  readonly maxDepth: number
  /** Elements and attributes; each takes some hundred bytes once parsed, in the text only four. */
  readonly maxNodes: number
}

/** An inventory of a thousand machines has 10 MB and 200,000 elements. */
export const XML_LIMITS: XmlLimits = {
  maxBytes: 32 * 1024 * 1024, maxDepth: 64, maxNodes: 1_000_000,
}

export interface XmlElement {
  /** Without its prefix. */
  readonly name: string
  /** The namespace; empty for none. */
  readonly uri: string
  /** By local name for those without a namespace, else by `{namespace}name`. */
  readonly attributes: ReadonlyMap<string, string>
  readonly children: readonly XmlElement[]
  /** All text directly inside, unchanged. */
  readonly text: string
}

const XSI = 'http://www.w3.org/2001/XMLSchema-instance'
const NO_ATTRIBUTES: ReadonlyMap<string, string> = new Map()
const NO_CHILDREN: readonly XmlElement[] = []

interface OpenElement {
  readonly name: string
  readonly uri: string
  readonly attributes: ReadonlyMap<string, string>
  children: XmlElement[] | undefined
  text: string
}

/** Takes a document piece by piece. Every fault is `platform-protocol` and names `what`. */
export class XmlReader {
  readonly #what: string
  readonly #limits: XmlLimits
  readonly #parser = new SaxesParser({ xmlns: true, position: false })
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  readonly #open: OpenElement[] = []
  #bytes = 0
  #nodes = 0
  #root: XmlElement | undefined

  constructor(what: string, limits: XmlLimits = XML_LIMITS) {
    this.#what = what
    this.#limits = limits
    const parser = this.#parser
    parser.on('error', (cause) => { throw this.#fault('is no XML', cause) })
    parser.on('doctype', () => { throw this.#fault('has a document type, which is refused') })
    parser.on('opentag', ({ local, uri, attributes }) => {
      const kept = Object.values(attributes).filter((it) => it.prefix !== 'xmlns' &&
        it.name !== 'xmlns')
      this.#nodes += 1 + Object.keys(attributes).length
      if (this.#nodes > limits.maxNodes) throw this.#fault(`has over ${limits.maxNodes} elements`)
      if (this.#open.length >= limits.maxDepth) {
        throw this.#fault(`is nested deeper than ${limits.maxDepth}`)
      }
      this.#open.push({
        name: local, uri, text: '', children: undefined,
        attributes: kept.length === 0 ? NO_ATTRIBUTES
          : new Map(kept.map((it) => [it.uri === '' ? it.local : `{${it.uri}}${it.local}`,
            it.value])),
      })
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
    const element: XmlElement = { ...closed, children: closed.children ?? NO_CHILDREN }
    const parent = this.#open.at(-1)
    if (parent === undefined) this.#root = element
    else (parent.children ??= []).push(element)
  }

  write(bytes: Uint8Array): void {
    this.#bytes += bytes.length
    const { maxBytes } = this.#limits
    if (this.#bytes > maxBytes) throw this.#fault(`is longer than the ${maxBytes} bytes allowed`)
    this.#feed(() => this.#parser.write(this.#decoder.decode(bytes, { stream: true })))
  }

  /** The root, once all is written; a text that ends early is a fault. */
  end(): XmlElement {
    this.#feed(() => this.#parser.write(this.#decoder.decode()).close())
    if (this.#root === undefined) throw this.#fault('is empty')
    return this.#root
  }

  #feed(step: () => void): void {
    try {
      step()
    } catch (cause) {
      throw cause instanceof Fault ? cause : this.#fault('is no UTF-8 text', cause)
    }
  }

  #fault(says: string, cause?: unknown): Fault {
    return new Fault('platform-protocol', `${this.#what} ${says}`, { cause })
  }
}

/** All of a document. Fault: `platform-protocol`, naming `what`. */
export function parseXml(bytes: Uint8Array, what: string, limits?: XmlLimits): XmlElement {
  const reader = new XmlReader(what, limits)
  reader.write(bytes)
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
export function at(element: XmlElement | undefined, ...path: readonly string[]):
  XmlElement | undefined {
  return path.reduce(childOf, element)
}

/** The text found going down by these names; undefined where there is none. */
export function textAt(element: XmlElement | undefined, ...path: readonly string[]):
  string | undefined {
  return at(element, ...path)?.text
}

/** A whole number of bytes, keys or counts. Fault: `platform-protocol`. */
export function numberOf(text: string | undefined, what: string): number {
  const value = text === undefined || !/^-?\d{1,19}$/.test(text) ? NaN : Number(text)
  if (Number.isSafeInteger(value)) return value
  throw new Fault('platform-protocol',
    `${what} is no number that can be right: ${printable(text ?? 'nothing', 40)}`)
}

/** `xsi:type` without its prefix; empty where there is none. */
export function typeOf(element: XmlElement | undefined): string {
  const stated = element?.attributes.get(`{${XSI}}type`) ?? ''
  return stated.slice(stated.indexOf(':') + 1)
}

/** Text between tags. What XML has no place for, control bytes, becomes a question mark. */
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
