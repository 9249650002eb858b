/**
 * Builds of ESXi whose changed block tracking is known to lose changes, as VMware lists them. Pure.
 *
 * - KB 317933: 6.0 forgets what is written while a snapshot is merged; patch ESXi600-201511001 ends
 *   that, and change ids from before it must never be used again.
 * - KB 310751: 4.x and 5.x are wrong for a disk that was made larger past a multiple of 128 GB,
 *   until tracking is switched off and on. Later builds of 5.x are not, but the disk may be older.
 */

/** Of the host that runs the machine, as it states it: `6.5.0` and `5969303`. */
export interface HostBuild {
  readonly version: string
  readonly build: number
}

const FIRST_GOOD_6_0 = 3_247_720
const BOUNDARY_BYTES = 128 * 1000 ** 3

/** Whether what such a host tells of the changes of a disk of that size is not to be used. */
export function isTrackingFlawed(
  { version, build }: HostBuild, { sizeBytes }: { readonly sizeBytes: number }): boolean {
  if (/^6\.0(\.|$)/.test(version)) return build < FIRST_GOOD_6_0
  return /^[45]\./.test(version) && sizeBytes > BOUNDARY_BYTES
}
