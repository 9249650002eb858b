/** The texts of vim25: SOAP 1.1, one method an envelope, `urn:vim25`. */

import { Fault } from '../../../base/fault.ts'
import { printable } from '../../../base/text.ts'
import { childAt, childOf, escapeXml, type XmlElement } from '../../../base/xml.ts'
import { typeOf } from './values.ts'

/** A managed object: its type and its id there, as `VirtualMachine` and `vm-57`. */
export interface Moref {
  readonly type: string
  readonly id: string
}

const NAME = /^[A-Za-z][A-Za-z0-9_]{0,63}$/

/** The version of the interface that is spoken: newer servers answer older ones. */
export const SOAP_ACTION = 'urn:vim25/6.5'

/** `<name>text</name>`; nothing for undefined. */
export function textElement(name: string, text: string | number | boolean | undefined): string {
  return text === undefined ? '' : `<${name}>${escapeXml(String(text))}</${name}>`
}

/** `<name type="…">id</name>` */
export function morefElement(name: string, { type, id }: Moref): string {
  return `<${name} type="${escapeXml(type)}">${escapeXml(id)}</${name}>`
}

/** The request that calls `method` of `self`; `args` is XML. */
export function envelope(method: string, self: Moref, args: string): string {
  return '<?xml version="1.0" encoding="UTF-8"?>' +
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"' +
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema"' +
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>' +
    `<${method} xmlns="urn:vim25">${morefElement('_this', self)}${args}</${method}>` +
    '</soapenv:Body></soapenv:Envelope>'
}

/** What the server says went wrong: `InvalidLogin`, `TaskInProgress` … All of it is foreign. */
export class VimFault extends Error {
  /** The name of the fault in vim25; `SoapFault` where it states none. */
  readonly type: string
  readonly detail: XmlElement | undefined

  constructor(type: string, message: string, detail: XmlElement | undefined) {
    super(message)
    this.name = 'VimFault'
    this.type = type
    this.detail = detail
  }
}

export function isVimFault(error: unknown, ...types: readonly string[]): error is VimFault {
  return error instanceof VimFault && types.includes(error.type)
}

/**
 * The `…Response` element of an answer. Throws the `VimFault` that it states instead; fault:
 * `platform-protocol`.
 */
export function responseOf(root: XmlElement, method: string): XmlElement {
  const body = root.name === 'Envelope' ? childOf(root, 'Body') : undefined
  const fault = childOf(body, 'Fault')
  if (fault !== undefined) throw soapFault(fault)
  const response = childOf(body, `${method}Response`)
  if (response !== undefined) return response
  throw new Fault('platform-protocol', `the answer to ${method} is none that vSphere gives`)
}

function soapFault(fault: XmlElement): VimFault {
  const detail = childOf(fault, 'detail')?.children[0]
  const type = typeOf(detail) || (detail?.name ?? '').replace(/Fault$/, '')
  const text = childAt(fault, 'faultstring')?.text.trim() ?? ''
  return new VimFault(
    NAME.test(type) ? type : 'SoapFault', sentenceOf(type, text), detail)
}

/** A `LocalizedMethodFault`, as tasks and missing properties carry it. */
export function localizedFault(element: XmlElement | undefined): VimFault {
  const fault = childOf(element, 'fault')
  const type = typeOf(fault)
  const text = childAt(element, 'localizedMessage')?.text.trim() ?? ''
  return new VimFault(NAME.test(type) ? type : 'SoapFault', sentenceOf(type, text), fault)
}

function sentenceOf(type: string, text: string): string {
  const shown = printable(text, 300)
  return shown === '' || shown === type ? `the server says: ${printable(type, 64) || 'a fault'}`
    : `the server says: ${shown} (${printable(type, 64)})`
}

/** Reads a reference. Fault: `platform-protocol`, naming `what`. */
export function morefOf(element: XmlElement | undefined, what: string): Moref {
  const type = element?.attributes.get('type') ?? ''
  const id = element?.text ?? ''
  if (NAME.test(type) && id !== '' && id.length <= 256) return { type, id }
  throw new Fault('platform-protocol', `${what} is no reference to an object of vSphere`)
}
