/** That tests leave no shared memory of the servers that they kill. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { PostgresServer } from './postgres-server.ts'
import { ServerFolder } from './server-folder.ts'

/** Ids of the System V segments there are (proc(5)). */
async function segments(): Promise<readonly string[]> {
  const [, ...lines] = (await readFile('/proc/sysvipc/shm', 'utf8')).trim().split('\n')
  return lines.map((line) => line.trim().split(/ +/)[1] ?? '')
}

test('a killed PostgreSQL of a test leaves no shared memory', { timeout: 120_000 }, async () => {
  await using folder = await ServerFolder.make('postgres')
  const server = await PostgresServer.start(folder, 'data', 5432)
  assert.doesNotMatch(await readFile(`/proc/${server.pid}/maps`, 'utf8'), /\/dev\/shm\//)
  const lines = (await readFile(join(server.dataFolder, 'postmaster.pid'), 'utf8')).split('\n')
  const id = lines[6]?.trim().split(/ +/)[1] ?? ''
  assert.ok((await segments()).includes(id), id)
  await server.kill()
  await folder[Symbol.asyncDispose]()
  assert.equal((await segments()).includes(id), false)
})
