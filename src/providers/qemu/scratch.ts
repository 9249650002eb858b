/** Scratch overlays: where QEMU puts the old content of what the guest overwrites. */

import { open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../../base/fault.ts'
import { runProgram } from '../../base/program.ts'
import { printable } from '../../base/text.ts'

/**
 * Makes an empty qcow2 file of `sizeBytes` in `folder`, named `name`, readable by its owner alone.
 * Faults: `program-missing` (qemu-img), `program-failed`, `io-error`.
 */
export async function createScratch(
  folder: string, name: string, sizeBytes: number, signal: AbortSignal): Promise<string> {
  const file = join(folder, `${name}.qcow2`)
  try {
    // qemu-img would make it readable by all, and it will hold the guest's data.
    await (await open(file, 'wx', 0o600)).close()
  } catch (cause) {
    throw new Fault('io-error', `the scratch file ${printable(file)} cannot be made`, {
      cause, advice: 'Name another folder as scratch.' })
  }
  try {
    await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', file, String(sizeBytes)],
      { signal })
  } catch (error) {
    await removeScratch(file)
    throw error
  }
  return file
}

/**
 * Takes the file's name away; QEMU, which has it open, uses it on until its node is deleted or
 * its process ends. So no crash of anybody leaves scratch behind.
 */
export async function removeScratch(file: string): Promise<void> {
  await unlink(file).catch(() => {}) // the sweep finds it by its node and says what is wrong
}
