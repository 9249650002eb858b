/** The file with a host's private key: read with care, made once, never replaced. */

import { constants } from 'node:fs'
import { link, mkdtemp, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errnoOf } from '../base/errno.ts'
import { Fault } from '../base/fault.ts'
import { closeToOthers, closingCommand, makeOwnFolder, othersOf } from '../base/own-files.ts'
import { Secret } from '../base/secret.ts'
import { printable } from '../base/text.ts'
import { MAX_KEY_FILE_BYTES } from '../consistency/mod.ts'
import { syncFolder } from '../disk/mod.ts'

export interface KeyFile {
  readonly path: string
  /** Undefined where there is none. Faults: `evidence-key-invalid`, `io-error`. */
  read(): Promise<Secret | undefined>
  /** Makes it, whole or not at all. False: another process was faster. Faults: `io-error`. */
  create(text: Secret): Promise<boolean>
}

export function openKeyFile(path: string): KeyFile {
  return { path, read: () => read(path), create: (text) => create(path, text) }
}

async function read(path: string): Promise<Secret | undefined> {
  const shown = printable(path)
  try {
    // A pipe or a device must not make us wait.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = await file.stat()
    const owner = process.getuid?.()
    if (!stat.isFile()) throw unusable(`${shown} is no file`, 'Name a file.')
    // On Windows a mode says nothing; who may read it is asked below.
    if (owner !== undefined && (stat.mode & 0o077) !== 0) {
      throw unusable(`${shown} may be read by other users of this host`,
        `Take that right away: chmod 600 ${shown}. If others may have read it, make a new key.`)
    }
    if (owner !== undefined && stat.uid !== owner && stat.uid !== 0) {
      throw unusable(`${shown} belongs to another user`, 'Give it to the user who backs up.')
    }
    const [other] = (await othersOf(path))?.mayRead ?? []
    if (other !== undefined) {
      throw unusable(`${shown} may be read by others of this host (${printable(other, 100)})`,
        `Take that right away: ${closingCommand(shown)}. If others may have read it, make a new ` +
        'key.')
    }
    const bytes = Buffer.alloc(MAX_KEY_FILE_BYTES + 1)
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
    if (bytesRead > MAX_KEY_FILE_BYTES) throw unusable(`${shown} is too long to be a key`)
    return new Secret(bytes.toString('latin1', 0, bytesRead))
  } catch (cause) {
    if (cause instanceof Fault) throw cause
    if (errnoOf(cause) === 'ENOENT') return undefined
    throw new Fault('io-error', `the signing key ${shown} cannot be read`, { cause })
  }
}

/** Written beside it first: a key that is there is whole, and one that is there stays. */
async function create(path: string, text: Secret): Promise<boolean> {
  const folder = dirname(path)
  let drafts: string | undefined
  try {
    await makeOwnFolder(folder)
    drafts = await mkdtemp(join(folder, '.evidence-key-'))
    const draft = join(drafts, 'draft')
    await using file = await open(draft, 'wx', 0o600)
    await closeToOthers(draft)
    await file.writeFile(text.reveal())
    await file.sync()
    await link(draft, path)
    await syncFolder(folder)
    return true
  } catch (cause) {
    if (errnoOf(cause) === 'EEXIST' && drafts !== undefined) return false
    throw new Fault('io-error', `the signing key ${printable(path)} cannot be written`, {
      cause, advice: 'Name another place with evidence.key in stillpoint.yaml.' })
  } finally {
    if (drafts !== undefined) await rm(drafts, { recursive: true, force: true })
  }
}

function unusable(message: string, advice?: string): Fault {
  return new Fault('evidence-key-invalid', message, advice === undefined ? {} : { advice })
}
