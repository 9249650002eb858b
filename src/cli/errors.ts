/** What a person and a script are told of a failure, and the exit code. */

import { CommanderError } from 'commander'
import { causesOf, Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import type { Output } from './output.ts'

/** Tells of `error`; returns the exit code (docs/command-line.md). */
export function reportError(error: unknown, output: Output): number {
  const report = reportOf(error)
  if (report === undefined) return 0
  output.failure(report)
  output.notice(errorText(report))
  if (!(error instanceof Fault || error instanceof CommanderError) && output.options.verbose) {
    output.notice(error instanceof Error ? printableLines(error.stack ?? '') : '')
  }
  return report.exitCode
}

export type ErrorReport = {
  /** A fault's code; `bug` for what nobody expected. */
  readonly code: string
  readonly message: string
  /** What lay behind it, outermost first. */
  readonly causes: readonly string[]
  readonly advice: string | null
  readonly exitCode: number
}

/** The report on `error`; undefined where commander has only shown its help or version. */
export function reportOf(error: unknown): ErrorReport | undefined {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? undefined : reportOf(usageFault(error))
  }
  const [message = '', ...causes] = causesOf(error).map((text) => printable(text, 2000))
  if (error instanceof Fault) {
    const { code, exitCode } = error
    const advice = error.advice === undefined ? null : printable(error.advice)
    return { code, message, causes, advice, exitCode }
  }
  return {
    code: 'bug', message: `this is a mistake in Stillpoint itself: ${message}`, causes, exitCode: 1,
    advice: 'Run it again with --verbose to see where it happened, and report that.',
  }
}

/** The form of STYLE.md "Log, configuration, command line". */
export function errorText({ code, message, causes, advice }: ErrorReport): string {
  return [
    `error: ${message} (${code})`,
    ...causes.map((cause) => ` cause: ${cause}`),
    ...advice === null ? [] : [`    do: ${advice}`],
  ].join('\n')
}

/** commander's own words, which begin with `error:` and may end with a guess in brackets. */
function usageFault({ message, code }: CommanderError): Fault {
  if (code === 'commander.help') {
    return new Fault('usage', 'no command is given', { advice: 'See stillpoint --help.' })
  }
  const [what = '', ...rest] = message.replace(/^error: /, '').split('\n')
  const guess = /^\((.*)\)$/.exec(rest.join(' ').trim())?.[1]
  const [sentence = '', choices] = what.split(/\.\s/)
  return new Fault('usage', sentence.replace(/\.$/, ''), {
    advice: guess ?? choices ?? 'See stillpoint --help, and stillpoint COMMAND --help.' })
}

function printableLines(text: string): string {
  return text.split('\n').map((line) => printable(line)).join('\n')
}
