/** The volumes of this Windows, asked of PowerShell by one script (scripts/volumes.ps1). */

import { z } from 'zod'
import { checked } from '../../base/checked.ts'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { parseJson } from '../../base/json.ts'
import { printable } from '../../base/text.ts'
import type { Command } from './diskshadow/held-script.ts'
import type { HostVolume } from './host-disks.ts'
import { runHostScript } from './host-script.ts'

const WHAT = 'the list of volumes'
const LIMITS = { maxBytes: 1024 * 1024, maxDepth: 8 }

const bytes = z.int().min(0)
const text = z.string().max(1000).nullable()
const answerSchema = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(false), message: z.string().max(10_000) }),
  z.object({ ok: z.literal(true), volumes: z.array(z.object({
    name: z.string().max(1000), mounts: z.array(z.string().max(1000)).max(100), letter: text,
    fileSystem: text, capacity: bytes.nullable(), partitionSize: bytes.nullable(),
  })).max(500) }),
])

/**
 * Fixed volumes, those without a size or a name of Windows' own left out. Faults:
 * `platform-unreachable`, `platform-refused`, `platform-protocol`, `timed-out`.
 */
export async function readHostVolumes(
  powershell: Command, clock: Clock, signal: AbortSignal): Promise<readonly HostVolume[]> {
  return parseHostVolumes(await runHostScript('volumes', WHAT, powershell, clock, signal))
}

export function parseHostVolumes(stdout: Uint8Array): readonly HostVolume[] {
  const answer = checked(answerSchema, parseJson(stdout, WHAT, 'platform-protocol', LIMITS), WHAT,
    'platform-protocol')
  if (!answer.ok) {
    throw new Fault('platform-refused', `Windows lists no volumes: ${
      printable(answer.message, 300)}`, { advice: 'Run it from an elevated shell.' })
  }
  return answer.volumes.flatMap((it): readonly HostVolume[] => {
    const sizeBytes = it.partitionSize ?? it.capacity ?? 0
    if (!/^\\\\\?\\Volume\{[0-9a-f-]{36}\}\\$/i.test(it.name) || sizeBytes === 0) return []
    const letter = it.letter === null ? [] : [`${it.letter}\\`]
    return [{
      name: it.name, sizeBytes, fileSystem: it.fileSystem ?? '',
      mounts: [...new Set([...letter, ...it.mounts.map(withBackslash)])] }]
  })
}

function withBackslash(path: string): string {
  return path.endsWith('\\') ? path : `${path}\\`
}
