/**
 * What a platform knows of a disk's changes since an earlier point (docs/change-tracking.md).
 *
 * Tracking belongs to one repository and names the point it began at, so that two repositories
 * never disturb one another and a change record is never applied to the wrong base.
 */

export interface TrackingRequest {
  /** Of the repository that the point goes to: 64 hexadecimal digits. */
  readonly repositoryId: string
  /** UUIDs of the machine's points that are sealed there, oldest first. */
  readonly sealed: readonly string[]
}

/** Since when the changes of a disk are known, or why all of it has to be read. */
export type DiskBase =
  | { readonly since: string }
  | { readonly full: FullReason }

export const FULL_REASONS = {
  'asked-for': 'a full read was asked for',
  'first-backup': 'this is the first backup of the disk into this repository',
  'not-tracked': 'the platform does not track the changes of this disk',
  'other-repository': 'its changes were tracked for another repository only',
  'bitmap-gone': 'the record of its changes is gone',
  'bitmap-inconsistent': 'the record of its changes was not saved when the machine was killed',
  'base-gone': 'the point that the record of its changes began at is not in the repository',
  'base-damaged': 'the point that the record of its changes began at cannot be read whole',
  'disk-replaced': 'the point that the record of its changes began at does not hold this disk',
  'disk-resized': 'the size of the disk has changed',
  'tracking-reset': 'the platform has begun to record its changes anew',
  'tracking-flawed': 'this build of the platform is known to lose changes',
  'changes-refused': 'the platform did not tell its changes',
  'audit-failed': 'a sample showed changes that the record of its changes does not have',
} as const satisfies Record<string, string>

export type FullReason = keyof typeof FULL_REASONS

/**
 * A prepared set's change tracking. From the instant on, changes since the new point are recorded
 * beside those since the base.
 */
export interface SetTracking {
  /** By disk id; for every disk of the set. A disk's source has `changes` if it has a base. */
  readonly bases: ReadonlyMap<string, DiskBase>
  /**
   * Tells that the new point is sealed: disposing the set makes it the base. Without this,
   * disposing puts the tracking back as if there had been no run. After a kill the next `prepare`
   * does one or the other, by what its request says is sealed.
   */
  sealed(): void
}
