/** What is on a volume instead of a file system: swap, LVM, LUKS; and ISO 9660. */

import { findLvmLabel, lvmUuid } from './lvm-label.ts'
import { cString, names, uuidText } from './text.ts'
import type { Recognised } from './volume.ts'

const PAGE_SIZES = [4096, 8192, 16_384, 32_768, 65_536]
/** What the kernel, uswsusp and TuxOnIce put in the signature's place (blkid knows the same). */
const HIBERNATED = [
  'S1SUSPEND', 'S2SUSPEND', 'ULSUSPEND', 'LINHIB0001', '\xed\xc3\x02\xe9\x98\x56\xe5\x0c',
]

/** Swap space (mkswap(8)); `active` if a hibernated machine's memory is in it. */
export function recogniseSwap(head: Buffer): Recognised | undefined {
  for (const page of PAGE_SIZES) {
    if (head.length < page) return undefined
    const signature = head.toString('latin1', page - 10, page)
    const isHibernated = HIBERNATED.some((known) => signature.startsWith(known))
    if (!isHibernated && signature !== 'SWAPSPACE2' && signature !== 'SWAP-SPACE') continue
    return {
      kind: 'swap',
      ...names(uuidText(head.subarray(1036, 1052)), cString(head.subarray(1052, 1068))),
      activity: isHibernated ? 'active' : 'clean',
      detail: isHibernated ? 'holds the memory of a hibernated machine' : 'no hibernation image',
    }
  }
  return undefined
}

/** An LVM2 physical volume; lvm-label.ts reads more of it. */
export function recogniseLvm2(head: Buffer): Recognised | undefined {
  const label = findLvmLabel(head)
  if (label === undefined) return undefined
  return {
    kind: 'lvm2', ...names(lvmUuid(label), undefined), activity: 'unknown',
    detail: 'a physical volume of LVM',
  }
}

/** LUKS 1 and 2 (the LUKS on-disk format specifications). */
export function recogniseLuks(head: Buffer): Recognised | undefined {
  if (head.length < 512 || head.toString('latin1', 0, 6) !== 'LUKS\xba\xbe') return undefined
  const version = head.readUInt16BE(6)
  if (version !== 1 && version !== 2) return undefined
  const label = version === 2 ? cString(head.subarray(24, 72)) : undefined
  return {
    kind: 'luks', ...names(cString(head.subarray(168, 208)), label), activity: 'unknown',
    detail: `LUKS ${version}, encrypted`,
  }
}

/** ISO 9660 (ECMA-119): the first volume descriptor, in sector 16. */
export function recogniseIso9660(head: Buffer): Recognised | undefined {
  if (head.length < 34_816 || head.toString('latin1', 32_769, 32_774) !== 'CD001') return undefined
  return {
    kind: 'iso9660', ...names(undefined, cString(head.subarray(32_808, 32_840))),
    activity: 'clean', detail: 'read-only by nature',
  }
}
