/** The services that run on this Windows (scripts/services.ps1). */

import { z } from 'zod'
import { checked } from '../../base/checked.ts'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { parseJson } from '../../base/json.ts'
import { printable } from '../../base/text.ts'
import type { RunningService } from '../../consistency/mod.ts'
import type { Command } from './diskshadow/held-script.ts'
import { runHostScript } from './host-script.ts'

const WHAT = 'the list of services'
const LIMITS = { maxBytes: 1024 * 1024, maxDepth: 8 }

const answerSchema = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(false), message: z.string().max(10_000) }),
  z.object({ ok: z.literal(true), services: z.array(z.object({
    name: z.string().max(1000), command: z.string().max(8192),
  })).max(5000) }),
])

/** Faults: `platform-refused`, `platform-protocol`, `program-*`, `timed-out`. */
export async function readHostServices(
  powershell: Command, clock: Clock, signal: AbortSignal): Promise<readonly RunningService[]> {
  return parseHostServices(await runHostScript('services', WHAT, powershell, clock, signal))
}

export function parseHostServices(stdout: Uint8Array): readonly RunningService[] {
  const answer = checked(answerSchema, parseJson(stdout, WHAT, 'platform-protocol', LIMITS), WHAT,
    'platform-protocol')
  if (answer.ok) return answer.services
  throw new Fault('platform-refused', `Windows lists no services: ${
    printable(answer.message, 300)}`, { advice: 'Run it from an elevated shell.' })
}
