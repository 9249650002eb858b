/**
 * Removes from a machine what a run made in it: exports, filters, jobs, nodes, scratch files.
 *
 * It asks QEMU what is there instead of remembering, so that the same steps end a run of ours,
 * clean up after a killed one, and serve the guardian. Each step is tried though others fail.
 */

import { unlink } from 'node:fs/promises'
import { basename } from 'node:path'
import { deadline, type Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { QmpClient } from './qmp-client.ts'
import { ask } from './qmp-replies.ts'
import { devicePath } from './qom.ts'

export interface Sweep {
  /** What was there and is gone: `export stillpoint-…`; for the log. */
  readonly removed: readonly string[]
  /** What could not be removed, each with its reason. */
  readonly problems: readonly string[]
  /** Scratch files that the removed nodes used, now unused. */
  readonly scratchFiles: readonly string[]
}

/** For a killed run's leftovers; a filter is removed only after I/O under way has ended. */
const ABANDONED_MS = 20_000
/** Removing an export or a job ends a moment after the command. */
const GONE_TRIES = 100
const GONE_PAUSE_MS = 20

interface Job {
  readonly client: QmpClient
  readonly prefix: string
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly removed: string[]
  readonly problems: string[]
}

/**
 * Removes every node, export and job whose name starts with `prefix` and unlinks the scratch files
 * behind. `stopNbd` ends the NBD server too, once nobody else's export is there. Throws only when
 * the machine cannot be asked at all (`machine-lost`, `timed-out`).
 */
export async function sweepMachine(
  client: QmpClient, prefix: string, stopNbd: 'never' | 'if-found' | 'always', clock: Clock,
  signal: AbortSignal,
): Promise<Sweep> {
  const job: Job = { client, prefix, clock, signal, removed: [], problems: [] }
  const hadExports = await removeExports(job)
  if (stopNbd === 'always' || (stopNbd === 'if-found' && hadExports)) await stopServer(job)
  const scratchFiles = await scratchFilesOf(job)
  await removeNodes(job, 'snapshot-access') // before the jobs, whose filters they read
  await cancelJobs(job)
  await switchBack(job)
  await removeNodes(job)
  for (const file of scratchFiles) await removeFile(job, file)
  return { removed: job.removed, problems: job.problems, scratchFiles }
}

async function attempt(job: Job, what: string, step: () => Promise<unknown>): Promise<void> {
  try {
    await step()
    job.removed.push(what)
  } catch (error) {
    if (isFault(error, 'machine-lost')) throw error
    job.problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

async function removeExports(job: Job): Promise<boolean> {
  const { client, prefix, signal } = job
  const mine = async (): Promise<readonly string[]> =>
    (await ask(client, 'query-block-exports', signal))
      .map(({ id }) => id).filter((id) => id.startsWith(prefix))
  const found = await mine()
  for (const id of found) {
    await attempt(job, `export ${id}`, () =>
      client.execute('block-export-del', { id, mode: 'hard' }, signal))
  }
  await until(job, async () => (await mine()).length === 0)
  return found.length > 0
}

async function stopServer(job: Job): Promise<void> {
  const foreign = await ask(job.client, 'query-block-exports', job.signal)
  if (foreign.length > 0) {
    job.problems.push(`the NBD server is left for export ${printable(foreign[0]?.id ?? '')}`)
    return
  }
  await attempt(job, 'NBD server', () => job.client.execute('nbd-server-stop', {}, job.signal))
}

async function cancelJobs(job: Job): Promise<void> {
  const { client, prefix, signal } = job
  const mine = async (): Promise<readonly string[]> =>
    (await ask(client, 'query-jobs', signal))
      .map(({ id }) => id).filter((id) => id.startsWith(prefix))
  for (const device of await mine()) {
    await attempt(job, `job ${device}`, () =>
      client.execute('block-job-cancel', { device, force: true }, signal))
  }
  await until(job, async () => (await mine()).length === 0)
}

/** Lets each device read and write its own node again where it does so through a filter of ours. */
async function switchBack(job: Job): Promise<void> {
  const { client, prefix, signal } = job
  const filtered = (await ask(client, 'query-block', signal)).flatMap((entry) => {
    const filter = entry.inserted?.['node-name'] ?? ''
    return entry.qdev !== undefined && filter.startsWith(prefix)
      ? [{ path: devicePath(entry.qdev), filter }] : []
  })
  if (filtered.length === 0) return
  const nodeUnder = await nodesUnderFilters(client, signal)
  for (const { path, filter } of filtered) {
    await attempt(job, `filter of ${printable(path)}`, () => {
      const value = nodeUnder.get(filter)
      if (value === undefined) throw new Fault('platform-protocol', 'the node below is not told')
      return client.execute('qom-set', { path, property: 'drive', value }, signal)
    })
  }
}

/** The node below each node, by name. The graph is a query for debugging; 4.0 to 10 have it. */
async function nodesUnderFilters(
  client: QmpClient, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const { nodes, edges } = await ask(client, 'x-debug-query-block-graph', signal)
  const names = new Map(nodes.map(({ id, name }) => [id, name]))
  return new Map(edges.filter(({ name }) => name === 'file')
    .map(({ parent, child }) => [names.get(parent) ?? '', names.get(child) ?? '']))
}

/**
 * Deletes nodes, those above others first: QEMU refuses a node in use, so rounds are made until
 * one removes nothing.
 */
async function removeNodes(job: Job, driver?: string): Promise<void> {
  const { client, prefix, signal } = job
  const mine = async (): Promise<readonly string[]> =>
    (await ask(client, 'query-named-block-nodes', signal, { flat: true }))
      .filter(({ drv }) => driver === undefined || drv === driver)
      .map((node) => node['node-name'])
      .filter((name) => name.startsWith(prefix))
  let left = await mine()
  let problems: string[] = []
  for (let before = Infinity; left.length > 0 && left.length < before; left = await mine()) {
    before = left.length
    problems = []
    for (const name of left) {
      try {
        await client.execute('blockdev-del', { 'node-name': name }, signal)
        job.removed.push(`node ${name}`)
      } catch (error) {
        if (isFault(error, 'machine-lost')) throw error
        problems.push(`node ${name}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
  }
  if (left.length > 0) job.problems.push(...problems)
}

async function scratchFilesOf({ client, prefix, signal }: Job): Promise<readonly string[]> {
  const nodes = await ask(client, 'query-named-block-nodes', signal, { flat: true })
  const files = nodes
    .filter((node) => node['node-name'].startsWith(prefix) && node.drv === 'qcow2')
    .map(({ file }) => file)
  // Never a file that is not named as ours: a filter shows the name of the disk's own image.
  return [...new Set(files)].filter((file) => basename(file).startsWith(prefix))
}

async function removeFile(job: Job, file: string): Promise<void> {
  try {
    await unlink(file)
    job.removed.push(`file ${file}`)
  } catch (error) {
    const isGone = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (!isGone) job.problems.push(`file ${file}: ${String(error)}`)
  }
}

async function until(job: Job, isTrue: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < GONE_TRIES; tries++) {
    if (await isTrue()) return
    await job.clock.sleep(GONE_PAUSE_MS, job.signal)
  }
}

/** For the guardian of a dead requestor: connects, and sweeps what that one made. */
export async function sweepAbandoned(
  qmpPath: string, prefix: string, clock: Clock): Promise<void> {
  using limit = deadline(clock, ABANDONED_MS, 'the clean-up')
  await using client = await QmpClient.connect(qmpPath, clock, limit.signal)
  await sweepMachine(client, prefix, 'if-found', clock, limit.signal)
}
