/** An inventory of vcsim as files, as `govc object.save` makes them: to be changed and loaded. */

import { cp, mkdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { Secret } from '../../base/secret.ts'
import { VimClient } from '../vsphere/vim/client.ts'
import { HttpsClient } from '../vsphere/vim/https.ts'
import {
  envelope, morefElement, SOAP_ACTION, textElement, type Moref,
} from '../vsphere/vim/soap.ts'
import { Vcsim } from './vcsim.ts'

const { signal } = new AbortController()
const SERVICE: Moref = { type: 'ServiceInstance', id: 'ServiceInstance' }
/** All kinds of the default inventory; parents before children, as they are loaded. */
const TYPES = ['Folder', 'Datacenter', 'ComputeResource', 'ClusterComputeResource', 'HostSystem',
  'ResourcePool', 'Datastore', 'Network', 'DistributedVirtualSwitch', 'DistributedVirtualPortgroup',
  'VirtualMachine']

/** What becomes of an object's XML; `name` is the object's own. */
export type EditObject = (type: string, name: string, xml: string) => string

/**
 * Writes vcsim's default inventory, all disks of 1 MiB, changed by `edit`, to `folder/inventory`,
 * and its datastores to `folder`. Resolves with the flags that load it.
 */
export async function editedInventory(
  folder: string, edit: EditObject): Promise<readonly string[]> {
  const target = join(folder, 'inventory')
  await mkdir(target)
  await using sim = await Vcsim.start()
  using http = new HttpsClient(new URL(sim.url), await sim.fingerprint())
  await using client = await VimClient.connect({ http, clock: systemClock, log: silentLog,
    account: { user: 'u', password: new Secret('p') } }, signal)
  const objects: string[] = []
  for (const ref of [SERVICE, ...await servicesOf(client)]) {
    objects.push(...await objectsOf(client, ref.type, morefElement('obj', ref)))
  }
  for (const type of TYPES) {
    // A kind that is a kind of another one is in that one's list too.
    for (const object of await objectsOf(client, type, await viewOf(client, type))) {
      if (!objects.includes(object)) objects.push(object)
    }
  }
  // A datastore's files must outlive the vcsim that made them; its folder is in its id too.
  const stores = new Set(objects.flatMap((object) =>
    /<url>(\/[^<]*govcsim-[^<]*)<\/url>/.exec(object)?.[1] ?? []))
  for (const path of stores) await cp(path, join(folder, basename(path)), { recursive: true })
  for (const [at, object] of objects.entries()) {
    const type = /^<obj type="(\w+)">/.exec(object)?.[1] ?? ''
    const name = /<propSet><name>name<\/name><val[^>]*>([^<]*)</.exec(object)?.[1] ?? ''
    const own = [...stores].reduce((xml, path) =>
      xml.replaceAll(path, join(folder, basename(path))), object)
      // vcsims differ in how large they make disks, and whether they say so in bytes too.
      .replaceAll(/<capacityInBytes>\d+<\/capacityInBytes>/g, '')
      .replaceAll(/<capacityInKB>\d+</g, '<capacityInKB>1024<')
    await writeFile(join(target, `${String(at).padStart(4, '0')}-${type}.xml`),
      `<ObjectContent xmlns="urn:vim25">${edit(type, name, own)}</ObjectContent>`)
  }
  return ['-load', target]
}

/** The root folder and all managers: what the server's content names. */
async function servicesOf(client: VimClient): Promise<readonly Moref[]> {
  const answer = await rawCall(client, 'RetrieveServiceContent', SERVICE, '')
  return [...answer.matchAll(/<(\w+) type="(\w+)">([^<]+)<\/\1>/g)]
    .map(([, , type = '', id = '']) => ({ type, id }))
}

async function viewOf(client: VimClient, type: string): Promise<string> {
  const answer = await rawCall(client, 'CreateContainerView', client.services.viewManager,
    morefElement('container', client.services.rootFolder) + textElement('type', type) +
    textElement('recursive', true))
  const id = /<returnval type="ContainerView">([^<]+)</.exec(answer)?.[1] ?? ''
  return `${morefElement('obj', { type: 'ContainerView', id })}<skip>true</skip>` +
    '<selectSet xsi:type="TraversalSpec"><name>v</name><type>ContainerView</type>' +
    '<path>view</path><skip>false</skip></selectSet>'
}

async function objectsOf(
  client: VimClient, type: string, object: string): Promise<readonly string[]> {
  const answer = await rawCall(client, 'RetrievePropertiesEx', client.services.propertyCollector,
    `<specSet><propSet>${textElement('type', type)}<all>true</all></propSet>` +
    `<objectSet>${object}</objectSet></specSet><options></options>`)
  return [...answer.matchAll(/<objects>(.*?)<\/objects>(?=<objects>|<\/returnval>)/gs)]
    .map(([, content = '']) => content)
}

/** The answer as it came: what is loaded has to be just that. */
async function rawCall(
  { port }: VimClient, method: string, self: Moref, args: string): Promise<string> {
  const answer = await port.http.call({
    method: 'POST', path: '/sdk', body: envelope(method, self, args),
    headers: { 'content-type': 'text/xml', 'soapaction': SOAP_ACTION, ...port.cookieHeader },
  }, signal)
  const chunks: Buffer[] = []
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}
