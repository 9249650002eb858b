/**
 * Opens, lists and checks the repository in the folder named by the argument, and restores what is
 * readable below it; prints one JSON object: how each ended, and the most memory it took.
 */

import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { isFault } from '../../src/base/fault.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Secret } from '../../src/base/secret.ts'
import { readRestorePoints, type ListedPoint } from '../../src/catalog/mod.ts'
import { restoreDisks } from '../../src/recovery/mod.ts'
import { checkRepository, openRepository } from '../../src/repository/mod.ts'
import { openLocalStorage } from '../../src/storage/mod.ts'

const folder = process.argv[2] ?? ''
const signal = new AbortController().signal
await using storage = openLocalStorage(join(folder, 'repository'))
await using repository = await openRepository(storage, {
  password: new Secret('correct horse'), hostname: 'test', clock: systemClock,
  random: systemRandom, log: silentLog }, signal)

async function codeOf(call: () => Promise<string>): Promise<string> {
  try {
    return await call()
  } catch (error) {
    if (!isFault(error)) throw error
    return error.code
  }
}

let points: readonly ListedPoint[] = []
const list = await codeOf(async () => {
  points = await readRestorePoints(repository, signal)
  return points.map(({ state }) => state).join()
})
const restore = await codeOf(async () => {
  for (const point of points) {
    if (point.state === 'damaged') continue
    await restoreDisks({ repository, point, folder: join(folder, 'target'), format: 'raw',
      copying: { workers: 1 } }, () => {}, systemClock, signal)
    return 'restored'
  }
  return 'nothing to restore'
})
const check = await codeOf(async () =>
  (await checkRepository(repository, { readData: true }, () => {}, signal)).isSound
    ? 'sound' : 'unsound')
const peakBytes = process.resourceUsage().maxRSS * 1024
process.stdout.write(`${JSON.stringify({ list, restore, check, peakBytes })}\n`)
