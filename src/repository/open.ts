/** Makes and opens repositories (restic design, "Repository Format"). */

import { deadline, throwIfAborted } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Secret } from '../base/secret.ts'
import type { Storage } from '../storage/mod.ts'
import { encodeConfig, MAX_CONFIG_BYTES, newConfig, parseConfig } from './format/config.ts'
import { KEY_BYTES, MasterKey, SEAL_OVERHEAD_BYTES } from './format/crypto.ts'
import { goTime } from './format/go-json.ts'
import { fileIdOf, parseFileId, type FileId } from './format/id.ts'
import {
  DEFAULT_SCRYPT_COST, encodeKeyFile, MAX_KEY_FILE_BYTES, openMasterKey, parseKeyFile,
  sealMasterKey,
} from './format/key-file.ts'
import { OpenedRepository } from './opened-repository.ts'
import type { InitOptions, OpenOptions, Repository } from './repository.ts'

/** Each costs a scrypt; restic tries as many. */
const MAX_KEYS_TRIED = 20

/** Files that are no keys cost less, but not nothing. */
const MAX_KEY_FILES = 200

/** Longest time to find out what a failed put left behind. */
const CLEAN_UP_LIMIT_MS = 30_000

const CONFIG = { kind: 'config', name: 'config' } as const

/**
 * Makes a repository with one key, which `password` opens. The storage must hold none.
 * Faults: `repository-exists`, `storage-failed`, `no-space`. An abort or fault may leave an empty
 * layout, which does not hinder another attempt.
 */
export async function initRepository(
  storage: Storage, options: InitOptions, signal: AbortSignal): Promise<{ readonly id: string }> {
  const { password, hostname, username, clock, random } = options
  if (await readConfigFile(storage, signal) !== undefined) throw existsAlready(storage)
  await storage.create(signal)
  for await (const _ of storage.list('keys', signal)) {
    throw new Fault('repository-exists', `there are keys at ${storage.location}, but no config`, {
      advice: 'Restore the lost config, or remove the folder "keys" if making it failed before.' })
  }
  const config = newConfig(random)
  const master = new MasterKey(random(KEY_BYTES))
  const origin = {
    created: goTime(clock.nowMs()), username, hostname,
    cost: options.scryptCost ?? DEFAULT_SCRYPT_COST,
  }
  const keyFile = encodeKeyFile(await sealMasterKey(master, password, origin, random, signal))
  const key = { kind: 'keys', name: fileIdOf(keyFile) } as const
  const configFile = master.seal(encodeConfig(config), random)
  try {
    await storage.put(key, [keyFile], signal)
    await storage.put(CONFIG, [configFile], signal)
  } catch (error) {
    if (!await isStoredAfterAll(storage, configFile, options)) {
      // The key would open nothing, and hide that there is no repository.
      await storage.remove(key, new AbortController().signal).catch(() => {})
      throw isFault(error, 'already-exists') ? existsAlready(storage) : error
    }
  }
  return { id: config.id }
}

/** A put may fail although it took effect; where that cannot be told, nothing is taken back. */
async function isStoredAfterAll(
  storage: Storage, configFile: Uint8Array, { clock }: InitOptions): Promise<boolean> {
  using limit = deadline(clock, CLEAN_UP_LIMIT_MS, 'reading the config back')
  try {
    const stored = await readConfigFile(storage, limit.signal)
    return stored !== undefined && Buffer.compare(stored, configFile) === 0
  } catch {
    return true
  }
}

function existsAlready(storage: Storage): Fault {
  return new Fault('repository-exists', `there is a repository at ${storage.location} already`, {
    advice: 'Use it as it is, or name another place.' })
}

/**
 * Opens the repository with the first key that `password` opens.
 * Faults: `no-repository`, `wrong-password`, `repository-unsupported`, `repository-damaged`,
 * `storage-failed`. The storage stays the caller's.
 */
export async function openRepository(
  storage: Storage, options: OpenOptions, signal: AbortSignal): Promise<Repository> {
  const configFile = await readConfigFile(storage, signal)
  if (configFile === undefined) {
    throw new Fault('no-repository', `there is no repository at ${storage.location}`, {
      advice: 'Create one with "stillpoint init", or name the right place.' })
  }
  const master = await findMasterKey(storage, options.password, options.log, signal)
  const config = parseConfig(master.open(configFile, 'config'))
  return new OpenedRepository(storage, master, config, options)
}

async function readConfigFile(
  storage: Storage, signal: AbortSignal): Promise<Uint8Array | undefined> {
  try {
    return await storage.get(CONFIG, { maxBytes: MAX_CONFIG_BYTES + SEAL_OVERHEAD_BYTES }, signal)
  } catch (error) {
    if (isFault(error, 'not-found')) return undefined
    throw error
  }
}

async function findMasterKey(
  storage: Storage, password: Secret, log: Log, signal: AbortSignal): Promise<MasterKey> {
  const names: FileId[] = []
  for await (const { name, sizeBytes } of storage.list('keys', signal)) {
    if (sizeBytes <= MAX_KEY_FILE_BYTES) names.push(parseFileId(name, 'keys/'))
  }
  let tried = 0
  for (const name of names.sort().slice(0, MAX_KEY_FILES)) {
    if (tried >= MAX_KEYS_TRIED) break
    try {
      const master = await tryKey(storage, name, password, signal)
      if (master !== undefined) return master
      tried++
    } catch (error) {
      // Another key may still do.
      if (!isFault(error, 'repository-damaged', 'not-found')) throw error
      log.warn('repository.key-unusable', { key: name, reason: error.message })
    }
  }
  throwIfAborted(signal)
  if (tried === 0) {
    throw new Fault('repository-damaged', `${storage.location} has no usable key file`, {
      advice: 'Restore the folder "keys" from a copy: without a key nothing can be read.' })
  }
  throw new Fault('wrong-password', `the password opens none of the keys of ${storage.location}`,
    tried < MAX_KEYS_TRIED ? {} : {
      advice: `Only the first ${MAX_KEYS_TRIED} keys are tried: remove those not in use.` })
}

async function tryKey(
  storage: Storage, name: FileId, password: Secret, signal: AbortSignal,
): Promise<MasterKey | undefined> {
  const what = `keys/${name}`
  const file = await storage.get({ kind: 'keys', name }, { maxBytes: MAX_KEY_FILE_BYTES }, signal)
  if (fileIdOf(file) !== name) {
    throw new Fault('repository-damaged', `${what} has other content than its name says`)
  }
  return openMasterKey(parseKeyFile(file, what), password, what, signal)
}
