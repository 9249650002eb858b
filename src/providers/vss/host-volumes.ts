/** The volumes of this Windows, asked of PowerShell by one script (scripts/volumes.ps1). */

import { z } from 'zod'
import type { Clock } from '../../base/clock.ts'
import type { Command } from './diskshadow/held-script.ts'
import type { HostVolume } from './host-disks.ts'
import { parseHostAnswer, runHostScript } from './host-script.ts'

const bytes = z.int().min(0)
const text = z.string().max(1000).nullable()
const answerSchema = z.object({
  ok: z.literal(true),
  volumes: z.array(z.object({
    name: z.string().max(1000), mounts: z.array(z.string().max(1000)).max(100), letter: text,
    fileSystem: text, capacity: bytes.nullable(), partitionSize: bytes.nullable(),
  })).max(500),
})

/**
 * Fixed volumes, those without a size or a name of Windows' own left out. Faults:
 * `platform-unreachable`, `platform-refused`, `platform-protocol`, `timed-out`.
 */
export async function readHostVolumes(
  powershell: Command, clock: Clock, signal: AbortSignal): Promise<readonly HostVolume[]> {
  return parseHostVolumes(await runHostScript('volumes', powershell, clock, signal))
}

export function parseHostVolumes(stdout: Uint8Array): readonly HostVolume[] {
  const { volumes } = parseHostAnswer('volumes', answerSchema, stdout)
  return volumes.flatMap((it): readonly HostVolume[] => {
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
