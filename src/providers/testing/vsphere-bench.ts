/** One machine of vcsim with disks of known content, and what tests stage there. */

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock, type Clock } from '../../base/clock.ts'
import { silentLog, type Log } from '../../base/log.ts'
import { systemRandom } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'
import type { Platform } from '../../catalog/mod.ts'
import { openVspherePlatform } from '../vsphere/platform.ts'
import type { VimMachine } from '../vsphere/machine.ts'
import type { VsphereOptions } from '../vsphere/options.ts'
import { readMachine } from '../vsphere/snapshots.ts'
import { VimClient } from '../vsphere/vim/client.ts'
import { HttpsClient } from '../vsphere/vim/https.ts'
import { allProperties, propertiesOf } from '../vsphere/vim/properties.ts'
import {
  isVimFault, morefElement, morefOf, textElement, type Moref,
} from '../vsphere/vim/soap.ts'
import { taskResult } from '../vsphere/vim/tasks.ts'
import { childOf } from '../../base/xml.ts'
import { serverCertificate } from './certificates.ts'
import { SoapFront, type FrontHandler } from './soap-front.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { Vcsim } from './vcsim.ts'

const MACHINE = 'DC0_H0_VM0'
const DATASTORE = 'LocalDS_0'
/** Of the machine's only disk at first; vcsims differ in what they give it. */
const DISK_BYTES = 2 ** 20
const { signal } = new AbortController()

export class VsphereBench implements AsyncDisposable {
  readonly machine = MACHINE
  /** For `openVspherePlatform`: vcsim itself, or the front before it. */
  readonly options: VsphereOptions
  readonly folder: string
  /** Of the tests' own, straight to vcsim. */
  readonly client: VimClient
  readonly ref: Moref
  readonly front: SoapFront | undefined
  /** Where vcsim keeps the files of the datastore. */
  readonly datastoreDir: string
  readonly #resources: AsyncDisposableStack

  private constructor(
    parts: Pick<VsphereBench, 'options' | 'folder' | 'client' | 'ref' | 'front' | 'datastoreDir'>,
    resources: AsyncDisposableStack) {
    this.options = parts.options
    this.folder = parts.folder
    this.client = parts.client
    this.ref = parts.ref
    this.front = parts.front
    this.datastoreDir = parts.datastoreDir
    this.#resources = resources
  }

  /** With a `handler`, a front of ours stands before vcsim. `flags` are vcsim's. */
  static async start(handler?: FrontHandler, ...flags: readonly string[]): Promise<VsphereBench> {
    await using stack = new AsyncDisposableStack()
    const folder = stack.use(await temporaryFolder()).path
    const passwordFile = join(folder, 'password')
    await writeFile(passwordFile, 'secret\n')
    const sim = stack.use(await Vcsim.start(...flags))
    const fingerprint = await sim.fingerprint()
    const front = handler === undefined ? undefined
      : stack.use(await SoapFront.start(serverCertificate(folder), handler, sim.url))
    const http = stack.use(new HttpsClient(new URL(sim.url), fingerprint))
    const account = { user: 'u', password: new Secret('secret') }
    const client = stack.use(await VimClient.connect(
      { http, account, clock: systemClock, log: silentLog }, signal))
    const find = async (type: string, name: string): Promise<Moref> => {
      const all = await allProperties(client, client.services.rootFolder, type, ['name'], signal)
      const found = all.find(({ values }) => values.get('name')?.text === name)
      if (found === undefined) throw new Error(`vcsim has no ${type} ${name}`)
      return found.ref
    }
    const datastore = await propertiesOf(
      client, await find('Datastore', DATASTORE), ['info'], signal)
    const bench = new VsphereBench({
      options: {
        url: front?.url ?? sim.url, user: 'u', passwordFile, stateDir: join(folder, 'state'),
        fingerprint: front?.fingerprint ?? fingerprint },
      folder, client, front,
      ref: await find('VirtualMachine', MACHINE),
      datastoreDir: childOf(datastore.values.get('info'), 'url')?.text ?? '',
    }, stack.move())
    // What is loaded says itself how large its disks are.
    if (!flags.includes('-load')) await bench.changeDisk(DISK_BYTES)
    return bench
  }

  /** Dispose it. */
  open(log: Log = silentLog, clock: Clock = systemClock): Promise<Platform> {
    return openVspherePlatform(this.options, { clock, random: systemRandom, log }, signal)
  }

  /** Puts a file beside those of the machine. */
  async put(name: string, bytes: Uint8Array): Promise<void> {
    const folder = join(this.datastoreDir, MACHINE)
    await mkdir(folder, { recursive: true }) // newer vcsims load a datastore as an empty folder
    await writeFile(join(folder, name), bytes)
  }

  /** Gives the machine's only disk its content. */
  async fillDisk(bytes: Uint8Array): Promise<void> {
    await this.put('disk1-flat.vmdk', bytes)
  }

  /**
   * Says that the only disk has another size, or lies otherwise: `backing` is XML. It is taken out
   * and put in anew, since no server makes a disk smaller.
   */
  async changeDisk(sizeBytes: number, backing = '<diskMode>persistent</diskMode>'): Promise<void> {
    const [disk] = (await this.read()).disks
    const device = (how: string, rest: string): string => '<deviceChange>' +
      `<operation>${how}</operation><device xsi:type="VirtualDisk">` +
      `${textElement('key', disk?.key)}${rest}</device></deviceChange>`
    await this.task('ReconfigVM_Task', this.ref, `<spec>${device('remove', '')}${device('add',
      '<deviceInfo xsi:type="Description"><label>Hard disk 1</label><summary>x</summary>' +
      '</deviceInfo><backing xsi:type="VirtualDiskFlatVer2BackingInfo">' +
      `${textElement('fileName', disk?.backing.fileName)}${backing}</backing>` +
      '<controllerKey>202</controllerKey><unitNumber>0</unitNumber>' +
      textElement('capacityInKB', sizeBytes / 1024))}</spec>`)
  }

  /** What vcsim keeps of the first disk of the machine of that name. */
  async diskOf(name: string): Promise<Buffer> {
    return readFile(await this.fileOfDisk(name))
  }

  /** Where it keeps it. */
  async fileOfDisk(name: string): Promise<string> {
    const ref: Moref = { type: 'VirtualMachine', id: await this.idOf(name) }
    const [disk] = (await readMachine(this.client, ref, signal)).disks
    const file = disk?.backing.fileName.replace(/^\[.*\] /, '') ?? ''
    return join(this.datastoreDir, file.replace(/\.vmdk$/, '-flat.vmdk'))
  }

  /** vcsim's own id of the machine of that name. */
  async idOf(name: string): Promise<string> {
    const found = (await this.#machines()).find(({ values }) => values.get('name')?.text === name)
    if (found === undefined) throw new Error(`there is no machine ${name}`)
    return found.ref.id
  }

  /** Of all machines. */
  async names(): Promise<readonly string[]> {
    return (await this.#machines()).map(({ values }) => values.get('name')?.text ?? '')
  }

  #machines(): ReturnType<typeof allProperties> {
    return allProperties(
      this.client, this.client.services.rootFolder, 'VirtualMachine', ['name'], signal)
  }

  /** As vSphere would have it now. */
  read(): Promise<VimMachine> {
    return readMachine(this.client, this.ref, signal)
  }

  /** Sets properties of the machine in vcsim's own way: to texts, or to what `<value>` says. */
  async stage(properties: Readonly<Record<string, string>>): Promise<void> {
    const options = Object.entries(properties).map(([key, value]) =>
      `<extraConfig xsi:type="OptionValue">${textElement('key', `SET.${key}`)}${
        value.startsWith('<') ? value : `<value xsi:type="xsd:string">${value}</value>`
      }</extraConfig>`)
    await this.task('ReconfigVM_Task', this.ref, `<spec>${options.join('')}</spec>`)
  }

  /** Says of the machine's newest snapshot that it has a manifest of that name. */
  async stageManifest(name: string): Promise<void> {
    const newest = (await this.read()).snapshots.at(-1)
    if (newest === undefined) throw new Error('there is no snapshot')
    await this.stage({ 'snapshot.rootSnapshotList':
      '<value xsi:type="ArrayOfVirtualMachineSnapshotTree"><VirtualMachineSnapshotTree>' +
      morefElement('snapshot', newest.ref) + morefElement('vm', this.ref) +
      textElement('name', newest.name) + textElement('description', newest.description) +
      '<createTime>2026-01-01T00:00:00Z</createTime><state>poweredOn</state>' +
      `<quiesced>${newest.quiesced}</quiesced>${textElement('backupManifest', name)}` +
      '</VirtualMachineSnapshotTree></value>' })
  }

  /** A snapshot of a user's own. */
  snapshot(name: string, description = ''): Promise<void> {
    return this.task('CreateSnapshot_Task', this.ref, textElement('name', name) +
      textElement('description', description) + '<memory>false</memory><quiesce>false</quiesce>')
  }

  /** The method by which this vcsim's machines get a snapshot: it is tried on another machine. */
  async snapshotMethod(): Promise<'CreateSnapshotEx_Task' | 'CreateSnapshot_Task'> {
    const other: Moref = { type: 'VirtualMachine', id: await this.idOf('DC0_H0_VM1') }
    try {
      await this.client.callRaw('CreateSnapshotEx_Task', other,
        '<name>to try</name><memory>false</memory>', { changes: true }, signal)
      return 'CreateSnapshotEx_Task'
    } catch (error) {
      if (isVimFault(error, 'MethodNotFound', 'InvalidRequest')) return 'CreateSnapshot_Task'
      throw error
    }
  }

  /** Runs a task of vcsim to its end. */
  async task(method: string, self: Moref, args: string): Promise<void> {
    const answer = await this.client.call(method, self, args, { changes: true }, signal)
    await taskResult(this.client, morefOf(childOf(answer, 'returnval'), method),
      { doing: method, limitMs: 60_000 }, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]()
  }
}
