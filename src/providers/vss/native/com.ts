/**
 * Calls into Windows' libraries through koffi: methods of COM objects by their place in the vtable.
 *
 * Every method runs on one of koffi's threads, so that a slow one holds up nothing here. Those
 * threads are in the multithreaded apartment, because the process entered it (`loadVss`).
 *
 * Sources: vsbackup.h and objbase.h as mingw-w64 ships them; Microsoft, "Security Considerations
 * for Requestors".
 */

import * as koffi from 'koffi'
import { Fault } from '../../../base/fault.ts'
import { VssFault } from '../session/hresult.ts'
import type { GuidFields } from './guid-fields.ts'
import { MAX_TEXT_UNITS } from './protocol.ts'

/** An address in this process. */
export type Address = bigint

/** VSS_SNAPSHOT_PROP: 128 bytes in a process of 64 bits. */
export interface SnapshotRecord {
  readonly snapshotId: GuidFields
  readonly setId: GuidFields
  readonly device: Address | null
  readonly originalVolume: Address | null
  readonly attributes: number
  /** FILETIME: 100 ns since 1601. */
  readonly created: number | bigint
}

const GUID = koffi.struct('GUID', {
  d1: 'uint32', d2: 'uint16', d3: 'uint16', d4: koffi.array('uint8', 8) })
const SNAPSHOT = koffi.struct('VSS_SNAPSHOT_PROP', {
  snapshotId: GUID, setId: GUID, count: 'int32', device: 'void*', originalVolume: 'void*',
  originatingMachine: 'void*', serviceMachine: 'void*', exposedName: 'void*', exposedPath: 'void*',
  providerId: GUID, attributes: 'int32', created: 'int64', status: 'int32' })

/**
 * What koffi is told of an argument. Those that begin with `out` are filled: an address and a
 * number in a list of one, a record in itself.
 */
const KINDS = {
  address: 'void*',
  /** VARIANT_BOOL's smaller cousin: `boolean` of rpcndr.h, one byte. */
  flag: 'uint8',
  int: 'int32',
  text: 'str16',
  guid: GUID,
  guidAt: koffi.pointer(GUID),
  outAddress: koffi.out(koffi.pointer('void*')),
  outInt: koffi.out(koffi.pointer('int32')),
  outGuid: koffi.out(koffi.pointer(GUID)),
  outSnapshot: koffi.out(koffi.pointer(SNAPSHOT)),
} as const
export type Kind = keyof typeof KINDS

/** A method: its name for faults, its place in the vtable, its arguments behind `this`. */
export interface Method {
  readonly name: string
  readonly slot: number
  readonly takes: readonly Kind[]
}

export function method(name: string, slot: number, ...takes: readonly Kind[]): Method {
  return { name, slot, takes }
}

type Called = (...args: readonly unknown[]) => number
type Native = Called & { readonly async: (...args: readonly unknown[]) => void }

const RELEASE_SLOT = 2
export const ADDRESS_BYTES = 8
/** What koffi gives a call by default, 128 KiB, is little for one that ends in RPC and MSXML. */
const CALL_STACK_BYTES = 1024 * 1024
const UNIT_BYTES = 2
/** Of a name, and of what says what went wrong; only the head of a longer one is taken. */
const MAX_NAME_UNITS = 4096

koffi.config({ async_stack_size: CALL_STACK_BYTES })

const prototypes = new Map<string, koffi.TypeObject>()

function prototypeOf(takes: readonly Kind[]): koffi.TypeObject {
  const key = takes.join(' ')
  const known = prototypes.get(key)
  if (known !== undefined) return known
  const made = koffi.proto('__stdcall', 'int32', ['void*', ...takes.map((kind) => KINDS[kind])])
  prototypes.set(key, made)
  return made
}

/** Calls `method` of the object at `self`; rejects with a VssFault where its HRESULT fails. */
export async function invoke(self: Address, method: Method, ...args: unknown[]): Promise<void> {
  const table = koffi.decode(self, 'void*') as Address
  const address = koffi.decode(table, method.slot * ADDRESS_BYTES, 'void*') as Address
  const native = koffi.decode(address, prototypeOf(method.takes)) as Native
  const result = await new Promise<number>((resolve, reject) => {
    native.async(self, ...args, (error: unknown, value: number) => {
      if (error instanceof Error) reject(error)
      else resolve(value)
    })
  })
  if (result < 0) throw new VssFault(method.name, result)
}

/** IUnknown::Release. */
export function release(self: Address): Promise<void> {
  return invoke(self, method('Release', RELEASE_SLOT))
}

/** The address that a method fills in as its last argument; null where it says nothing of it. */
export async function addressFrom(
  self: Address, method: Method, ...args: unknown[]): Promise<Address | null> {
  const out: (Address | null)[] = [null]
  await invoke(self, method, ...args, out)
  return out[0] ?? null
}

/** The object that a method hands over as its last argument. */
export async function objectFrom(
  self: Address, method: Method, ...args: unknown[]): Promise<Address> {
  const object = await addressFrom(self, method, ...args)
  if (object !== null) return object
  throw new Fault(
    'platform-protocol', `${method.name} handed over nothing and said nothing of it`)
}

export interface Vss {
  /** CreateVssBackupComponents: an IVssBackupComponents. */
  create(): Promise<Address>
  /** The text of a BSTR, which is freed; no more than its head where it is long. */
  takeText(bstr: Address | null): string
  /** The whole text of a BSTR in parts of at most `units`; it is freed behind the last. */
  takeParts(bstr: Address | null, units: number): Generator<string, void>
  /** What is used of a VSS_SNAPSHOT_PROP, whose texts are freed. */
  takeSnapshot(record: SnapshotRecord): { readonly device: string; readonly volume: string }
}

const MULTITHREADED = 0
/** RPC_C_AUTHN_LEVEL_PKT_PRIVACY, RPC_C_IMP_LEVEL_IMPERSONATE, EOAC_STATIC_CLOAKING. */
const PKT_PRIVACY = 6
const IMPERSONATE = 3
const STATIC_CLOAKING = 0x20

/**
 * Enters the multithreaded apartment, sets the security of the process as VSS asks it of a
 * requestor (without it no writer that runs as a service can call back), and loads vssapi.dll. Once
 * a process.
 *
 * @param systemFolder `C:\Windows\System32`: libraries are taken from nowhere else.
 */
export function loadVss(systemFolder: string): Vss {
  const ole32 = koffi.load(`${systemFolder}\\ole32.dll`)
  const oleaut32 = koffi.load(`${systemFolder}\\oleaut32.dll`)
  const enter = ole32.func('__stdcall', 'CoInitializeEx', 'int32', ['void*', 'uint32']) as Called
  const secure = ole32.func('__stdcall', 'CoInitializeSecurity', 'int32', [
    'void*', 'int32', 'void*', 'void*', 'uint32', 'uint32', 'void*', 'uint32', 'void*']) as Called
  check('CoInitializeEx', enter(null, MULTITHREADED))
  check('CoInitializeSecurity',
    secure(null, -1, null, null, PKT_PRIVACY, IMPERSONATE, null, STATIC_CLOAKING, null))
  const vssapi = koffi.load(`${systemFolder}\\vssapi.dll`)
  // The documented names are inline functions and decorated ones; these are what they call.
  const create = vssapi.func('__stdcall', 'CreateVssBackupComponentsInternal', 'int32', [
    KINDS.outAddress]) as Native
  const freeSnapshot = vssapi.func('__stdcall', 'VssFreeSnapshotPropertiesInternal', 'void', [
    koffi.pointer(SNAPSHOT)]) as Called
  return {
    create: async () => {
      const out: (Address | null)[] = [null]
      const result = await new Promise<number>((resolve, reject) => {
        create.async(out, (error: unknown, value: number) => {
          if (error instanceof Error) reject(error)
          else resolve(value)
        })
      })
      check('CreateVssBackupComponents', result)
      const made = out[0]
      if (made === null || made === undefined) {
        throw new Fault('platform-protocol', 'VSS made no object and said nothing of it')
      }
      return made
    },
    ...textsOf(oleaut32),
    takeSnapshot: (record) => {
      try {
        return { device: textAt(record.device), volume: textAt(record.originalVolume) }
      } finally {
        freeSnapshot(record)
      }
    },
  }
}

function textsOf(oleaut32: koffi.LibraryHandle): Pick<Vss, 'takeText' | 'takeParts'> {
  const length = oleaut32.func('__stdcall', 'SysStringLen', 'uint32', ['void*']) as Called
  const free = oleaut32.func('__stdcall', 'SysFreeString', 'void', ['void*']) as Called
  return {
    takeText: (bstr) => {
      if (bstr === null) return ''
      try {
        return textAt(bstr, Math.min(length(bstr), MAX_NAME_UNITS))
      } finally {
        free(bstr)
      }
    },
    *takeParts(bstr, units) {
      if (bstr === null) return
      try {
        const end = length(bstr)
        if (end > MAX_TEXT_UNITS) {
          throw new Fault('platform-protocol', `VSS handed over a text of ${end} characters`)
        }
        for (let at = 0; at < end; at += units) {
          yield textAt(bstr + BigInt(at * UNIT_BYTES), Math.min(units, end - at))
        }
      } finally {
        free(bstr)
      }
    },
  }
}

function check(name: string, result: number): void {
  if (result < 0) throw new VssFault(name, result)
}

/** UTF-16 at an address; without a length up to its zero. */
function textAt(address: Address | null, units = -1): string {
  if (address === null || units === 0) return ''
  return koffi.decode.string16(address, units)
}
