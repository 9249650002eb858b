/** What a backup tells while it runs: for progress bars and the log, never for decisions. */

export type BackupPhase =
  | 'preparing' // discovery, checks, connections
  | 'holding' // the hold: nothing is printed until it is over
  | 'judging' // disks read again, file systems looked at
  | 'reading' // the captured disks into the repository
  | 'sealing' // index, evidence, snapshot file
  | 'releasing' // the snapshot is taken down

export type BackupEvent =
  | { readonly kind: 'phase'; readonly phase: BackupPhase }
  | {
      readonly kind: 'reading'
      readonly diskId: string
      /** Bytes of the disk dealt with so far, holes included. */
      readonly doneBytes: number
      readonly sizeBytes: number
      /** Bytes read from all disks, and stored for them, so far. */
      readonly bytesRead: number
      readonly bytesAdded: number
    }
