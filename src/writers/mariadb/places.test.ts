/** Where real MariaDB servers keep their data. */

import assert from 'node:assert/strict'
import { chown, mkdtemp, rm } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import type { Writer } from '../../consistency/mod.ts'
import { MariadbServer, ourselves } from '../testing/mariadb-server.ts'
import { ServerFolder } from '../testing/server-folder.ts'
import { mariadbWriter } from './writer.ts'

/** What no test waits for on purpose: a busy machine may take long. */
const PATIENT = { connectMs: 120_000, askMs: 120_000, freezeMs: 60_000, thawMs: 60_000 }
const never = new AbortController().signal
let folder: ServerFolder
let server: MariadbServer
/** A mount of its own, everywhere. */
let elsewhere: string

before(async () => {
  folder = await ServerFolder.make('nobody')
  elsewhere = await mkdtemp('/dev/shm/sp-')
  await chown(elsewhere, folder.account.uid, folder.account.gid)
  server = await MariadbServer.start(folder, 'main', [
    `--log-bin=${await folder.mkdir('logs')}/bin`, '--server-id=1'])
})
after(async () => {
  await folder[Symbol.asyncDispose]()
  await rm(elsewhere, { recursive: true })
})

const makeWriter = (): Writer => mariadbWriter({
  clock: systemClock, procRoot: folder.procRoot, user: ourselves(), limits: PATIENT })

test('a server is found with its data, its binary log, tables elsewhere, each on its mount',
  async () => {
    await server.query('create database t',
      `create table t.remote (n int) engine=innodb data directory='${elsewhere}'`)
    const [application, ...more] = await makeWriter().discover(never)
    assert.deepEqual(more, [])
    assert.ok(application?.data.state === 'located', JSON.stringify(application))
    const { places } = application.data
    const mountOf = (path: string): string | undefined =>
      places.find((place) => place.path === path)?.type
    assert.ok(mountOf(server.dataFolder) !== undefined)
    assert.ok(mountOf(`${folder.path}/logs`) !== undefined)
    assert.equal(mountOf(`${elsewhere}/t`), 'tmpfs')
    assert.equal(application.recovery, 'self')
  })

test('a table that is moved to a new place after discovery is a fault', async () => {
  const writer = makeWriter()
  const [application] = await writer.discover(never)
  assert.ok(application !== undefined)
  await server.query('create database u',
    `create table u.late (n int) engine=innodb data directory='${elsewhere}'`)
  await assert.rejects(writer.prepare(application, never), /not found before/)
})

test('several servers are told apart, and each is prepared as itself', async () => {
  await using second = await MariadbServer.start(folder, 'second')
  const found = await makeWriter().discover(never)
  assert.deepEqual(found.map(({ name }) => name).toSorted(), [
    `mariadb in ${server.dataFolder}`, `mariadb in ${second.dataFolder}`])
  const application = found.find(({ name }) => name.includes(second.dataFolder))
  assert.ok(application !== undefined)
  const writer = makeWriter()
  await using prepared = await writer.prepare(application, never)
  const attempt = prepared.beginFreeze()
  assert.match((await attempt.held).statement, /no binary log/) // which the first one has
  await attempt.thaw()
})
