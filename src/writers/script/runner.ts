/**
 * Runs the two commands of a script: a shell of its own, started before the hold, that outlives the
 * agent. Told to, it runs the first; then it waits to be told, or for its pipe to close (the agent
 * was killed), or for its limit (the agent hangs), and runs the second. So whatever becomes of the
 * agent, the second follows the first, once that has ended.
 */

import { spawn, type ChildProcess } from 'node:child_process'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { RandomBytes } from '../../base/random.ts'
import { RunnerOutput, type Report } from './runner-output.ts'

export interface RunnerParts {
  /** Programs, absolute, and their arguments. */
  readonly preFreeze: readonly string[]
  readonly postThaw: readonly string[]
  readonly preFreezeMs: number
  /** From the end of the first to the second, which is then run unasked. */
  readonly waitMs: number
  readonly postThawMs: number
  readonly clock: Clock
  readonly random: RandomBytes
}

/** For what the shell said before it ended. */
const LAST_WORDS_MS = 500
/** A process group that is to be killed may not exist yet. */
const KILL_TRIES = 250
const KILL_RETRY_MS = 20

/** Nothing of what the agent was started with. */
const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/', LC_ALL: 'C',
}

export class ScriptRunner {
  readonly #child: ChildProcess
  readonly #output: RunnerOutput
  readonly #clock: Clock
  #isPreFreezeOver = false

  private constructor(child: ChildProcess, output: RunnerOutput, clock: Clock) {
    this.#child = child
    this.#output = output
    this.#clock = clock
    void output.report('frozen').then((report) => {
      this.#isPreFreezeOver = report !== undefined
    })
    const end = (): void => {
      output.end()
      child.stdout?.destroy()
    }
    child.stdin?.on('error', () => {}) // it has ended: what it said tells
    child.stdout?.on('data', (chunk: Buffer) => output.push(chunk))
    child.stdout?.once('close', end)
    child.once('error', end)
    child.once('exit', () => { // what it began may live on, and keep its output open
      clock.after(LAST_WORDS_MS, end)
    })
  }

  /** Waits to be told to freeze. Fault: `writer-failed`. */
  static async start(parts: RunnerParts): Promise<ScriptRunner> {
    const runner = ScriptRunner.#spawn(parts, freezeScript)
    if (await runner.#output.report('ready') === undefined) {
      throw new Fault('writer-failed', 'the shell that runs the script could not be started', {
        advice: 'Both sh and the timeout program of coreutils must be there.' })
    }
    return runner
  }

  /** Runs the second command at once, where the shell that should have has been killed. */
  static thawAlone(parts: RunnerParts): ScriptRunner {
    return ScriptRunner.#spawn(parts, thawScript)
  }

  static #spawn(
    parts: RunnerParts, script: (parts: RunnerParts, mark: string) => string): ScriptRunner {
    const mark = Buffer.from(parts.random(16)).toString('hex')
    const child = spawn('/bin/sh', ['-c', script(parts, mark)], {
      cwd: '/', detached: true, stdio: ['pipe', 'pipe', 'ignore'], env: ENVIRONMENT })
    return new ScriptRunner(child, new RunnerOutput(mark), parts.clock)
  }

  /** Runs the first command; how it ended, undefined if the shell is gone. */
  freeze(): Promise<Report | undefined> {
    this.#child.stdin?.write('freeze\n')
    return this.#output.report('frozen')
  }

  /** Runs the second command; the first is killed if it still runs. How it ended, as above. */
  async thaw(): Promise<Report | undefined> {
    this.#child.stdin?.end('thaw\n')
    await this.#killPreFreeze()
    return this.#output.report('thawed')
  }

  /** Whether the second command was run unasked; known once that has ended. */
  async actedAlone(): Promise<boolean> {
    const no = this.#output.report('thawed').then(() => undefined)
    return await Promise.race([this.#output.report('alone'), no]) !== undefined
  }

  /** Kills its group, once: while the shell has not reported its end nobody else has its number. */
  async #killPreFreeze(): Promise<void> {
    if (this.#isPreFreezeOver) return
    const group = (await this.#output.report('began'))?.number
    if (group === undefined || !Number.isSafeInteger(group) || group < 2) return
    for (let tries = 0; tries < KILL_TRIES && !this.#isPreFreezeOver; tries++) {
      try {
        process.kill(-group, 'SIGKILL')
        return
      } catch {
        if (this.#output.isOver) return // nobody knows whose number it is now
        await this.#clock.sleep(KILL_RETRY_MS, never) // it has not made its group yet
      }
    }
  }

  /** Not told to freeze, it ends; frozen, it runs the second command. */
  close(): void {
    this.#child.stdin?.end()
  }
}

function freezeScript(parts: RunnerParts, mark: string): string {
  const { preFreeze, preFreezeMs, waitMs } = parts
  const began = `printf '\\n%s began %s\\n' ${mark} $$; exec timeout -s KILL "$@"`
  return [
    REPORT(mark),
    // Whoever ends the service of the agent must not end this before its second command.
    'trap : TERM HUP INT',
    'command -v timeout >/dev/null || exit 1',
    'report ready 0',
    'read -r word && [ "$word" = freeze ] || exit 0',
    `STILLPOINT_STEP=pre-freeze sh -c ${
      words(began, 'sh', seconds(preFreezeMs), ...preFreeze)} </dev/null 2>&1`,
    'report frozen $?',
    `word=$(timeout ${seconds(waitMs)} sh -c 'read -r word && echo "$word"')`,
    '[ "$word" = thaw ] || report alone 0',
    thawScript(parts, mark),
  ].join('\n')
}

/**
 * `timeout` makes a process group and kills the whole of it. What goes wrong is tried once more,
 * unheard: it may have been the pipe to the agent that broke.
 */
function thawScript({ postThaw, postThawMs }: RunnerParts, mark: string): string {
  const command = `STILLPOINT_STEP=post-thaw timeout -s KILL ${
    words(seconds(postThawMs), ...postThaw)} </dev/null`
  return [
    REPORT(mark),
    `${command} 2>&1`,
    'code=$?',
    'report thawed $code',
    `[ $code = 0 ] || ${command} >/dev/null 2>&1`,
  ].join('\n')
}

/** In a shell of its own: that may die of the broken pipe of an agent that is gone. */
const REPORT = (mark: string): string =>
  `report() { (printf '\\n%s %s %s\\n' ${mark} "$1" "$2"); }`

function words(...args: readonly string[]): string {
  return args.map((arg) => `'${arg.replaceAll('\'', '\'\\\'\'')}'`).join(' ')
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3)
}

const never = new AbortController().signal
