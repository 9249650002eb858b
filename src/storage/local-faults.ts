/** What the errors of a local file system mean for a store, and what the operator can do. */

import { errnoOf } from '../base/errno.ts'
import { Fault, type Retry } from '../base/fault.ts'

interface Meaning {
  readonly text: string
  readonly retry: Retry
  readonly advice: string
}

const MEANINGS: Readonly<Record<string, Meaning>> = {
  EACCES: {
    text: 'permission denied', retry: 'never',
    advice: 'Run as the owner of the repository, or correct the owner of its files.' },
  EPERM: {
    text: 'operation not permitted', retry: 'never',
    advice: 'Run as the owner of the repository, and look for immutable files (lsattr).' },
  EROFS: {
    text: 'the file system is read-only', retry: 'never',
    advice: 'Mount it writable; look into the kernel log for why it became read-only.' },
  ENOENT: {
    text: 'it does not exist', retry: 'never',
    advice: 'Check the location, and that its file system is mounted.' },
  EIO: {
    text: 'input/output error', retry: 'later',
    advice: 'Look into the kernel log: the disk or its connection is failing.' },
  ESTALE: {
    text: 'the network file system lost the file', retry: 'later',
    advice: 'Mount the network file system again.' },
  ELOOP: {
    text: 'a symbolic link stands in place of a file', retry: 'never',
    advice: 'Replace the link by the file it points to.' },
  ENOTDIR: {
    text: 'a file stands in place of a folder', retry: 'never',
    advice: 'Check that the location is the folder of a repository.' },
  EMFILE: {
    text: 'too many open files', retry: 'later',
    advice: 'Raise the limit of open files (ulimit -n).' },
}

/** The Fault for `error`, which happened when the store at `location` was to do `what`. */
export function storageFault(location: string, what: string, cause: unknown): Fault {
  const code = errnoOf(cause)
  const place = `could not ${what} at ${location}`
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new Fault('no-space', `${place}: ${code === 'EDQUOT' ? 'quota' : 'disk'} is full`, {
      cause, retry: 'later', advice: 'Free space there, or forget and prune old restore points.' })
  }
  const meaning = MEANINGS[code]
  return new Fault('storage-failed', `${place}: ${meaning?.text ?? (code || 'unknown error')}`, {
    cause, retry: meaning?.retry ?? 'later',
    advice: meaning?.advice ?? 'Look into the kernel log, and try again.' })
}
