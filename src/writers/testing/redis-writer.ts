/** The writer of Redis for tests with real servers: patient, and asked of one server alone. */

import assert from 'node:assert/strict'
import { systemClock } from '../../base/clock.ts'
import type { PreparedWriter, Writer } from '../../consistency/mod.ts'
import { redisWriter, type RedisOptions } from '../redis/writer.ts'
import type { RedisServer } from './redis-server.ts'
import type { ServerFolder } from './server-folder.ts'

const never = new AbortController().signal
/** Far beyond what a busy machine needs. */
const LONG = { freezeMs: 60_000, saveMs: 60_000, holdMs: 60_000, thawMs: 60_000, askMs: 60_000 }
/** Settings of a server that keeps an append-only file and no snapshots. */
export const AOF = ['--appendonly', 'yes', '--save', '']

/** Sees the servers in `folder` alone. */
export function patientRedisWriter(
  { procRoot }: ServerFolder, options: Partial<RedisOptions> = {}): Writer {
  return redisWriter({
    clock: systemClock, procRoot, ...options, limits: { ...LONG, ...options.limits } })
}

/** Finds the server and prepares it, as a backup does. */
export async function prepareServer(
  writer: Writer, server: RedisServer): Promise<PreparedWriter> {
  const application = (await writer.discover(never))
    .find(({ name }) => name === `redis ${server.socketPath}`)
  assert.ok(application !== undefined)
  return writer.prepare(application, never)
}
