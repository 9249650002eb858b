/** Debian packages, unpacked without installing them: what guests are made of. */

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../base/fault.ts'
import { runProgram } from '../base/program.ts'

const APT_LISTS = '/var/lib/apt/lists'

/**
 * Changes whenever this host's package lists do: stands for the versions that a download would
 * give, without asking apt, which takes a second. Empty if there are no lists.
 */
export function packageListsStamp(): string {
  const lists = existsSync(APT_LISTS)
    ? readdirSync(APT_LISTS).filter((name) => name.includes('_Packages')).toSorted() : []
  if (lists.length === 0) return ''
  const hash = createHash('sha256')
  for (const name of lists) {
    const { size, mtimeMs } = statSync(join(APT_LISTS, name))
    hash.update(`${name} ${size} ${mtimeMs}\n`)
  }
  return hash.digest('hex').slice(0, 12)
}

/** The package that a metapackage such as `linux-image-cloud-amd64` stands for now. */
export async function dependencyOf(
  metapackage: string, pattern: RegExp, signal: AbortSignal): Promise<string> {
  const { stdout } = await runProgram('apt-cache', ['depends', metapackage], { signal })
  const names = new TextDecoder().decode(stdout).split(/\s+/)
  const found = names.find((name) => pattern.test(name))
  if (found === undefined) {
    throw new Fault('not-found', `no kernel is behind the Debian package ${metapackage}`, {
      advice: 'Run: apt-get update',
    })
  }
  return found
}

/**
 * Downloads `packages`, checked by apt against its signed lists, into `folder`/debs and unpacks
 * them all over one another into `folder`/root. Their scripts are not run. Returns that root.
 */
export async function unpackPackages(
  packages: readonly string[], folder: string, signal: AbortSignal): Promise<string> {
  const debs = join(folder, 'debs')
  const root = join(folder, 'root')
  await mkdir(debs, { recursive: true })
  await mkdir(root)
  try {
    await runProgram('apt-get', ['-q', 'download', ...packages], { signal, cwd: debs })
  } catch (cause) {
    if (signal.aborted) throw cause
    throw new Fault('program-failed', 'the Debian packages of the guest cannot be downloaded', {
      cause, retry: 'later', advice: 'Run: apt-get update',
    })
  }
  for (const name of (await readdir(debs)).toSorted()) {
    await runProgram('dpkg-deb', ['-x', join(debs, name), root], { signal })
  }
  return root
}
