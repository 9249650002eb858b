/**
 * The agent's configuration (docs/agent.md): one file, which may be missing. It says as whom
 * databases are asked, which files and scripts there are besides, and how long each may take.
 */

import { access, stat } from 'node:fs/promises'
import { z } from 'zod'
import { MAX_CONFIG_BYTES, parseConfigText } from '../base/config-text.ts'
import { Fault } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import { printable } from '../base/text.ts'
import {
  accountId, checkTrustedFile, readSmallFile, type SqlServerLogin,
} from '../writers/mod.ts'

export const AGENT_CONFIG = '/etc/stillpoint/agent.yaml'

const MAX_PASSWORD_BYTES = 4096

/** Half an hour: what is held for longer is not held but stopped. */
const ms = z.int().min(1).max(1_800_000).exactOptional()
const bytes = z.int().min(0).max(Number.MAX_SAFE_INTEGER).exactOptional()
const path = z.string().min(2).max(4096).regex(/^\/[^\0]*$/, 'is no absolute path')
const word = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.$-]{0,62}$/, 'is no name of an account')
const command = z.array(z.string().max(4096).regex(/^[^\0]*$/, 'holds a byte of zero'))
  .min(1, 'is empty').max(64)
  .refine(([program]) => program?.startsWith('/') === true, 'must begin with an absolute path')

const hold = { freezeMs: ms, holdMs: ms, thawMs: ms }

const redisAccount = { user: word.exactOptional(), passwordFile: path.exactOptional() }

const schema = z.strictObject({
  postgres: z.strictObject({
    role: word.exactOptional(),
    limits: z.strictObject({
      ...hold, connectMs: ms, askMs: ms, checkpointMs: ms,
    }).exactOptional(),
  }).exactOptional(),
  mariadb: z.strictObject({
    user: word.exactOptional(),
    account: word.exactOptional(),
    lock: z.enum(['automatic', 'read-lock'], 'must be automatic or read-lock').exactOptional(),
    limits: z.strictObject({
      ...hold, connectMs: ms, askMs: ms, flushMs: ms,
    }).exactOptional(),
  }).exactOptional(),
  redis: z.strictObject({
    ...redisAccount,
    servers: z.record(z.string().max(256), z.strictObject(redisAccount)).exactOptional(),
    limits: z.strictObject({
      ...hold, connectMs: ms, askMs: ms, idleMs: ms,
      saveMs: ms,
    }).exactOptional(),
  }).exactOptional(),
  sqlite: z.strictObject({
    databases: z.array(path).max(64).exactOptional(),
    limits: z.strictObject({
      ...hold, openMs: ms, checkpointBytes: bytes,
      quickCheckBytes: bytes,
    }).exactOptional(),
  }).exactOptional(),
  sqlserver: z.strictObject({
    user: word,
    passwordFile: path,
    port: z.int().min(1).max(65_535).exactOptional(),
    metadataFolder: path.exactOptional(),
    limits: z.strictObject({ ...hold, connectMs: ms, askMs: ms }).exactOptional(),
  }).exactOptional(),
  files: z.strictObject({
    limits: z.strictObject({
      lookMs: z.int().min(1).max(20_000).exactOptional(), // of half a minute for all
      entries: z.int().min(1).max(10_000_000).exactOptional(),
      depth: z.int().min(0).max(64).exactOptional(),
    }).exactOptional(),
  }).exactOptional(),
  scripts: z.array(z.strictObject({
    name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
      'is no name: letters, digits, dots, dashes and underscores, at most 64'),
    preFreeze: command,
    postThaw: command,
    data: z.array(path).min(1, 'is empty: name all folders of its data').max(256),
    recovery: z.enum(['self', 'none', 'unknown'], 'must be self, none or unknown').exactOptional(),
    limits: z.strictObject(hold).exactOptional(),
  })).max(32).refine((scripts) => new Set(scripts.map(({ name }) => name)).size === scripts.length,
    'two of them have one name').exactOptional(),
})

type Parsed = z.infer<typeof schema>

export interface RedisLogin {
  readonly user?: string
  readonly password: Secret
}

/** As the file says, with accounts looked up and passwords read. */
export type AgentConfig =
  & Pick<Parsed, 'postgres' | 'sqlite' | 'files' | 'scripts'>
  & {
    readonly mariadb?: Omit<NonNullable<Parsed['mariadb']>, 'user' | 'account'> & {
      readonly user?: { readonly name: string; readonly uid: number } }
    readonly redis?: Pick<NonNullable<Parsed['redis']>, 'limits'> & {
      /** For the server of that name. */
      readonly loginOf: (server: string) => RedisLogin | undefined }
    readonly sqlserver?: Omit<NonNullable<Parsed['sqlserver']>, 'user' | 'passwordFile'> & {
      readonly login: SqlServerLogin }
  }

/**
 * The configuration in `named`, which must be there, or in the usual place; empty if there is none.
 * Nobody but root may be able to change the file. Faults: `config-invalid`, `not-found`.
 */
export async function loadAgentConfig(
  named: string | undefined, passwdFile = '/etc/passwd'): Promise<AgentConfig> {
  const file = named ?? AGENT_CONFIG
  if (!await access(file).then(() => true, () => false)) {
    if (named === undefined) return {}
    throw new Fault('not-found', `the configuration file ${printable(file)} does not exist`, {
      advice: 'See --config.' })
  }
  await checkTrustedFile(file)
  const text = await readSmallFile(file, MAX_CONFIG_BYTES)
  const { postgres, mariadb, redis, sqlite, sqlserver, files, scripts } =
    parseConfigText(schema, text, file).data
  return Object.freeze({
    ...postgres === undefined ? {} : { postgres },
    ...sqlite === undefined ? {} : { sqlite },
    ...files === undefined ? {} : { files },
    ...scripts === undefined ? {} : { scripts },
    ...mariadb === undefined ? {} : { mariadb: await mariadbOf(mariadb, passwdFile) },
    ...redis === undefined ? {} : { redis: await redisOf(redis, file) },
    ...sqlserver === undefined ? {} : { sqlserver: await sqlServerOf(sqlserver) },
  })
}

async function mariadbOf(
  { user, account, ...rest }: NonNullable<Parsed['mariadb']>, passwdFile: string,
): Promise<NonNullable<AgentConfig['mariadb']>> {
  const name = user ?? account
  if (name === undefined) return rest
  return { ...rest, user: { name, uid: await accountId(account ?? name, passwdFile) } }
}

async function redisOf(
  { servers = {}, user, passwordFile, limits }: NonNullable<Parsed['redis']>, file: string,
): Promise<NonNullable<AgentConfig['redis']>> {
  const usual = await loginOf({
    ...user === undefined ? {} : { user },
    ...passwordFile === undefined ? {} : { passwordFile } }, file)
  const named = new Map<string, RedisLogin | undefined>()
  for (const [server, account] of Object.entries(servers)) {
    named.set(server, await loginOf(account, file))
  }
  return {
    ...limits === undefined ? {} : { limits },
    loginOf: (server) => named.has(server) ? named.get(server) : usual,
  }
}

async function loginOf(
  { user, passwordFile }: { user?: string; passwordFile?: string },
  file: string,
): Promise<RedisLogin | undefined> {
  if (passwordFile === undefined) {
    if (user === undefined) return undefined
    throw new Fault('config-invalid', `${file}: redis: user ${user} has no passwordFile`, {
      advice: 'Redis tells users apart by password alone: add passwordFile.' })
  }
  return { ...user === undefined ? {} : { user }, password: await passwordIn(passwordFile) }
}

async function sqlServerOf(
  { user, passwordFile, ...rest }: NonNullable<Parsed['sqlserver']>,
): Promise<NonNullable<AgentConfig['sqlserver']>> {
  return { ...rest, login: { user, password: await passwordIn(passwordFile) } }
}

/** Root's alone. Fault: `config-invalid`. */
async function passwordIn(passwordFile: string): Promise<Secret> {
  await checkTrustedFile(passwordFile)
  if (((await stat(passwordFile)).mode & 0o077) !== 0) {
    throw new Fault('config-invalid', `others may read the password in ${passwordFile}`, {
      advice: `Run: chmod 600 ${passwordFile}` })
  }
  const password = (await readSmallFile(passwordFile, MAX_PASSWORD_BYTES)).replace(/\r?\n$/, '')
  if (password === '') throw new Fault('config-invalid', `${passwordFile} is empty`)
  return new Secret(password)
}
