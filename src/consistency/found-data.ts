/**
 * Data on a machine that no writer of its own has been asked about: found by its files, or by the
 * service that keeps it. The SPI is for a platform that holds a machine from inside.
 */

import type { ApplicationEvidence } from './evidence.ts'

export interface FoundData extends Pick<ApplicationEvidence, 'kind' | 'recovery'> {
  /** Printable, and unique among those that were found together. */
  readonly name: string
  /** Its files or folders, absolute; empty: not known where it lies. */
  readonly paths: readonly string[]
  /** What the operator can do about it. */
  readonly advice: string
  /** What the name of the writer begins with that holds it, where that writer is there. */
  readonly heldBy?: string
}

export interface PlacesToLookAt {
  /** Folders that are looked through: where the machine's file systems are mounted. */
  readonly roots: readonly string[]
  /** Where its system lies, which nobody keeps data in: `C:\\Windows`. */
  readonly systemFolder: string
  /** Services that run; a reason where they cannot be told. */
  readonly services: readonly RunningService[] | { readonly unknown: string }
}

export interface RunningService {
  readonly name: string
  /** As it was started: the program, quoted or not, with its arguments. */
  readonly command: string
}

/**
 * Finds data in these places within limits of its own. A look that is cut off says so as one of
 * what it found. Changes nothing. Faults: the signal's reason.
 */
export type FindData = (
  places: PlacesToLookAt, signal: AbortSignal) => Promise<readonly FoundData[]>

/** What no writer holds, with the disks it lies on. */
export interface UnheldApplication
  extends Pick<FoundData, 'name' | 'kind' | 'recovery' | 'advice'>,
  Pick<ApplicationEvidence, 'data'> {}
