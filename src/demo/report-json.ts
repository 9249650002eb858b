/** What the demonstration reads from the program's `--json` output (docs/json-output.md). */

import { z } from 'zod'
import { Fault } from '../base/fault.ts'
import { parseJson } from '../base/json.ts'
import { parseEvidence, type Evidence } from '../consistency/mod.ts'
import type { CaptureWindow } from './row-check.ts'

const summarySchema = z.object({
  message_type: z.literal('summary'),
  mode: z.enum(['full', 'incremental']),
  bytesRead: z.number(),
  bytesAdded: z.number(),
  durationMs: z.number(),
})
const shownSchema = z.object({ evidence: z.unknown().refine((value) => value !== undefined) })

export type BackupFigures = Readonly<z.infer<typeof summarySchema>>

/** The summary line of `stillpoint backup --json`. Faults: `program-failed` if there is none. */
export function backupFigures(stdout: string): BackupFigures {
  return firstLine(stdout, summarySchema, 'backup --json')
}

/** The evidence that `stillpoint show --json` prints. Faults: `program-failed`, `point-invalid`. */
export function shownEvidence(stdout: string): Evidence {
  return parseEvidence(firstLine(stdout, shownSchema, 'show --json').evidence)
}

/**
 * When the disks were captured, by the wall clock: the evidence gives that of the end, and both
 * ends by a clock that never steps.
 */
export function captureWindow({ instant }: Pick<Evidence, 'instant'>): CaptureWindow {
  const endMs = Date.parse(instant.takenAt)
  return { startMs: endMs - (instant.endMs - instant.startMs), endMs }
}

function firstLine<T>(stdout: string, schema: z.ZodType<T>, what: string): T {
  for (const line of stdout.split('\n').filter((line) => line.trim() !== '')) {
    const parsed = schema.safeParse(parseJson(line, `the output of ${what}`, 'program-failed'))
    if (parsed.success) return parsed.data
  }
  throw new Fault('program-failed', `${what} printed no line of the expected form`)
}
