/**
 * What components in the backup components document say of their own failure: GetWriterComponents
 * of IVssBackupComponents, IVssWriterComponentsExt, IVssComponent and its two successors.
 *
 * Places in the vtables: vsbackup.h and vswriter.h of mingw-w64. IVssWriterComponentsExt has two:
 * its own three methods first, and IUnknown as a second base.
 */

import { Fault } from '../../../base/fault.ts'
import { E_NOINTERFACE, isVssFault, S_OK } from '../session/hresult.ts'
import { MAX_MESSAGE_UNITS } from '../session/transport.ts'
import {
  ADDRESS_BYTES, addressFrom, invoke, method, objectFrom, release, type Address, type Method,
  type Vss,
} from './com.ts'
import { emptyGuid, formatGuid, guidFields, type GuidFields } from './guid-fields.ts'

const BACKUP = {
  GetWriterComponentsCount: method('GetWriterComponentsCount', 3, 'outInt'),
  GetWriterComponents: method('GetWriterComponents', 4, 'int', 'outAddress'),
} as const

const WRITER = {
  GetComponentCount: method('GetComponentCount', 0, 'outInt'),
  GetWriterInfo: method('GetWriterInfo', 1, 'outGuid', 'outGuid'),
  GetComponent: method('GetComponent', 2, 'int', 'outAddress'),
} as const

const COMPONENT = {
  QueryInterface: method('QueryInterface', 0, 'guidAt', 'outAddress'),
  GetLogicalPath: method('GetLogicalPath', 3, 'outAddress'),
  GetComponentType: method('GetComponentType', 4, 'outInt'),
  GetComponentName: method('GetComponentName', 5, 'outAddress'),
} as const

/** IVssComponentEx. */
const MESSAGES = [
  method('GetPrepareForBackupFailureMsg', 43, 'outAddress'),
  method('GetPostSnapshotFailureMsg', 44, 'outAddress'),
] as const
/** IVssComponentEx2. */
const GET_FAILURE = method('GetFailure', 49, 'outInt', 'outInt', 'outAddress', 'outInt')

const COMPONENT_EX = guidFields('156c8b5e-f131-4bd7-9c97-d1923be7e1fa')
const COMPONENT_EX2 = guidFields('3b5be0f2-07a9-4e4b-bdd3-cfdc8e2c0d2d')

export interface AddedWriterCount {
  readonly instanceId: string
  readonly count: number
}

/** A component that says that it failed. `type` is a VSS_COMPONENT_TYPE. */
export interface ComponentFailure {
  readonly type: number
  readonly logicalPath: string | null
  readonly name: string
  readonly failure: number
  readonly applicationFailure: number
  readonly messages: readonly string[]
}

/** More than any host has; a number beyond it is no count. */
const MAX_COUNT = 1_000_000
const MAX_WRITERS = 4096

export class AddedComponents {
  readonly #vss: Vss
  /** The IVssBackupComponents. */
  readonly #backup: Address

  constructor(vss: Vss, backup: Address) {
    this.#vss = vss
    this.#backup = backup
  }

  async writers(): Promise<readonly AddedWriterCount[]> {
    const count = await countFrom(this.#backup, BACKUP.GetWriterComponentsCount, MAX_WRITERS)
    const writers: AddedWriterCount[] = []
    for (let index = 0; index < count; index++) {
      writers.push(await this.#withWriter(index, async (writer) => {
        const [instance, id] = [emptyGuid(), emptyGuid()]
        await invoke(writer, WRITER.GetWriterInfo, instance, id)
        return {
          instanceId: formatGuid(instance),
          count: await countFrom(writer, WRITER.GetComponentCount, MAX_COUNT) }
      }))
    }
    return writers
  }

  /** Null where it says nothing of a failure, or is of a Windows in which it cannot. */
  failed(writerIndex: number, index: number): Promise<ComponentFailure | null> {
    return this.#withWriter(writerIndex, async (writer) => {
      const component = await objectFrom(writer, WRITER.GetComponent, index)
      try {
        const messages = await this.#as(component, COMPONENT_EX, async (it) => {
          const texts: string[] = []
          for (const of of MESSAGES) texts.push(this.#text(await addressFrom(it, of)))
          return texts
        }) ?? []
        const { failure, applicationFailure, message } =
          await this.#as(component, COMPONENT_EX2, (it) => this.#failureOf(it)) ?? NO_FAILURE
        const said = [...messages, message].filter((text) => text !== '')
        if (failure === S_OK && applicationFailure === S_OK && said.length === 0) return null
        return { ...await this.#identity(component), failure, applicationFailure, messages: said }
      } finally {
        await release(component)
      }
    })
  }

  async #failureOf(component: Address): Promise<typeof NO_FAILURE> {
    const [failure, applicationFailure] = [[0], [0]]
    const message: (Address | null)[] = [null]
    await invoke(component, GET_FAILURE, failure, applicationFailure, message, [0])
    return {
      failure: (failure[0] ?? 0) >>> 0, applicationFailure: (applicationFailure[0] ?? 0) >>> 0,
      message: this.#text(message[0] ?? null),
    }
  }

  async #identity(component: Address): Promise<Pick<
    ComponentFailure, 'type' | 'logicalPath' | 'name'>> {
    const type = [0]
    await invoke(component, COMPONENT.GetComponentType, type)
    const path = await addressFrom(component, COMPONENT.GetLogicalPath)
    return {
      type: type[0] ?? 0,
      logicalPath: path === null ? null : this.#vss.takeText(path),
      name: this.#vss.takeText(await addressFrom(component, COMPONENT.GetComponentName)),
    }
  }

  #text(bstr: Address | null): string {
    return this.#vss.takeText(bstr).slice(0, MAX_MESSAGE_UNITS)
  }

  async #withWriter<T>(index: number, act: (writer: Address) => Promise<T>): Promise<T> {
    const writer = await objectFrom(this.#backup, BACKUP.GetWriterComponents, index)
    try {
      return await act(writer)
    } finally {
      await release(writer + BigInt(ADDRESS_BYTES))
    }
  }

  /** Undefined where the object has no such interface. */
  async #as<T>(
    object: Address, id: GuidFields, act: (it: Address) => Promise<T>): Promise<T | undefined> {
    let it: Address
    try {
      it = await objectFrom(object, COMPONENT.QueryInterface, id)
    } catch (error) {
      if (isVssFault(error, E_NOINTERFACE)) return undefined
      throw error
    }
    try {
      return await act(it)
    } finally {
      await release(it)
    }
  }
}

const NO_FAILURE = { failure: S_OK, applicationFailure: S_OK, message: '' }

async function countFrom(self: Address, of: Method, max: number): Promise<number> {
  const out = [0]
  await invoke(self, of, out)
  const count = (out[0] ?? 0) >>> 0
  if (count <= max) return count
  throw new Fault('platform-protocol', `${of.name} counts ${count}`)
}
