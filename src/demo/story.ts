/** How the demonstration tells what it does: short sentences, aligned figures, no noise. */

import type { Clock } from '../base/clock.ts'
import { formatMs, printable } from '../base/text.ts'
import type { Finding } from './row-check.ts'

export class Story {
  readonly #write: (text: string) => void
  readonly #clock: Clock
  #chapter = 0

  /** `write` takes text with its line ends. */
  constructor(write: (text: string) => void, clock: Clock) {
    this.#write = write
    this.#clock = clock
  }

  chapter(title: string): void {
    this.#chapter++
    this.#write(`\n${this.#chapter}  ${title}\n`)
  }

  say(sentence: string): void {
    this.#write(sentence === '' ? '\n' : `   ${sentence}\n`)
  }

  /** What a command printed: foreign, made harmless, set in. */
  quote(line: string): void {
    this.#write(`   | ${printable(line, 2000)}`.trimEnd() + '\n')
  }

  /** Says `what`, does it, and says how long it took; a step that fails ends its line first. */
  async step<T>(what: string, action: () => Promise<T>): Promise<T> {
    this.#write(`   ${what} … `)
    const startMs = this.#clock.monotonicMs()
    try {
      const result = await action()
      this.#write(`${formatMs(this.#clock.monotonicMs() - startMs)}\n`)
      return result
    } catch (error) {
      this.#write('failed\n')
      throw error
    }
  }

  findings(findings: readonly Finding[]): void {
    for (const { holds, claim, detail } of findings) {
      this.#write(`   ${holds ? 'ok    ' : 'FAILED'}  ${claim}\n           ${detail}\n`)
    }
  }

  /** Names on the left, as wide as the widest, and what was measured on the right. */
  figures(rows: readonly (readonly [name: string, value: string])[]): void {
    const width = Math.max(...rows.map(([name]) => name.length))
    for (const [name, value] of rows) {
      wrapped(value, COLUMNS - width - 5).forEach((line, index) => {
        this.#write(`   ${(index === 0 ? name : '').padEnd(width)}  ${line}\n`)
      })
    }
  }
}

const COLUMNS = 100

/** `text` in lines of at most `width` characters, broken between words. */
function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
