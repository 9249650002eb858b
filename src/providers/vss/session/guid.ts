/** GUIDs as text: lower case, without braces. */

import { Fault } from '../../../base/fault.ts'
import { printable } from '../../../base/text.ts'

const GUID = /^\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?$/i

/** A GUID with or without braces, in any case. Fault: `platform-protocol`, naming `what`. */
export function parseGuid(text: string | undefined, what: string): string {
  const [, guid] = GUID.exec(text ?? '') ?? []
  if (guid !== undefined) return guid.toLowerCase()
  throw new Fault('platform-protocol',
    `${what} has no GUID where one must be: ${printable(text ?? 'nothing', 60)}`)
}
