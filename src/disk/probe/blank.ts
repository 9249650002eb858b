/** Volumes that nothing was ever written to, as far as a few samples tell. */

import { isZero } from '../../base/zero.ts'
import type { Recognised } from './volume.ts'
import type { Window } from './window.ts'

const SAMPLES = 16
const SAMPLE_BYTES = 4096
/** Where MD, DRBD and the second GPT keep what they know of a volume. */
const TAIL_BYTES = 128 * 1024
/** Where VMFS and ZFS have labels, past what `head` shows. */
const KNOWN_PLACES = [256 * 1024, 1024 * 1024]

/**
 * `blank` if `head`, the last 128 KiB and samples between are zeros. Something may lie between the
 * samples: who leaves a blank volume out of account says so with the `detail`.
 */
export async function recogniseBlank(
  head: Buffer, volume: Window): Promise<Recognised | undefined> {
  if (head.length === 0 || !isZero(head)) return undefined
  const spread = Array.from({ length: SAMPLES }, (_, i) =>
    Math.floor(volume.length * (i + 1) / (SAMPLES + 1) / SAMPLE_BYTES) * SAMPLE_BYTES)
  for (const at of [...KNOWN_PLACES, ...spread]) {
    // Of a small volume all is in the head and the tail.
    if (!isZero(await volume.read(at, SAMPLE_BYTES) ?? Buffer.alloc(0))) return undefined
  }
  const tail = Math.min(TAIL_BYTES, volume.length)
  const end = await volume.read(volume.length - tail, tail)
  if (end === undefined || !isZero(end)) return undefined
  return {
    kind: 'blank', activity: 'unknown',
    detail: `zeros in the first ${head.length} bytes, the last ${tail} and ${SAMPLES} samples`,
  }
}
