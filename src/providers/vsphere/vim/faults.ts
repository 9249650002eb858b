/** What the faults of vim25 mean to an operator: our code, and what to do. */

import { Fault, type FaultCode, type Retry } from '../../../base/fault.ts'
import { printable } from '../../../base/text.ts'
import { VimFault } from './soap.ts'
import { textAt } from '../../../base/xml.ts'

interface Meaning {
  readonly code: FaultCode
  readonly advice?: string
  readonly retry?: Retry
}

const QUIESCE: Meaning = {
  code: 'freeze-failed',
  advice: 'See the log of VMware Tools in the guest (vmbackup) and of its freeze scripts.',
}

const MEANINGS: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ['InvalidLogin', { code: 'platform-refused', advice: 'Check user and password file.' }],
  ['NoPermission', {
    code: 'platform-refused',
    advice: 'Give the account this privilege; docs/operations/vmware.md lists all it needs.' }],
  ['NotAuthenticated', { code: 'platform-refused', advice: 'Check user and password file.' }],
  ['RestrictedVersion', {
    code: 'platform-refused',
    advice: 'The licence of this host allows no backup through its interface.' }],
  ['MethodDisabled', {
    code: 'platform-refused',
    advice: 'Another product switched this off for the machine; let it finish, or enable it.' }],
  ['ManagedObjectNotFound', { code: 'machine-lost' }],
  ['InvalidPowerState', { code: 'machine-not-ready', retry: 'later' }],
  ['InvalidState', { code: 'machine-not-ready', retry: 'later' }],
  ['InvalidVmState', { code: 'machine-not-ready', retry: 'later' }],
  ['TaskInProgress', {
    code: 'machine-busy', retry: 'later', advice: 'Wait until the other task has ended.' }],
  ['ResourceInUse', { code: 'machine-busy', retry: 'later' }],
  ['ApplicationQuiesceFault', QUIESCE],
  ['FilesystemQuiesceFault', QUIESCE],
  ['ToolsUnavailable', {
    code: 'freeze-failed',
    advice: 'Install and start VMware Tools (open-vm-tools) in the guest.' }],
  ['SnapshotFault', { code: 'snapshot-failed' }],
  ['SnapshotLocked', { code: 'snapshot-failed', retry: 'later' }],
  ['SnapshotDisabled', {
    code: 'snapshot-failed', advice: 'Snapshots are switched off for this machine.' }],
  ['SnapshotNoChange', { code: 'snapshot-failed' }],
  ['SnapshotIncompatibleDeviceInVm', {
    code: 'snapshot-failed',
    advice: 'Take away the device (a physical raw disk, a shared bus, a pass-through device).' }],
  ['MemorySnapshotOnIndependentDisk', { code: 'snapshot-failed' }],
  ['MultipleSnapshotsNotSupported', {
    code: 'snapshot-failed', advice: 'Remove the machine\'s other snapshot.' }],
  ['TooManySnapshotLevels', {
    code: 'snapshot-failed', advice: 'Remove snapshots of the machine that nobody needs.' }],
  ['FileNotFound', { code: 'disk-unreadable' }],
  ['FileFault', { code: 'disk-unreadable' }],
  ['FileLocked', { code: 'machine-busy', retry: 'later' }],
  ['FileAlreadyExists', { code: 'already-exists' }],
  ['DuplicateName', { code: 'already-exists' }],
  ['NoDiskSpace', { code: 'no-space' }],
  ['InsufficientResourcesFault', { code: 'platform-refused', retry: 'later' }],
  ['HostCommunication', { code: 'platform-unreachable', retry: 'later' }],
  ['HostNotConnected', { code: 'platform-unreachable', retry: 'later' }],
  ['HostNotReachable', { code: 'platform-unreachable', retry: 'later' }],
  ['MethodNotFound', { code: 'unsupported' }],
  ['NotSupported', { code: 'unsupported' }],
  ['NotImplemented', { code: 'unsupported' }],
])

/** A `VimFault` as a Fault that says what was being done; everything else as it is. */
export function faultFrom(error: unknown, doing: string): unknown {
  if (!(error instanceof VimFault)) return error
  const { code, advice, retry } = MEANINGS.get(error.type) ?? { code: 'platform-refused' }
  return new Fault(code, `vSphere refused ${doing}${privilegeOf(error)}`, {
    cause: error,
    ...advice === undefined ? {} : { advice },
    ...retry === undefined ? {} : { retry },
  })
}

function privilegeOf({ type, detail }: VimFault): string {
  if (type !== 'NoPermission') return ''
  const id = textAt(detail, 'privilegeId')
  return id === undefined ? '' : `: the account lacks the privilege ${printable(id, 64)}`
}
