/** What one volume holds: every recogniser there is, the unmistakable ones first. */

import { recogniseBlank } from './blank.ts'
import { recogniseIso9660, recogniseLuks, recogniseLvm2, recogniseSwap } from './containers.ts'
import { recogniseBtrfs, recogniseExt, recogniseXfs } from './linux-file-systems.ts'
import { recogniseNtfs } from './ntfs.ts'
import { recogniseVfat } from './vfat.ts'
import type { Recognised } from './volume.ts'
import type { Window } from './window.ts'

/** Every signature but NTFS's records lies in here; btrfs's superblock is the last. */
const HEAD_BYTES = 65_536 + 4096

/** Damage is not a fault but the kind `unknown`; faults are those of reading. */
export async function recognise(volume: Window): Promise<Recognised> {
  const head = await volume.read(0, Math.min(HEAD_BYTES, volume.length)) ?? Buffer.alloc(0)
  return recogniseLuks(head) ?? recogniseLvm2(head) ?? recogniseBtrfs(head) ??
    await recogniseXfs(head, volume) ?? recogniseExt(head) ?? recogniseSwap(head) ??
    recogniseIso9660(head) ?? await recogniseNtfs(head, volume) ?? recogniseVfat(head) ??
    await recogniseBlank(head, volume) ??
    { kind: 'unknown', activity: 'unknown', detail: 'no known signature' }
}
