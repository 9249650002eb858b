/**
 * Every reason a grade can have: the highest grade it leaves possible, what it says to the
 * operator and what raises it. `docs/grades.md` repeats this table; a test holds the two together.
 */

import { printable } from '../base/text.ts'
import { isWeaker, weakest, type Grade } from './grade-scale.ts'

interface ReasonMeaning {
  /** No grade above this one while the reason stands. */
  readonly cap: Grade
  /** One sentence; `{}` stands for the subject. */
  readonly says: string
  /** What the operator can do, one sentence; empty where there is nothing to raise. */
  readonly raise: string
}

const means = (cap: Grade, says: string, raise = ''): ReasonMeaning => ({ cap, says, raise })

export const REASONS = {
  // Not one instant.
  'nothing-captured': means('torn', 'No disk was captured.', 'Exclude fewer disks.'),
  'not-one-instant': means('torn', 'The method {} does not capture all disks at one instant.',
    'Back up with a provider that captures all disks at one instant.'),
  'read-broken': means('torn', 'The captured instant was lost while it was being read: {}.',
    'Give more scratch space, or run again when the machine writes less.'),
  'not-read-to-end': means('torn', 'The captured instant of {} was not read to its end.',
    'Run the backup again.'),

  // What is stored is not shown to be what was sealed.
  'altered-since-seal': means('torn', 'The point was altered after it was sealed: {}.',
    'Rely on another point, and find out who changed the repository.'),
  'evidence-forged': means('torn', 'The signature of the evidence is not that of its key.',
    'Rely on another point, and find out who changed the repository.'),
  'signer-not-pinned': means('torn', 'The evidence is signed by a key that is not pinned: {}.',
    'If the key is one of yours, pin its fingerprint too (evidence.fingerprint).'),

  // Nothing was held.
  'no-agent-configured': means('crash', 'No guest agent is configured for the machine: {}.',
    'Give the machine an agent channel and install the agent in the guest.'),
  'agent-silent': means('crash', 'The guest agent does not answer: {}.',
    'Install and start qemu-guest-agent in the guest.'),
  'agent-disabled': means('crash', 'The guest agent refuses to freeze: {}.',
    'Allow the freeze commands in the configuration of the agent.'),
  'agent-busy': means('crash', 'Somebody else holds the connection to the guest agent: {}.',
    'End the other user of the agent, or back up at another time.'),
  'freeze-would-truncate-logs': means('crash', 'The guest was not asked to hold still, since its ' +
    'applications could then truncate their logs: {}.',
    'Run that command in the guest, or accept it for this machine: acceptLogTruncation: true.'),
  'freeze-declined': means('crash', 'The operator asked for no freeze.', 'Allow the freeze.'),
  'paused': means('crash', 'The machine was paused, so its guest could not be asked to freeze.',
    'Back it up while it runs or while it is shut down.'),
  'saved': means('crash', 'The machine was saved to disk while running, not shut down.',
    'Back it up while it runs or while it is shut down.'),
  'powered-off': means('crash', 'The machine was taken for powered off although it was not.',
    'Run the backup again.'),

  // Powered off, but not shown to be at rest.
  'power-changed': means('crash', 'The machine was powered off at first and not afterwards.',
    'Run the backup again.'),
  'power-unknown': means('crash', 'It is not known that the machine stayed powered off.',
    'Use a provider that can tell the power state after the snapshot.'),
  'hibernated': means('crash', 'The machine hibernates, or may: {}.',
    'Start it and shut it down.'),
  'image-not-clean': means('crash', 'A disk does not show a clean shutdown: {}.',
    'Start the machine and shut it down.'),

  // The hold failed or does not span the instant.
  'freeze-failed': means('crash', 'The guest could not be frozen: {}.',
    'See the log of the agent in the guest; hooks that fail stop the freeze.'),
  'nothing-frozen': means('crash', 'The agent says that it froze no file system.',
    'Check which file systems the agent may freeze.'),
  'hold-too-long': means('crash', 'The hold of {} passed its limit.',
    'Raise the limit of the hold, or find out why the snapshot takes so long.'),
  'hold-not-across': means('crash',
    'The guest was not held from before the instant until after it.',
    'Run the backup again; raise the limit of the hold if this stays.'),
  'thawed-early': means('crash', 'The guardian thawed the guest before the snapshot was done.',
    'Raise the limit of the hold, or find out why the snapshot takes so long.'),
  'found-thawed': means('crash', 'The guest was no longer frozen when it was to be thawed.',
    'Find out what else in the guest or on its host thaws file systems.'),
  'thaw-unknown': means('crash', 'The thaw was not confirmed, so the hold is not either: {}.',
    'Check that the guest is thawed, and why its agent stopped answering.'),
  'thaw-count-unknown': means('crash', 'The agent did not say how many file systems it thawed.',
    'Repair the thaw hook of the agent: when it fails, the agent states no count.'),
  'thaw-count-differs': means('crash', 'Not as many file systems were thawed as were frozen: {}.',
    'Find out what else in the guest thaws or freezes file systems.'),
  'platform-held-nothing': means('crash', 'The platform took the snapshot without quiescing.',
    'Install and start the tools of the platform in the guest.'),
  'platform-claim-unproven': means('crash', 'The platform says it quiesced, but nothing shows it.',
    'See the records of the platform for what became of the quiescing.'),

  // A file system is not accounted for.
  'disk-not-probed': means('crash', 'It is not known which file systems disk {} holds.',
    'Run the backup again; the disk may be unreadable.'),
  'file-systems-unlisted': means('crash', 'The agent gave no list of its file systems: {}.',
    'Allow guest-get-fsinfo in the configuration of the agent.'),
  'file-systems-changed': means('crash',
    'File systems were mounted or unmounted during the backup, so {} may not have been frozen.',
    'Back up when nothing is being mounted.'),
  'freeze-count-differs': means('crash',
    'The agent did not freeze as many file systems as it lists, and {} may not be among them.',
    'Look for a file system that something else holds frozen or that cannot be frozen.'),
  'image-contradicts': means('crash', 'The disk shows that {} was in use at the instant.',
    'Find out what thawed it, or whether the agent sees the same disks.'),
  'not-listed-in-use': means('crash', 'The agent does not know {}, which was in use.',
    'Mount it where the agent sees it, or exclude its disk.'),
  'not-listed-silent': means('crash',
    'The agent does not know {}, and the disk cannot tell whether it was in use.',
    'Mount it where the agent sees it, or exclude its disk.'),
  'not-on-disk': means('crash', 'The agent lists {}, and the captured disk holds no such thing.',
    'Check that the agent connection belongs to this machine.'),
  'contents-unexplained': means('crash',
    'What {} holds is hidden, and the agent knows no file system there.',
    'Exclude its disk, or mount what it holds.'),
  'unfreezable': means('crash', '{} is of a type that cannot be frozen.',
    'Move its data to another type of file system, or exclude its disk.'),
  'spans-left-out-disk': means('crash', '{} lies partly on a disk that was left out.',
    'Back up all disks it lies on.'),
  'no-file-system-held': means('crash', 'No file system of the captured disks was frozen.',
    'Check which file systems the agent sees.'),

  // Applications.
  'applications-unknown': means('filesystem',
    'It could not be found out which applications keep data on the machine: {}.',
    'Give Stillpoint a channel into the guest.'),
  'awaiting-guest-log': means('filesystem',
    'The platform held the guest\'s applications and does not say which: that stands in the ' +
    'guest\'s own log.',
    'After the next backup run stillpoint prove --logs: it says what that log shows.'),
  'no-applications-known': means('filesystem', 'No application that should hold still is known.',
    'Name the applications, or declare applications: none.'),
  'application-not-covered': means('filesystem', 'Data of {} is not in the restore point.',
    'Back up the disks it lies on, or back that data up by other means.'),
  'application-data-unknown': means('filesystem', 'It is not known where all data of {} lies.',
    'Let the writer read the configuration of the application.'),
  'no-writer': means('filesystem', 'No writer can tell {} to hold still.',
    'Stop it for the backup, or rely on its own recovery.'),
  'no-channel': means('filesystem', 'There is no way to reach {} in the guest.',
    'Give Stillpoint a channel into the guest.'),
  'hook-ignored': means('filesystem',
    'The guest agent of the platform runs no hook that would tell {} of a freeze.',
    'Run stillpoint agent install, and do what it says.'),
  'hook-not-run': means('filesystem', 'The freeze was not seen by the agent that was to hold {}.',
    'Run stillpoint agent status: it says whether hooks are run.'),
  'hook-failed': means('filesystem', 'The freeze hook let {} go, since another did not hold still.',
    'See why that one did not.'),
  'writer-not-reachable': means('filesystem', '{} did not let its writer in.',
    'Check the account and the address that the writer uses.'),
  'would-truncate-logs': means('filesystem',
    'Holding {} through the service in the guest could truncate its logs, so it was not asked.',
    'Set the VSS backup type of the service to COPY.'),
  'writer-declined': means('filesystem', 'The operator asked not to hold {}.', 'Allow its writer.'),
  'writer-not-tried': means('filesystem',
    '{} was not asked to hold still, since the file systems could not be held.',
    'Make it possible to freeze the file systems.'),
  'writer-failed': means('filesystem', '{} did not hold still.',
    'See the log of the application.'),
  'writer-hold-too-long': means('filesystem', 'The hold of {} passed its limit.',
    'Raise the limit of the writer.'),
  'writer-hold-not-across': means('filesystem',
    '{} was not held from before the instant until after it.',
    'Run the backup again; raise the limit of the writer if this stays.'),
  'writer-hold-lost': means('filesystem', '{} did not confirm that it held until it was released.',
    'Find out what ended its hold, for example a lost connection.'),
  'writer-statement-missing': means('filesystem', '{} stated nothing that could be kept as proof.',
    'Use a writer that records what the application answers.'),
  'positions-missing': means('filesystem', 'The log positions of {} were not recorded.',
    'Give the writer the right to read them.'),
  'durability-unsafe': means('filesystem',
    'The settings of {} do not make its committed data survive a crash.',
    'Turn on the durability settings of the application.'),
  'durability-unknown': means('filesystem', 'The durability settings of {} could not be read.',
    'Give the writer the right to read them.'),
  'platform-writer-failed': means('filesystem', 'The platform does not state that {} held still.',
    'See the records of the platform and of the guest for this writer.'),
  'writers-not-involved': means('filesystem',
    'The shadow copy was made without writers, so nobody told {} to hold still.',
    'Use a context of VSS that has writers.'),
  'writer-components-missing': means('filesystem',
    'No component of {} was added to the backup, so it heard nothing of the snapshot.',
    'See which of its volumes are missing, or why it was left out.'),
  'writer-components-left-out': means('filesystem', 'Parts of {} were not added to the backup.',
    'Back up all volumes that it keeps data on.'),
  'writer-status-unsure': means('filesystem',
    'The state of {} was read by a tool that may have seen another backup.',
    'Use the transport koffi, which asks in its own session.'),
  'guest-by-host': means('filesystem',
    '{} is a virtual machine of the host: that the host was held says nothing of its applications.',
    'Back the virtual machine up by itself.'),
  'guest-saved': means('filesystem',
    '{} is a virtual machine that was saved or off for the snapshot: it is as after a crash.',
    'Enable the integration service for backup in it, or back it up by itself.'),
  'platform-documents-missing': means('filesystem',
    'The documents of the platform do not show {} and its components.',
    'Check that the platform quiesces applications, not only file systems.'),

  // Remarks: what a grade rests on. They lower nothing.
  'clean-image': means('application', 'The machine was shut down, and its disks show it.'),
  'applications-declared-none': means('application',
    'The operator declared that no application needs to hold still.'),
  'applications-by-platform': means('application',
    'The applications are those found by {}.'),
  'boot-not-frozen': means('application', '{} cannot be frozen; it is written at updates only.'),
  'contents-hidden': means('application',
    'What {} holds was not looked at: it rests on the word of the guest or the platform.'),
} as const satisfies Record<string, ReasonMeaning>

export type ReasonCode = keyof typeof REASONS

/** Why the grade is not higher, or what it rests on. */
export interface GradeReason {
  readonly code: ReasonCode
  /** What it is about (a disk, a file system, an application …), printable; may be empty. */
  readonly subject: string
  /** One plain sentence for the operator, printable. */
  readonly sentence: string
}

/** A reason about `subject`, which may be foreign text. */
export function reason(code: ReasonCode, subject = ''): GradeReason {
  const shown = printable(subject.trim().replace(/\.$/, ''), 200)
  const sentence = shown === ''
    ? REASONS[code].says.replace(/: \{\}/, '').replace('{}', 'it')
    : REASONS[code].says.replace('{}', () => shown)
  return { code, subject: shown, sentence: sentence.replace(/^./, (c) => c.toUpperCase()) }
}

export function capOf(code: ReasonCode): Grade {
  return REASONS[code].cap
}

/** The highest grade that all `reasons` leave possible. */
export function gradeUnder(reasons: readonly GradeReason[]): Grade {
  return weakest(reasons.map((reason) => capOf(reason.code)))
}

/** The binding reasons first, otherwise in the given order; duplicates once. */
export function sortReasons(reasons: readonly GradeReason[]): readonly GradeReason[] {
  const unique = new Map(reasons.map((reason) => [`${reason.code}\n${reason.subject}`, reason]))
  return [...unique.values()].toSorted((a, b) => {
    const [capA, capB] = [capOf(a.code), capOf(b.code)]
    return isWeaker(capA, capB) ? -1 : isWeaker(capB, capA) ? 1 : 0
  })
}
