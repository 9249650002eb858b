/** The writer of MariaDB against servers that lie, hang and flood, none of them real. */

import assert from 'node:assert/strict'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { suite, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import type { Writer } from '../../consistency/mod.ts'
import { FakeHost } from '../testing/fake-process.ts'
import { mariadbWriter, type MariadbLimits } from './writer.ts'

const never = new AbortController().signal
const PID = 4712
/** Passed by a server that never answers; long for one that does. */
const SHORT_MS = 300
const LONG_MS = 60_000

type Answer = (sql: string, socket: Socket) => void

/** A server whose socket is found as a real one's is; gives each statement to `answer`. */
async function fakeServer(
  answer: Answer, limits: Partial<MariadbLimits> = {}, greet: (socket: Socket) => void = greeting,
  letIn: (socket: Socket) => void = (socket) => { socket.write(packet(2, OK)) },
): Promise<{ readonly host: FakeHost; readonly writer: Writer }> {
  const host = await FakeHost.make()
  const cwd = `${host.path}/data`
  const proc = `${host.procRoot}/${PID}`
  await host.add({ pid: PID, program: 'mariadbd', cwd })
  for (const folder of ['fd', 'net']) await mkdir(`${proc}/${folder}`)
  await symlink('socket:[99]', `${proc}/fd/3`)
  await writeFile(`${proc}/net/unix`, 'Num RefCount Protocol Flags Type St Inode Path\n' +
    `0000000000000000: 00000002 00000000 00010000 0001 01 99 ${host.path}/s\n`)
  await host.listen(`${host.path}/s`, (socket) => {
    let isGreeted = false
    greet(socket)
    socket.on('data', (chunk) => {
      if (!isGreeted) {
        isGreeted = true
        letIn(socket)
      } else if (chunk[4] === 3) answer(chunk.subarray(5).toString(), socket) // COM_QUERY
    })
  })
  const writer = mariadbWriter({
    clock: systemClock, procRoot: host.procRoot,
    limits: { connectMs: LONG_MS, askMs: LONG_MS, ...limits },
  })
  return { host, writer }
}

const OK = Buffer.from([0, 0, 0, 2, 0, 0, 0])

function packet(sequence: number, body: Uint8Array): Uint8Array {
  const head = Buffer.alloc(4)
  head.writeUIntLE(body.length, 0, 3)
  head[3] = sequence
  return Buffer.concat([head, body])
}

/** Protocol 10, capabilities of 4.1, `mysql_native_password`. */
function greeting(socket: Socket): void {
  socket.write(packet(0, Buffer.concat([
    Buffer.from('\x0a10.11.0-MariaDB\0'), Buffer.from([1, 0, 0, 0]), Buffer.from('12345678\0'),
    Buffer.from([0xff, 0xf7, 33, 2, 0, 0xff, 0x81, 21]), Buffer.alloc(10),
    Buffer.from('123456789012\0'), Buffer.from('mysql_native_password\0')])))
}

/** A result of one column and one row. */
function rowOf(name: string, value: string): Uint8Array {
  const text = (it: string): Uint8Array =>
    Buffer.concat([Buffer.from([Buffer.byteLength(it)]), Buffer.from(it)])
  const column = Buffer.concat([
    text('def'), text(''), text(''), text(''), text(name), text(name),
    Buffer.from([0x0c, 33, 0, 255, 0, 0, 0, 253, 0, 0, 0, 0, 0])])
  const end = Buffer.from([0xfe, 0, 0, 2, 0])
  return Buffer.concat([
    packet(1, Buffer.from([1])), packet(2, column), packet(3, end), packet(4, text(value)),
    packet(5, end)])
}

suite('A hostile MariaDB server', () => {
  const hostile: readonly (readonly [
    string, Answer, Partial<MariadbLimits>, RegExp, ((socket: Socket) => void)?,
    ((socket: Socket) => void)?])[] = [
    ['that never greets', () => {}, { connectMs: SHORT_MS }, /did not finish within/, () => {}],
    ['that speaks another protocol', () => {}, {}, /did not let root in/, (socket) =>
      socket.end('220 mail.example ESMTP\r\n')],
    ['that floods the greeting', () => {}, {}, /did not let root in/, flood],
    ['that asks for the password in clear', () => {}, { connectMs: SHORT_MS },
      /did not let root in|did not finish/, greeting, (socket) => socket.write(packet(
        2, Buffer.concat([Buffer.from([0xfe]), Buffer.from('mysql_clear_password\0')])))],
    ['that never answers', () => {}, { askMs: SHORT_MS }, /did not finish within/],
    ['that hangs up', (_, socket) => socket.end(), {}, /did not answer as asked/],
    ['that floods the answer', (_, socket) => flood(socket), {}, /did not answer as asked/],
    ['that asks for a file of ours', (_, socket) => socket.write(packet(
      1, Buffer.concat([Buffer.from([0xfb]), Buffer.from('/etc/shadow')]))), { askMs: SHORT_MS },
    /did not answer as asked|did not finish/],
    ['that answers nothing', (_, socket) => socket.write(packet(1, OK)), {},
      /does not say where its data directory is/],
    ['that answers a column named like code', (_, socket) => socket.write(
      rowOf('x"];process.exit(1);//', 'x')), {}, /answered nothing for Variable_name/],
  ]
  for (const [title, answer, limits, expected, greet, letIn] of hostile) {
    test(`${title} is known, and where its data lies is not`, async () => {
      const { host, writer } = await fakeServer(answer, limits, greet, letIn)
      await using it = host
      const [application] = await writer.discover(never)
      assert.ok(application?.data.state === 'unknown')
      assert.match(application.data.detail, expected)
      await assert.rejects(writer.prepare(application, never), (error: Error & { code?: string }) =>
        error.code === 'writer-failed' || error.code === 'writer-timeout')
      while (it.openConnections > 0) await systemClock.sleep(10, never)
    })
  }
})

/** Writes until the other end hangs up. */
function flood(socket: Socket): void {
  const chunk = packet(0, Buffer.alloc(60_000, 'x'))
  const write = (): void => {
    while (!socket.destroyed && socket.write(chunk)) { /* goes on with drain */ }
  }
  socket.on('drain', write)
  write()
}
