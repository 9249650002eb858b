/** XML from outside: bounded in size, depth and number of elements, without document types. */

import { SaxesParser } from 'saxes'
import { Fault, type FaultCode } from './fault.ts'

export interface XmlElement {
  /** As written, prefix included: `qemu:arg`. */
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly XmlElement[]
  /** The text directly inside, white space at both ends taken off. */
  readonly text: string
}

export interface XmlLimits {
  readonly maxBytes: number
  readonly maxDepth: number
  readonly maxElements: number
}

/** A domain of libvirt with 500 devices is some 300 kB of 10 000 elements, nested ten deep. */
export const DEFAULT_XML_LIMITS: XmlLimits = {
  maxBytes: 8 * 1024 * 1024, maxDepth: 64, maxElements: 200_000 }

interface Growing {
  readonly name: string
  readonly attributes: Record<string, string>
  readonly children: Growing[]
  text: string
}

/**
 * The root element. A text over the limits, with a document type (entities could grow without
 * end) or not well-formed is a Fault of `code` that names `what`.
 */
export function parseXml(
  text: string, what: string, code: FaultCode, limits: XmlLimits = DEFAULT_XML_LIMITS,
): XmlElement {
  const bytes = Buffer.byteLength(text)
  if (bytes > limits.maxBytes) {
    throw new Fault(code, `${what} is ${bytes} bytes long, more than ${limits.maxBytes}`)
  }
  try {
    return parse(text, limits)
  } catch (cause) {
    throw new Fault(code, `${what} cannot be understood as XML`, { cause })
  }
}

function parse(text: string, { maxDepth, maxElements }: XmlLimits): XmlElement {
  const parser = new SaxesParser()
  const open: Growing[] = []
  let root: Growing | undefined
  let count = 0
  parser.on('error', (error) => { throw error })
  parser.on('doctype', () => { throw new Error('it has a document type') })
  parser.on('opentag', ({ name, attributes }) => {
    if (++count > maxElements) throw new Error(`it has more than ${maxElements} elements`)
    if (open.length >= maxDepth) throw new Error(`it is nested deeper than ${maxDepth}`)
    const element: Growing = { name, attributes: { ...attributes }, children: [], text: '' }
    open.at(-1)?.children.push(element)
    root ??= element
    open.push(element)
  })
  const onText = (piece: string): void => {
    const element = open.at(-1)
    if (element !== undefined) element.text += piece
  }
  parser.on('text', onText)
  parser.on('cdata', onText)
  parser.on('closetag', () => {
    const element = open.pop()
    if (element !== undefined) element.text = element.text.trim()
  })
  parser.write(text).close()
  if (root === undefined) throw new Error('it has no element')
  return root
}

/** The first element at the path of names below `element`. */
export function childAt(
  element: XmlElement | undefined, ...path: readonly string[]): XmlElement | undefined {
  return path.reduce<XmlElement | undefined>(
    (at, name) => at?.children.find((child) => child.name === name), element)
}

export function childrenOf(
  element: XmlElement | undefined, name: string): readonly XmlElement[] {
  return element?.children.filter((child) => child.name === name) ?? []
}

/** The element as text, two blanks a level; what stands between elements is not kept. */
export function formatXml(element: XmlElement, indent = ''): string {
  const { name, attributes, children, text } = element
  const open = `${indent}<${name}${Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${escapeXml(value)}"`).join('')}`
  if (children.length === 0) {
    return text === '' ? `${open}/>\n` : `${open}>${escapeXml(text)}</${name}>\n`
  }
  return `${open}>\n${children.map((child) => formatXml(child, `${indent}  `)).join('')}` +
    `${indent}</${name}>\n`
}

/** Text as it may stand in an element or between double quotes; what XML forbids is left out. */
export function escapeXml(text: string): string {
  return text.replaceAll(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '')
    .replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;').replaceAll('\'', '&apos;')
}
