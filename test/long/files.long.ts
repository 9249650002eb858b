/** NTFS, damaged a hundred thousand times, STILLPOINT_SEEDS says how often instead; and large. */

import { test } from 'node:test'
import { damageAndRead, ntfsWithFiles } from '../hostile/damage-files.ts'
import { cannotMountNtfs as skip } from '../interop/mounted-ntfs.ts'
import { compareNtfs } from '../interop/ntfs-contents.ts'

const SEEDS = Number(process.env['STILLPOINT_SEEDS'] ?? 100_000)

test(`files of NTFS, damaged ${SEEDS} times`, { skip },
  async (t) => damageAndRead(await ntfsWithFiles(t), SEEDS, t))

test('an NTFS of the largest clusters is read as ntfs-3g reads it', { skip },
  (t) => compareNtfs(1600, ['-c', '2097152'], t))
