/** Values in the XML of vim25, and how much of it is taken. */

import { Fault } from '../../../base/fault.ts'
import { printable } from '../../../base/text.ts'
import type { XmlElement, XmlLimits } from '../../../base/xml.ts'

/** An inventory of a thousand machines has 10 MB and 200,000 elements. */
export const SOAP_LIMITS: XmlLimits = {
  maxBytes: 32 * 1024 * 1024, maxDepth: 64, maxNodes: 1_000_000,
}

const XSI = 'http://www.w3.org/2001/XMLSchema-instance'

/** A whole number of bytes, keys or counts. Fault: `platform-protocol`. */
export function numberOf(text: string | undefined, what: string): number {
  const value = text === undefined || !/^-?\d{1,19}$/.test(text) ? NaN : Number(text)
  if (Number.isSafeInteger(value)) return value
  throw new Fault('platform-protocol',
    `${what} is no number that can be right: ${printable(text ?? 'nothing', 40)}`)
}

/**
 * `xsi:type` without its prefix; empty where there is none. Another `type` may stand beside it,
 * and the prefix of this one differs between servers.
 */
export function typeOf(element: XmlElement | undefined): string {
  const stated = element?.attributes.get(`{${XSI}}type`) ?? ''
  return stated.slice(stated.indexOf(':') + 1)
}
