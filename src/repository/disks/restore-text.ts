/** RESTORE.txt: how to get a machine's disks back with stock restic alone. */

import assert from 'node:assert/strict'
import { formatBytes, printable } from '../../base/text.ts'

export interface RestoreTextPoint {
  /** The machine's name, which is the snapshot's hostname. */
  readonly machine: string
  /** The folders under `/disks`: `[a-z0-9._-]{1,64}`. */
  readonly disks: readonly { readonly id: string; readonly sizeBytes: number }[]
}

const DISK_ID = /^[a-z0-9_-][a-z0-9._-]{0,63}$/

/**
 * The file's text. Its commands work as they stand with restic 0.14 and later, in bash, once the
 * three variables are set. The snapshot's id is not in it, because it is a hash of this text too.
 */
export function restoreText(point: RestoreTextPoint): string {
  const machine = shellQuoted(printable(point.machine, 200))
  const disks = point.disks.map(({ id, sizeBytes }) => {
    assert(DISK_ID.test(id) && Number.isSafeInteger(sizeBytes) && sizeBytes >= 0)
    return `
# ${id}: ${formatBytes(sizeBytes)}
restic dump "$ID" /disks/${id} | tar -xOf - |
  dd of=./${id}.raw bs=512K iflag=fullblock conv=sparse status=none &&
  truncate -s ${sizeBytes} ./${id}.raw
`
  })
  return `${INTRODUCTION}
export RESTIC_REPOSITORY=...        # where this repository is
export RESTIC_PASSWORD_FILE=...     # a file with its password; or RESTIC_PASSWORD
restic snapshots --tag stillpoint --host ${machine}
ID=...                              # of the line you want; "latest" only if it is your newest

The disks, each as a raw image in the current folder. Zeros take no space there. An image is whole
if its command ended without an error; each block was compared with its SHA-256 on the way.

set -o pipefail
${disks.join('').trimStart()}
What the machine was made of (processors, memory, firmware, disks in their order), and what is
known of how consistent this restore point is:

restic dump "$ID" /machine.json
restic dump "$ID" /evidence.dsse.json
`
}

const INTRODUCTION = `How to get this machine back without Stillpoint

This is a repository of restic (https://restic.net), format version 2. Each disk is stored in
pieces of 256 MiB, which make the disk when joined in the order of their names:
/disks/<disk>/<gggg>/<ss>/seg. The commands below join them. They need restic 0.14 or later, GNU
tar and GNU coreutils, in bash. Set the variables first:
`

/** As one word of a shell. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
