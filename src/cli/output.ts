/** Where a command says what: results on stdout, all else on stderr, or JSON lines. */

import type { Log, LogLevel } from '../base/log.ts'
import { openLog } from '../base/open-log.ts'
import { printable, printableJson } from '../base/text.ts'
import { noPaint, paintFor, type Paint } from './paint.ts'
import { createBar, type Bar } from './progress-bar.ts'
import type { World } from './world.ts'

/** The version of what `--json` prints; docs/json-output.md describes it. */
const JSON_VERSION = 1

export interface OutputOptions {
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  readonly color: boolean
}

export type JsonFields = Readonly<Record<string, unknown>>

export class Output implements Disposable {
  readonly options: OutputOptions
  readonly paint: Paint
  readonly log: Log
  readonly bar: Bar
  readonly #world: World

  constructor(options: OutputOptions, world: World) {
    this.options = options
    this.#world = world
    this.paint = options.json ? noPaint
      : paintFor(world.stdout.isTerminal, options.color, world.environment)
    const showsBar = !options.json && !options.quiet
    this.bar = createBar(showsBar ? world.barStream : undefined, world.clock)
    const level: LogLevel = options.verbose ? 'debug' : 'warn'
    this.log = openLog(level, { write: (line) => this.#logLine(line) })
  }

  /** What the command was asked for, as text; with `--json` nothing. */
  result(text: string): void {
    if (!this.options.json) this.#onClearScreen(() => this.#world.stdout.write(`${text}\n`))
  }

  /** What the command was asked for, as one JSON object; without `--json` nothing. */
  summary(command: string, fields: JsonFields): void {
    this.#jsonLine('summary', { command, ...fields })
  }

  /** How far it is; without `--json` nothing. */
  status(command: string, fields: JsonFields): void {
    if (!this.options.quiet) this.#jsonLine('status', { command, ...fields })
  }

  /** What a script must know of a failure; without `--json` nothing. */
  failure(fields: JsonFields): void {
    this.#jsonLine('error', fields)
  }

  /** A step, for people who watch: only on a terminal. */
  step(text: string): void {
    if (this.bar.isShown) this.#onClearScreen(() => this.#world.stderr.write(`${text}\n`))
  }

  /** What somebody must see although it is no result; with `--json` nothing. */
  notice(text: string): void {
    if (!this.options.json) this.#onClearScreen(() => this.#world.stderr.write(`${text}\n`))
  }

  /** Says that the run ends early. Steps that follow are clean-up, and no progress. */
  interrupted(): void {
    this.bar.close()
    this.notice('interrupted: cleaning up (once more stops at once)')
  }

  [Symbol.dispose](): void {
    this.bar.close()
  }

  #jsonLine(kind: 'status' | 'summary' | 'error', fields: JsonFields): void {
    if (!this.options.json) return
    const line = JSON.stringify({ message_type: kind, version: JSON_VERSION, ...fields })
    this.#world.stdout.write(`${printableJson(line)}\n`)
  }

  #logLine(line: string): void {
    const text = this.options.verbose || this.options.json
      ? printableJson(line) : `${warningText(line)}\n`
    this.#onClearScreen(() => this.#world.stderr.write(text))
  }

  #onClearScreen(write: () => void): void {
    this.bar.clear()
    write()
  }
}

/** A line of the log as a person reads it: `warning: key-unusable (key=1f, reason=damaged)`. */
function warningText(line: string): string {
  const { level, time: _, event, ...fields } = JSON.parse(line) as Record<string, unknown>
  const shown = Object.entries(fields)
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const kind = level === 'error' ? 'error' : 'warning'
  const rest = shown.length === 0 ? '' : ` (${shown.join(', ')})`
  return printable(`${kind}: ${String(event)}${rest}`, 2000)
}
