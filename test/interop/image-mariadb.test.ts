/** MariaDB's files in a disk, as a real server left them. */

import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { rawCrc32c } from '../../src/disk/mod.ts'
import { mariadbWriter } from '../../src/writers/mod.ts'
import { MariadbServer, ourselves, ServerFolder } from '../../src/writers/testing/mod.ts'
import { checkImage, holdOf, imageOf, type Captured } from './database-image.ts'

const PATIENT = { connectMs: 120_000, askMs: 120_000, freezeMs: 60_000, thawMs: 60_000 }

interface Server {
  readonly folder: ServerFolder
  readonly server: MariadbServer
}

async function hold({ folder, server }: Server, t: TestContext): Promise<Captured> {
  const writer = mariadbWriter({
    clock: systemClock, procRoot: folder.procRoot, user: ourselves(), limits: PATIENT })
  const [application] = await writer.discover(t.signal)
  assert.ok(application !== undefined)
  await using prepared = await writer.prepare(application, t.signal)
  return {
    mountpoint: folder.path, paths: [server.dataFolder],
    application: { name: application.name, writer: await holdOf(prepared) } }
}

async function answer(
  { folder }: Server, captured: Captured, t: TestContext): Promise<string> {
  const { answer, detail } = await checkImage(await imageOf(folder.path, 256, t), captured, t)
  t.diagnostic(`${answer}: ${detail}`)
  return `${answer} ${detail}`
}

function claiming(captured: Captured, positions: Readonly<Record<string, string>>): Captured {
  const { application, application: { writer } } = captured
  assert.ok(writer.contract === 'held' && writer.freeze.state === 'acknowledged')
  assert.ok(writer.freeze.positions !== null)
  const freeze = { ...writer.freeze, positions: { ...writer.freeze.positions, ...positions } }
  return { ...captured, application: { ...application, writer: { ...writer, freeze } } }
}

test('the log of InnoDB must be whole to where it stood, round after round', async (t) => {
  const folder = await ServerFolder.make('nobody')
  t.after(() => folder[Symbol.asyncDispose]())
  const server = await MariadbServer.start(folder, 'main')
  const it = { folder, server }
  await server.query('create database t', 'create table t.load_ (n int, s varchar(2000))')
  const insert = (rows: number): Promise<unknown> => server.query('use t',
    `insert into load_ select seq, repeat('x', seq % 2000) from seq_1_to_${rows}`)
  await insert(1000)
  const early = await hold(it, t)
  for (let round = 0; round < 4; round++) await insert(5000) // past the file's 8 MiB
  const captured = await hold(it, t)
  await insert(500)
  await server.kill()
  assert.match(await answer(it, captured, t),
    /^confirms InnoDB's log is whole.* \d{2,} pages of \d+ files are whole and no newer$/)
  assert.match(await answer(it, early, t), /^confirms/)
  assert.match(await answer(it, claiming(captured, { atFreeze: '9'.repeat(15) }), t),
    /^contradicts .* does not reach 9+, where it was on disk at the freeze/)
  assert.match(await answer(it, claiming(captured, { beforeCheckpoint: '9'.repeat(15) }), t),
    /^contradicts its recovery begins at \d+, before the checkpoint at 9+/)

  await writeTwice(server, Buffer.alloc(2 * 64 * PAGE_BYTES))
  for (const [change, hasSum, what] of DAMAGES) {
    await withPage(server, change, hasSum, async () =>
      assert.match(await answer(it, captured, t), what))
  }
  await withPage(server, (page) => { page.fill(1, 9000, 9100) }, false, async (before) => {
    before.writeBigUInt64BE(1n, 16)
    await writeTwice(server, withSum(before)) // older than the checkpoint
    assert.match(await answer(it, captured, t), /^contradicts page 0 of t\/load_.ibd is damaged/)
    before.writeBigUInt64BE(lsnOf(captured), 16)
    await writeTwice(server, withSum(before))
    assert.match(await answer(it, captured, t), /^confirms/)
  })

  const log = await open(join(server.dataFolder, 'ib_logfile0'), 'r+')
  await using _ = log
  await log.write(Buffer.alloc(64), 0, 64, 4096)
  await log.write(Buffer.alloc(64), 0, 64, 8192)
  assert.match(await answer(it, captured, t), /^contradicts .*no whole heading/)
})

const PAGE_BYTES = 16_384

type ChangePage = (page: Buffer) => void

/** With a right checksum or without, and what is said of it. */
const DAMAGES: readonly (readonly [ChangePage, boolean, RegExp])[] = [
  [(page) => { page.writeBigUInt64BE(2n ** 60n, 16) }, true,
    /^contradicts page 0 of t\/load_.ibd is of 1152921504606846976, and the log ends at \d+/],
  [(page) => { page.writeUInt32BE(7, 4) }, true,
    /^contradicts page 0 of t\/load_.ibd is another page/],
  [(page) => { page.fill(1, 9000, 9100) }, false,
    /^contradicts page 0 of t\/load_.ibd is damaged/],
]

/** The first page of a table is as `change` makes it while `during` runs, which is given it. */
async function withPage(
  { dataFolder }: MariadbServer, change: ChangePage, hasSum: boolean,
  during: (before: Buffer) => Promise<void>,
): Promise<void> {
  await using table = await open(join(dataFolder, 't/load_.ibd'), 'r+')
  const before = Buffer.alloc(PAGE_BYTES)
  await table.read(before, 0, PAGE_BYTES, 0)
  const page = Buffer.from(before)
  change(page)
  await table.write(hasSum ? withSum(page) : page, 0, PAGE_BYTES, 0)
  await during(Buffer.from(before))
  await table.write(before, 0, PAGE_BYTES, 0)
}

function withSum(page: Buffer): Buffer {
  page.writeUInt32BE(~rawCrc32c(page.subarray(0, -4)) >>> 0, PAGE_BYTES - 4)
  return page
}

/** Where the log was on disk at the freeze. */
function lsnOf({ application: { writer } }: Captured): bigint {
  assert.ok(writer.contract === 'held' && writer.freeze.state === 'acknowledged')
  return BigInt(writer.freeze.positions?.atFreeze ?? 0)
}

/** Puts pages where a server looks for those that were cut while they were written. */
async function writeTwice({ dataFolder }: MariadbServer, pages: Buffer): Promise<void> {
  await using system = await open(join(dataFolder, 'ibdata1'), 'r+')
  const head = Buffer.alloc(PAGE_BYTES)
  await system.read(head, 0, PAGE_BYTES, 5 * PAGE_BYTES)
  const [first, second] = [14, 18].map((at) => head.readUInt32BE(PAGE_BYTES - 200 + at))
  assert.deepEqual([first, second], [64, 128])
  await system.write(pages, 0, pages.length, 64 * PAGE_BYTES)
}
