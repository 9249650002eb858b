/**
 * Properties of managed objects, through the property collector.
 *
 * What could not be read stands in `missingSet`: NotAuthenticated there means that the session is
 * gone (the answer is otherwise an empty success), NoPermission that the account may not look.
 */

import { Fault } from '../../../base/fault.ts'
import type { VimClient } from './client.ts'
import { faultFrom } from './faults.ts'
import {
  localizedFault, morefElement, morefOf, textElement, type Moref, type VimFault,
} from './soap.ts'
import { childOf, childrenOf, textAt, type XmlElement } from '../../../base/xml.ts'

export interface ObjectProperties {
  readonly ref: Moref
  /** By path, the `val` element; a property that is unset or may not be read is absent. */
  readonly values: ReadonlyMap<string, XmlElement>
  /** By path, why a property could not be read. */
  readonly missing: ReadonlyMap<string, VimFault>
}

/** In one answer, of servers that page. */
const PAGE_OBJECTS = 250
/** More objects than any vCenter holds: a server that pages for ever is stopped. */
const MAX_PAGES = 1_000

/** Of one object. Faults: `machine-lost` if it is gone, and as `VimClient.call`. */
export async function propertiesOf(
  client: VimClient, ref: Moref, paths: readonly string[], signal: AbortSignal,
): Promise<ObjectProperties> {
  const [found] = await retrieve(client, () => Promise.resolve(filterSpec(ref.type, paths,
    morefElement('obj', ref) + textElement('skip', false))), signal)
  if (found !== undefined) return found
  throw new Fault('machine-lost', `vSphere no longer knows ${ref.type} ${ref.id}`)
}

/** Of all objects of `type` below `root`, in no particular order. */
export async function allProperties(
  client: VimClient, root: Moref, type: string, paths: readonly string[], signal: AbortSignal,
): Promise<readonly ObjectProperties[]> {
  // A view belongs to its session, so it is made anew with it.
  return retrieve(client, async () => {
    const answer = await client.port.send('CreateContainerView', client.services.viewManager,
      morefElement('container', root) + textElement('type', type) +
      textElement('recursive', true), { changes: true }, signal)
    const view = morefOf(childOf(answer, 'returnval'), 'the view of the inventory')
    return filterSpec(type, paths, morefElement('obj', view) + textElement('skip', true) +
      '<selectSet xsi:type="TraversalSpec"><name>v</name><type>ContainerView</type>' +
      '<path>view</path><skip>false</skip></selectSet>')
  }, signal)
}

function filterSpec(type: string, paths: readonly string[], object: string): string {
  return `<specSet><propSet>${textElement('type', type)}` +
    `${paths.map((path) => textElement('pathSet', path)).join('')}</propSet>` +
    `<objectSet>${object}</objectSet></specSet>`
}

async function retrieve(
  client: VimClient, spec: () => Promise<string>, signal: AbortSignal,
): Promise<readonly ObjectProperties[]> {
  try {
    return await client.inSession(async () => pages(client, await spec(), signal), signal)
  } catch (error) {
    throw faultFrom(error, 'to tell properties')
  }
}

async function pages(
  client: VimClient, spec: string, signal: AbortSignal): Promise<readonly ObjectProperties[]> {
  const collector = client.services.propertyCollector
  const found: ObjectProperties[] = []
  let answer = await client.port.send('RetrievePropertiesEx', collector,
    `${spec}<options>${textElement('maxObjects', PAGE_OBJECTS)}</options>`, {}, signal)
  for (let page = 0; page < MAX_PAGES; page++) {
    const result = childOf(answer, 'returnval')
    found.push(...childrenOf(result, 'objects').map(objectOf))
    const token = textAt(result, 'token')
    if (token === undefined || token === '') return found
    answer = await client.port.send('ContinueRetrievePropertiesEx', collector,
      textElement('token', token), {}, signal)
  }
  throw new Fault('platform-protocol', 'the inventory of the server never ends')
}

function objectOf(element: XmlElement): ObjectProperties {
  const missing = new Map(childrenOf(element, 'missingSet').map((it) =>
    [textAt(it, 'path') ?? '', localizedFault(childOf(it, 'fault'))]))
  for (const fault of missing.values()) {
    if (fault.type === 'NotAuthenticated') throw fault
  }
  return {
    ref: morefOf(childOf(element, 'obj'), 'an object of the inventory'),
    values: new Map(childrenOf(element, 'propSet').flatMap((it) => {
      const value = childOf(it, 'val')
      return value === undefined ? [] : [[textAt(it, 'name') ?? '', value]]
    })),
    missing,
  }
}
