/** What a client says in TDS 7.4: PRELOGIN, LOGIN7, SQLBatch (MS-TDS 2.2.6). */

import { Fault } from '../../base/fault.ts'

/** `ENCRYPT_ON`: all is encrypted, not the login alone (MS-TDS 2.2.6.5). */
const ENCRYPT_ON = 1
const OPTION = { version: 0, encryption: 1, instance: 2, thread: 3, mars: 4, end: 0xff } as const

/** Asks for encryption of the whole session. */
export function prelogin(): Uint8Array {
  const options: readonly (readonly [number, readonly number[]])[] = [
    [OPTION.version, [0, 0, 0, 0, 0, 0]],
    [OPTION.encryption, [ENCRYPT_ON]],
    [OPTION.instance, [0]],
    [OPTION.thread, [0, 0, 0, 0]],
    [OPTION.mars, [0]],
  ]
  const table = Buffer.alloc(options.length * 5 + 1, OPTION.end)
  let offset = table.length
  for (const [index, [option, value]] of options.entries()) {
    table.writeUInt8(option, index * 5)
    table.writeUInt16BE(offset, index * 5 + 1)
    table.writeUInt16BE(value.length, index * 5 + 3)
    offset += value.length
  }
  return Buffer.concat([table, ...options.map(([, value]) => Buffer.from(value))])
}

/** Whether the server's answer agrees to encrypt all. Fault: `writer-failed`. */
export function agreesToEncrypt(answer: Uint8Array): boolean {
  const view = Buffer.from(answer)
  for (let at = 0; view[at] !== OPTION.end; at += 5) {
    if (at + 5 > view.length) throw new Fault('writer-failed', 'its greeting is no TDS')
    if (view[at] !== OPTION.encryption) continue
    const value = view[view.readUInt16BE(at + 1)]
    return value === ENCRYPT_ON || value === 3 // ENCRYPT_REQ
  }
  return false
}

export interface Login {
  readonly user: string
  readonly password: string
  /** What `program_name` of `sys.dm_exec_sessions` will say of the session. */
  readonly program: string
}

const TDS_7_4 = 0x74000004
const FIXED_BYTES = 94

/** LOGIN7 (MS-TDS 2.2.6.4), SQL Server authentication. */
export function login7({ user, password, program }: Login): Uint8Array {
  const fixed = Buffer.alloc(FIXED_BYTES)
  fixed.writeUInt32LE(TDS_7_4, 4)
  fixed.writeUInt32LE(4096, 8) // packets
  fixed.writeUInt8(0xe0, 24) // fSetLang, fDatabase, fUseDB: to fail rather than go on without
  fixed.writeUInt8(0x03, 25) // fODBC: ANSI settings; fLanguage
  const texts: Uint8Array[] = []
  let end = FIXED_BYTES
  // Host, user, password, program, server, unused, library, language, database.
  for (const [index, text] of ['', user, password, program, '', '', '', '', ''].entries()) {
    const bytes = Buffer.from(text, 'utf16le')
    fixed.writeUInt16LE(end, 36 + 4 * index)
    fixed.writeUInt16LE(text.length, 38 + 4 * index)
    texts.push(index === 2 ? disguised(bytes) : bytes)
    end += bytes.length
  }
  for (const at of [78, 82, 86]) fixed.writeUInt16LE(end, at) // SSPI, file, new password: empty
  fixed.writeUInt32LE(end, 0)
  return Buffer.concat([fixed, ...texts])
}

/** As the protocol wants a password, which hides it from nobody: the encryption does that. */
function disguised(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => ((byte << 4 | byte >> 4) & 0xff) ^ 0xa5)
}

/** One SQL batch, outside any transaction (MS-TDS 2.2.6.7, and 2.2.5.3 for its headers). */
export function sqlBatch(sql: string): Uint8Array {
  const headers = Buffer.alloc(22)
  headers.writeUInt32LE(22, 0)
  headers.writeUInt32LE(18, 4)
  headers.writeUInt16LE(2, 8) // transaction descriptor: none
  headers.writeUInt32LE(1, 18) // outstanding requests
  return Buffer.concat([headers, Buffer.from(sql, 'utf16le')])
}
