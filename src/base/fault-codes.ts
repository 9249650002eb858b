/**
 * The closed set of fault codes: what each means and the exit code the program ends with.
 *
 * `docs/faults.md` repeats this table for the operator; `npm run check` holds the two together.
 */

export interface FaultMeaning {
  /** One sentence, shown in docs/faults.md. */
  readonly meaning: string
  readonly exitCode: 1 | 2 | 10 | 11 | 12 | 130
}

const fault = (meaning: string, exitCode: FaultMeaning['exitCode'] = 1): FaultMeaning => ({
  meaning,
  exitCode,
})

export const FAULT_CODES = {
  // The command line, configuration and this host.
  'usage': fault('The command line cannot be understood.', 2),
  'config-invalid': fault('The configuration file has an error.', 2),
  'interrupted': fault('The operator interrupted the run.', 130),
  'timed-out': fault('A step did not finish within its limit.'),
  'io-error': fault('A file or device of this host could not be read or written.'),
  'no-space': fault('A file system of this host is full.'),
  'not-found': fault('Something that was named does not exist.'),
  'already-exists': fault('Something to be created exists already.'),
  'program-missing': fault('A program that is needed is not installed.'),
  'program-failed': fault('A program that was started ended with an error.'),
  'worker-failed': fault('A worker thread ended unexpectedly.'),
  'demo-failed': fault('The demonstration did not show what it should.'),
  'unsupported': fault('The thing asked for is known and not supported.'),

  // Disks and NBD.
  'disk-unreadable': fault('A disk could not be read.'),
  'disk-lost': fault('The connection to a disk broke while it was in use.'),
  'nbd-protocol': fault('An NBD peer sent something the protocol forbids.'),
  'nbd-refused': fault('An NBD server refused the export or an option.'),
  'out-of-range': fault('A range lies outside the disk.'),

  // Stores and the repository.
  'storage-failed': fault('The store did not carry out an operation.'),
  'no-repository': fault('There is no repository at this place.', 10),
  'repository-exists': fault('There is a repository at this place already.'),
  'repository-damaged': fault('A file of the repository is damaged or contradicts another.'),
  'repository-unsupported': fault('The repository has a format that is not supported.'),
  'locked': fault('Another process holds a lock on the repository.', 11),
  'lock-lost': fault('A lock on the repository could not be refreshed in time.', 11),
  'wrong-password': fault('No key of the repository opens with this password.', 12),
  'point-not-found': fault('No restore point fits the given name.'),
  'point-invalid': fault('A restore point lacks a part or has one that cannot be understood.'),
  'evidence-invalid': fault('Signed evidence, or a signed record, cannot be understood.'),
  'evidence-key-invalid': fault('The key that signs evidence cannot be used.'),

  // Machines, guests and the hold.
  'machine-not-found': fault('No machine fits the given name.'),
  'platform-unreachable': fault('The platform that runs the machine cannot be reached.'),
  'platform-protocol': fault('The platform sent something its protocol forbids.'),
  'platform-refused': fault('The platform refused a command.'),
  'machine-lost': fault('The machine went away during the run.'),
  'machine-busy': fault('Another backup or export is at work on the machine.'),
  'machine-not-ready': fault('The machine is in a state in which it cannot be captured.'),
  'agent-unreachable': fault('The agent inside the guest does not answer.'),
  'agent-protocol': fault('The agent inside the guest sent something its protocol forbids.'),
  'agent-refused': fault('The agent inside the guest refused a command.'),
  'guardian-failed': fault('The process that guarantees the thaw could not be started or died.'),
  'freeze-failed': fault('The guest could not be frozen.'),
  'thaw-failed': fault('The guest could not be shown to be thawed.'),
  'snapshot-failed': fault('The disks could not be captured at one instant.'),
  'snapshot-broken': fault('The captured instant was lost before it was read to the end.'),
  'scratch-full': fault('Scratch space ran out before the capture was read to the end.'),
  'chain-broken': fault('A virtual disk\'s parent is missing, or was changed since.'),
  'chain-not-flat': fault('A disk lies on a chain of files, which cannot be read as one.'),
  'nothing-to-back-up': fault('The machine has no disk that can be captured.'),
  'writer-timeout': fault('An application did not hold still within its limit.'),
  'writer-failed': fault('An application refused to hold still.'),
  'weaker-than-required': fault('The backup would be weaker than the policy allows.'),
  'torn': fault('The data captured does not belong to one instant.'),
} as const satisfies Record<string, FaultMeaning>

export type FaultCode = keyof typeof FAULT_CODES
