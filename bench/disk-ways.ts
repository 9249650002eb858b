/**
 * The ways to store one disk image that repository-write.ts compares: each does the same steps,
 * measured as a whole process. A peer that is not installed is left out and named.
 */

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { measure, NODE, type Cost } from './measure.ts'

/** In the order in which they are carried out; `check` reads and verifies all data. */
export const STEPS = ['store', 'check', 'restore', 'increment'] as const
export type Step = (typeof STEPS)[number]

export interface Places {
  readonly folder: string
  readonly repo: string
  readonly image: string
  /** The image with some blocks changed. */
  readonly later: string
  /** What `restore` writes. */
  readonly out: string
  readonly sizeBytes: number
}

export interface Way {
  readonly name: string
  /** The way that a ratio is made with; undefined for the peers themselves. */
  readonly peer: string | undefined
  init(): void
  run(step: Step, changed: readonly number[]): Cost
}

const peers = join(import.meta.dirname, '..', '.cache', 'peers')
const ourDisk = join(import.meta.dirname, 'repository-disk.ts')

/** All ways that can be gone here. Ours are compared with peers that verify as much. */
export function findWays(places: Places): readonly Way[] {
  const newest = join(peers, 'restic')
  const hasNewest = existsSync(newest)
  if (!hasNewest) console.error('left out: the newest restic; tools/peers.sh builds it')
  return [
    restic('restic, Debian', 'restic', places),
    ...hasNewest ? [
      restic('restic, newest', newest, places),
      restic('restic, newest, not verifying, sparse', newest, places,
        ['--no-extra-verify'], ['--sparse']),
    ] : [],
    ...isInstalled('borg') ? [borg(places)] : [],
    ours('ours, not verifying', 'restic, Debian', places, '--no-verify'),
    ours('ours', hasNewest ? 'restic, newest' : 'restic, Debian', places),
  ]
}

function restic(
  name: string, program: string, places: Places, flags: readonly string[] = [],
  restoring: readonly string[] = [],
): Way {
  const { folder, repo, image, later, out } = places
  const env = {
    RESTIC_PASSWORD: 'bench', RESTIC_REPOSITORY: repo, HOME: folder,
    RESTIC_CACHE_DIR: join(folder, 'cache'),
  }
  const run = (...args: readonly string[]): Cost => measure(program, [...args, ...flags], env)
  return {
    name, peer: undefined,
    init: () => { run('init') },
    run: (step) => {
      switch (step) {
        case 'store': return run('backup', image)
        case 'check': return run('check', '--read-data')
        case 'restore': return run('restore', 'latest', ...restoring, '-t', out)
        case 'increment': return run('backup', later)
        default: return step satisfies never
      }
    },
  }
}

/** Its chunks of fixed size and compression are what it offers for disk images. */
function borg({ folder, repo, image, later, out }: Places): Way {
  const env = {
    BORG_PASSPHRASE: 'bench', BORG_BASE_DIR: join(folder, 'borg'), BORG_REPO: repo, HOME: folder,
    BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes', BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
  }
  const create = (name: string, path: string): Cost => measure('borg', [
    'create', '--compression', 'zstd,3', '--chunker-params', 'fixed,524288', `::${name}`, path],
  env)
  return {
    name: 'borg', peer: undefined,
    init: () => { measure('borg', ['init', '--encryption', 'repokey-blake2'], env) },
    run: (step) => {
      switch (step) {
        case 'store': return create('a', image)
        case 'check': return measure('borg', ['check', '--verify-data'], env)
        case 'restore': {
          execFileSync('mkdir', ['-p', out])
          return measure('borg', ['extract', '::a'], env, out)
        }
        case 'increment': return create('b', later)
        default: return step satisfies never
      }
    },
  }
}

function ours(
  name: string, peer: string, { folder, repo, image, later, out, sizeBytes }: Places,
  ...flags: readonly string[]): Way {
  const env = { RESTIC_PASSWORD: 'bench', HOME: folder, NODE_NO_WARNINGS: '1' }
  const node = (...args: readonly string[]): Cost & { readonly stdout: string } =>
    measure(NODE, [ourDisk, ...args, ...flags], env)
  let tree = ''
  return {
    name, peer,
    init: () => { node('init', repo) },
    run: (step, changed) => {
      switch (step) {
        case 'store': {
          const measured = node('store', repo, image)
          tree = measured.stdout.trim()
          return measured
        }
        case 'check': return node('check', repo)
        case 'restore': {
          const cost = node('restore', repo, tree, String(sizeBytes), out)
          execFileSync('cmp', [image, out])
          return cost
        }
        case 'increment':
          return node('store', repo, later, '--base', tree, '--changed', changed.join(','))
        default: return step satisfies never
      }
    },
  }
}

function isInstalled(program: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(':')
  const found = folders.some((folder) => existsSync(join(folder, program)))
  if (!found) console.error(`left out: ${program} is not installed`)
  return found
}
