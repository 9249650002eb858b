/** Where in vSphere a machine is made: the one place there is, or the one that was named. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { datacenterOf } from './datastore.ts'
import type { VimClient } from './vim/client.ts'
import { allProperties, propertiesOf } from './vim/properties.ts'
import { morefOf, type Moref } from './vim/soap.ts'
import { childOf, childrenOf } from '../../base/xml.ts'

export interface PlaceNames {
  readonly datastore?: string
  /** A cluster, or a host that is in none. */
  readonly cluster?: string
}

export interface Place {
  readonly datastore: string
  /** The inventory path of its datacenter. */
  readonly datacenter: string
  /** The folder for machines of the datacenter. */
  readonly folder: Moref
  readonly pool: Moref
}

interface Named {
  readonly name: string
  readonly ref: Moref
}

/** Faults: `usage` where several fit, `not-found` where none does. */
export async function findPlace(
  client: VimClient, names: PlaceNames, signal: AbortSignal): Promise<Place> {
  const root = client.services.rootFolder
  const datastores = await allProperties(client, root, 'Datastore', ['name', 'host'], signal)
  const nameOf = (it: { values: ReadonlyMap<string, { readonly text: string }> }): string =>
    it.values.get('name')?.text ?? ''
  const datastore = choose('datastore',
    datastores.map((it) => ({ name: nameOf(it), ref: it.ref })), names.datastore)
  const mounts = datastores.find(({ ref }) => ref.id === datastore.ref.id)?.values.get('host')
  const hosts = new Set(childrenOf(mounts, 'DatastoreHostMount')
    .map((mount) => morefOf(childOf(mount, 'key'), 'a host').id))
  const computes = await allProperties(
    client, root, 'ComputeResource', ['name', 'host', 'resourcePool'], signal)
  const reaching = computes.filter(({ values }) =>
    childrenOf(values.get('host'), 'ManagedObjectReference').some((host) => hosts.has(host.text)))
  const compute = choose('cluster',
    reaching.map((it) => ({ name: nameOf(it), ref: it.ref })), names.cluster)
  const pool = reaching.find(({ ref }) => ref.id === compute.ref.id)?.values.get('resourcePool')
  const datacenter = await datacenterOf(client, datastore.ref, signal)
  const { values } = await propertiesOf(client, datacenter.ref, ['vmFolder'], signal)
  return {
    datastore: datastore.name, datacenter: datacenter.path,
    folder: morefOf(values.get('vmFolder'), 'the folder for machines'),
    pool: morefOf(pool, 'the resource pool'),
  }
}

function choose(
  what: 'datastore' | 'cluster', all: readonly Named[], wanted: string | undefined): Named {
  const fitting = wanted === undefined ? all : all.filter(({ name }) => name === wanted)
  const [only, ...others] = fitting
  if (only !== undefined && others.length === 0) return only
  const known = all.slice(0, 20).map(({ name }) => printable(name, 64)).join(', ') || 'none'
  if (only === undefined) {
    const name = printable(wanted ?? '', 64)
    throw new Fault('not-found', `there is no ${what} ${name} to restore to`, {
      advice: `There is: ${known}.` })
  }
  throw new Fault('usage', `it is not said which ${what} to restore to`, {
    advice: `Name one (${what}): ${known}.` })
}
