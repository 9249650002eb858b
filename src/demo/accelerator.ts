/** Whether KVM really runs guests on this host; a device node is no proof of it. */

import { access, constants, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { deadline, type Clock } from '../base/clock.ts'

export type Accelerator = 'kvm' | 'tcg'

/** A guest under KVM is up in a second; one that has not spoken by then never will. */
const PROBE_LIMIT_MS = 6000

/**
 * `kvm` if `probe`, which boots a guest under KVM, resolves in time; else `tcg`. The answer is
 * kept in `cacheDir` until this host is started again.
 */
export async function chooseAccelerator(
  cacheDir: string,
  probe: (signal: AbortSignal) => Promise<void>,
  clock: Clock,
  signal: AbortSignal,
  device = '/dev/kvm',
): Promise<Accelerator> {
  if (!await isUsable(device)) return 'tcg'
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  const answerFile = join(cacheDir, `kvm-${bootId}`)
  const known = await readFile(answerFile, 'utf8').catch(() => '')
  if (known === 'kvm' || known === 'tcg') return known
  using limit = deadline(clock, PROBE_LIMIT_MS, 'booting a guest under KVM', signal)
  const answer = await probe(limit.signal).then(() => 'kvm' as const, () => 'tcg' as const)
  if (signal.aborted) return 'tcg' // not known: the caller stops anyway
  await mkdir(cacheDir, { recursive: true })
  await writeFile(answerFile, answer)
  return answer
}

function isUsable(device: string): Promise<boolean> {
  return access(device, constants.R_OK | constants.W_OK).then(() => true, () => false)
}
