/** The services that run on this Windows (scripts/services.ps1). */

import { z } from 'zod'
import type { Clock } from '../../base/clock.ts'
import type { RunningService } from '../../consistency/mod.ts'
import type { Command } from './diskshadow/held-script.ts'
import { parseHostAnswer, runHostScript } from './host-script.ts'

const answerSchema = z.object({
  ok: z.literal(true),
  services: z.array(z.object({
    name: z.string().max(1000), command: z.string().max(8192),
  })).max(5000),
})

/** Faults: `platform-refused`, `platform-protocol`, `program-*`, `timed-out`. */
export async function readHostServices(
  powershell: Command, clock: Clock, signal: AbortSignal): Promise<readonly RunningService[]> {
  return parseHostServices(await runHostScript('services', powershell, clock, signal))
}

export function parseHostServices(stdout: Uint8Array): readonly RunningService[] {
  return parseHostAnswer('services', answerSchema, stdout).services
}
