/** What libevtx's evtxexport makes of an event log. */

import { runProgram } from '../../src/base/program.ts'

export interface ExportedEvent {
  readonly recordId: number
  readonly source: string
  readonly id: number
  /** To the second, where the record's own header has a time. */
  readonly written: string | undefined
  readonly strings: readonly string[]
}

export async function exportedEvents(
  path: string, signal: AbortSignal): Promise<readonly ExportedEvent[]> {
  const { stdout } = await runProgram('evtxexport', [path], {
    signal, maxOutputBytes: 64 * 1024 * 1024 })
  return Buffer.from(stdout).toString('utf8').split(/^Event number\t*: /m).slice(1).map((text) => {
    const [fields = '', ...strings] = text.split(/^String: \d+\t*: /m)
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}\\t*: (.*)$`, 'm').exec(fields)?.[1]
    return {
      recordId: Number.parseInt(text, 10),
      source: field('Source name') ?? '',
      id: Number(/\((\d+)\)/.exec(field('Event identifier') ?? '')?.[1] ?? 0) & 0xffff,
      written: field('Written time')?.replace(/\.\d+ UTC$/, ''),
      strings: strings.map((string) => string.replace(/\n+$/, '')),
    }
  })
}
