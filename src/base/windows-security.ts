/**
 * Security descriptors of files on Windows, through koffi (winbase.h, aclapi.h, sddl.h). Node sees
 * no owner and no access list there, and makes files open to whoever the folder is open to.
 */

import { othersIn, type Others } from './access-list.ts'
import { Fault } from './fault.ts'
import { printable } from './text.ts'

const FILE_OBJECT = 1
const OWNER_AND_LIST = 0x1 | 0x4
const LIST_PROTECTED = 0x4 | 0x8000_0000
const REVISION = 1
const TOKEN_QUERY = 8
const TOKEN_USER = 1
const ALREADY_EXISTS = 183
const MAX_TOKEN_BYTES = 1024

/** All of it for SYSTEM and the Administrators, inherited; the account itself is added. */
const CLOSED = 'D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)'

export interface WindowsSecurity {
  /** Fault: `io-error`. */
  othersOf(path: string): Others
  /** Makes the folder; its parent must be there. One that is there stays as it is. */
  makeClosedFolder(path: string): void
  /** Takes all rights of others to the file away. Fault: `io-error`. */
  close(path: string): void
}

let known: Promise<WindowsSecurity> | undefined

/** Fault: `unsupported` where koffi cannot be loaded. */
export function windowsSecurity(): Promise<WindowsSecurity> {
  known ??= load().catch((cause: unknown) => {
    throw new Fault('unsupported', 'who may use files cannot be seen: koffi cannot be loaded', {
      cause, advice: 'Install the program again with npm, on this system: npm ci.' })
  })
  return known
}

async function load(): Promise<WindowsSecurity> {
  const calls = declare(await import('koffi'))
  const own = ownSid(calls)
  const closed = `${CLOSED}(A;OICI;FA;;;${own})`
  // SDDL has short names for some accounts.
  const shown = withDescriptor(calls, `O:${own}D:`, (descriptor) => sddlOf(calls, descriptor))
    .replace(/^O:/, '').replace(/D:.*$/, '')
  const failed = (path: string, what: string, code: number): Fault =>
    new Fault('io-error', `${printable(path, 300)} cannot be ${what} (error ${code})`, {
      advice: 'Run it from an elevated shell.' })
  return {
    othersOf: (path) => othersIn(calls.given((out) => {
      const code = calls.getSecurity(
        path, FILE_OBJECT, OWNER_AND_LIST, null, null, null, null, out)
      if (code !== 0) throw failed(path, 'seen by whom it may be used', code)
      return 1
    }, (descriptor) => sddlOf(calls, descriptor)), shown),
    makeClosedFolder: (path) => withDescriptor(calls, closed, (descriptor) => {
      const code = calls.createDirectory(path, descriptor)
      if (code !== 0 && code !== ALREADY_EXISTS) throw failed(path, 'made', code)
    }),
    close: (path) => withDescriptor(calls, closed, (descriptor) => {
      const isSet = calls.setSecurity(path, LIST_PROTECTED, descriptor) !== 0
      if (!isSet) throw failed(path, 'closed to others', calls.lastError())
    }),
  }
}

type Call = (...args: readonly unknown[]) => number

interface Calls {
  readonly getSecurity: Call
  readonly setSecurity: Call
  readonly toText: Call
  readonly fromText: Call
  readonly sidToText: Call
  readonly openToken: Call
  readonly tokenInformation: Call
  readonly closeHandle: Call
  readonly lastError: Call
  readonly currentProcess: () => unknown
  /** Of Windows; 0 where it was made. */
  readonly createDirectory: (path: string, descriptor: unknown) => number
  /** What Windows puts into `out`, where `fill` is not 0; freed once `use` has it. */
  given<T>(fill: (out: unknown[]) => number, use: (memory: unknown) => T): T
  readonly textAt: (memory: unknown) => string
  readonly pointerAt: (memory: unknown) => unknown
}

function declare(koffi: typeof import('koffi')): Calls {
  const advapi = koffi.load('advapi32.dll')
  const kernel = koffi.load('kernel32.dll')
  const ATTRIBUTES = koffi.struct('SECURITY_ATTRIBUTES', {
    nLength: 'uint32', lpSecurityDescriptor: 'void *', bInheritHandle: 'int' })
  const call = (library: typeof kernel, text: string): Call => {
    const native = library.func(text)
    return (...args) => Number(native(...args))
  }
  const free = call(kernel, 'uint64 __stdcall LocalFree(void *memory)')
  const lastError = call(kernel, 'uint32 __stdcall GetLastError()')
  const current = kernel.func('void * __stdcall GetCurrentProcess()')
  const create = call(kernel,
    'int __stdcall CreateDirectoryW(str16 path, SECURITY_ATTRIBUTES *attributes)')
  return {
    ...declareSecurity((text) => call(advapi, text)),
    closeHandle: call(kernel, 'int __stdcall CloseHandle(void *handle)'),
    lastError,
    currentProcess: (): unknown => current(),
    createDirectory: (path, descriptor) => create(path, {
      nLength: koffi.sizeof(ATTRIBUTES), lpSecurityDescriptor: descriptor, bInheritHandle: 0,
    }) === 0 ? lastError() : 0,
    given: (fill, use) => {
      const out: unknown[] = [null]
      if (fill(out) === 0) {
        throw new Fault('io-error', `Windows refuses it with error ${lastError()}`)
      }
      try {
        return use(out[0])
      } finally {
        free(out[0])
      }
    },
    textAt: (memory) => String(koffi.decode(memory, 'char16_t', -1)),
    pointerAt: (memory): unknown => koffi.decode(memory, 'void *'),
  }
}

function declareSecurity(call: (text: string) => Call): Pick<Calls,
  'getSecurity' | 'setSecurity' | 'toText' | 'fromText' | 'sidToText' | 'openToken' |
  'tokenInformation'> {
  return {
    getSecurity: call('uint32 __stdcall GetNamedSecurityInfoW(str16 name, int type, ' +
      'uint32 what, void *owner, void *group, void *dacl, void *sacl, _Out_ void **descriptor)'),
    setSecurity: call('int __stdcall SetFileSecurityW(str16 name, uint32 what, void *sd)'),
    toText: call('int __stdcall ConvertSecurityDescriptorToStringSecurityDescriptorW(' +
      'void *sd, uint32 revision, uint32 what, _Out_ void **text, void *length)'),
    fromText: call('int __stdcall ConvertStringSecurityDescriptorToSecurityDescriptorW(' +
      'str16 text, uint32 revision, _Out_ void **sd, void *size)'),
    sidToText: call('int __stdcall ConvertSidToStringSidW(void *sid, _Out_ void **text)'),
    openToken: call(
      'int __stdcall OpenProcessToken(void *process, uint32 access, _Out_ void **token)'),
    tokenInformation: call('int __stdcall GetTokenInformation(void *token, int what, ' +
      'void *into, uint32 bytes, _Out_ uint32 *length)'),
  }
}

function sddlOf(calls: Calls, descriptor: unknown): string {
  return calls.given(
    (out) => calls.toText(descriptor, REVISION, OWNER_AND_LIST, out, null), calls.textAt)
}

function withDescriptor<T>(calls: Calls, sddl: string, use: (descriptor: unknown) => T): T {
  return calls.given((out) => calls.fromText(sddl, REVISION, out, null), use)
}

/** Of the account that this process runs as. */
function ownSid(calls: Calls): string {
  const refused = (): Fault =>
    new Fault('io-error', `Windows does not say who runs this (error ${calls.lastError()})`)
  const token: unknown[] = [null]
  if (calls.openToken(calls.currentProcess(), TOKEN_QUERY, token) === 0) throw refused()
  try {
    // TOKEN_USER begins with the address of the SID, which lies behind it.
    const user = Buffer.alloc(MAX_TOKEN_BYTES)
    if (calls.tokenInformation(token[0], TOKEN_USER, user, user.length, [0]) === 0) throw refused()
    return calls.given((out) => calls.sidToText(calls.pointerAt(user), out), calls.textAt)
  } finally {
    calls.closeHandle(token[0])
  }
}
