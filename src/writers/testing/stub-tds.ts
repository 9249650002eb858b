/** What the stub of SQL Server reads and writes in TDS 7.4 (MS-TDS 2.2.6, 2.2.7). */

type Rows = readonly Readonly<Record<string, string | null>>[]

const text = (value: string): Buffer => Buffer.from(value, 'utf16le')
const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}
const long = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
/** B_VARCHAR and US_VARCHAR. */
const short = (value: string): Buffer => Buffer.concat([Buffer.of(value.length), text(value)])
const longer = (value: string): Buffer => Buffer.concat([word(value.length), text(value)])
const sized = (token: number, ...body: readonly Uint8Array[]): Buffer => {
  const bytes = Buffer.concat(body)
  return Buffer.concat([Buffer.of(token), word(bytes.length), bytes])
}

/** The answer to PRELOGIN: a version, and whether to encrypt. */
export function greeting(encryption: number): Uint8Array {
  return Buffer.from([0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 16, 0, 0x10, 0x45, 0, 0, encryption])
}

/** LOGIN7: offsets and lengths of texts begin at byte 36. */
export function readLogin(body: Uint8Array): {
  readonly user: string; readonly password: string; readonly program: string } {
  const bytes = Buffer.from(body)
  const part = (index: number): Buffer => {
    const offset = bytes.readUInt16LE(36 + 4 * index)
    return bytes.subarray(offset, offset + 2 * bytes.readUInt16LE(38 + 4 * index))
  }
  const password = Buffer.from(part(2).map((byte) => {
    const turned = byte ^ 0xa5
    return (turned << 4 | turned >> 4) & 0xff
  }))
  return { user: part(1).toString('utf16le'), program: part(3).toString('utf16le'),
    password: password.toString('utf16le') }
}

/** The text of a batch, behind its headers. */
export function textOf(body: Uint8Array): string {
  const bytes = Buffer.from(body)
  return bytes.subarray(bytes.readUInt32LE(0)).toString('utf16le')
}

export function done(): Uint8Array {
  return Buffer.concat([Buffer.of(0xfd), word(0), word(0), Buffer.alloc(8)])
}

/** ENVCHANGE of the database, INFO, LOGINACK, DONE: as a server greets. */
export function loggedIn(): Uint8Array {
  return Buffer.concat([
    sized(0xe3, Buffer.of(1), short('master'), short('')),
    sized(0xab, long(5701), Buffer.of(2, 0), longer('Changed database context to \'master\'.'),
      short('stub'), short(''), long(1)),
    sized(0xad, Buffer.of(1, 0x74, 0, 0, 4), short('Microsoft SQL Server'), Buffer.of(16, 0, 0, 0)),
    done(),
  ])
}

export function failure(number: number, message: string): Uint8Array {
  return Buffer.concat([sized(0xaa, long(number), Buffer.of(1, 14), longer(message), short('stub'),
    short(''), long(1)), done()])
}

/** COLMETADATA of nvarchar(4000), ROW or NBCROW, DONE. */
export function table(rows: Rows): Uint8Array {
  const names = Object.keys(rows[0] ?? {})
  const columns = names.map((name) => Buffer.concat([
    long(0), word(0), Buffer.of(0xe7), word(8000), Buffer.of(9, 4, 0xd0, 0, 0x34), short(name)]))
  const values = rows.map((row) => {
    const isNull = names.map((name) => row[name] === null)
    const bitmap = Buffer.alloc(Math.ceil(names.length / 8))
    for (const [index, it] of isNull.entries()) {
      if (it) bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | 1 << (index & 7)
    }
    const present = names.flatMap((name) => {
      const value = row[name]
      return typeof value === 'string' ? [word(2 * value.length), text(value)] : []
    })
    return Buffer.concat([
      ...isNull.includes(true) ? [Buffer.of(0xd2), bitmap] : [Buffer.of(0xd1)], ...present])
  })
  return Buffer.concat(
    [Buffer.of(0x81), word(names.length), ...columns, ...values, done()])
}
