/** A report: titled sections of lines, for the terminal and for the printed page alike. */

import type { TimelineRow } from './hold-timeline.ts'

/** How good the news is; both renderings show it, the words say it too. */
export type Tone = 'good' | 'weak' | 'bad'

export type ReportLine =
  /** Neighbouring pairs form a table of two columns. */
  | { readonly kind: 'pair'; readonly name: string; readonly text: string }
  | { readonly kind: 'text'; readonly text: string; readonly depth: number }
  /** What an application or agent said, word for word: foreign, printable. */
  | { readonly kind: 'quote'; readonly who: string; readonly text: string; readonly depth: number }
  | { readonly kind: 'command'; readonly text: string }
  | { readonly kind: 'timeline'; readonly rows: readonly TimelineRow[] }

export interface ReportSection {
  readonly title: string
  readonly tone?: Tone
  /** The part of the title that carries the tone. */
  readonly marked?: string
  readonly lines: readonly ReportLine[]
}

export function pair(name: string, text: string): ReportLine {
  return { kind: 'pair', name, text }
}

/** `depth` 0 is directly below the title. */
export function text(words: string, depth = 0): ReportLine {
  return { kind: 'text', text: words, depth }
}

export function quote(who: string, words: string, depth = 0): ReportLine {
  return { kind: 'quote', who, text: words, depth }
}

export function command(line: string): ReportLine {
  return { kind: 'command', text: line }
}
