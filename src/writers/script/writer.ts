/**
 * The writer of applications that the operator holds himself, by two commands: contract `held`, on
 * his word (docs/operations/databases.md, "Scripts"). An exit code is no word: each command must
 * state on a line of its own, `held: …`, what it did, and the second that it lasted.
 */

import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { RandomBytes } from '../../base/random.ts'
import { printable } from '../../base/text.ts'
import type {
  DiscoveredApplication, Writer, WriterLimits, WriterStatement, WriterThawOutcome,
} from '../../consistency/mod.ts'
import { locatePlaces } from '../places.ts'
import { preparedWriter, type FreezeAnswer, type HoldSteps } from '../prepared-writer.ts'
import { checkTrustedFile } from '../trusted-file.ts'
import { ScriptRunner, type RunnerParts } from './runner.ts'
import type { Report } from './runner-output.ts'

export interface ScriptSettings {
  /** For the operator; the application is called `script NAME`. */
  readonly name: string
  /** A program, absolute, and its arguments: no shell. */
  readonly preFreeze: readonly string[]
  /** As above; may be run twice, and although the first was not. */
  readonly postThaw: readonly string[]
  /** Where the application's data lies, all of it. */
  readonly data: readonly string[]
  /** What the operator says of a crash; default unknown. */
  readonly recovery?: 'self' | 'none' | 'unknown'
  /** Of the commands themselves. */
  readonly limits?: Partial<WriterLimits>
}

export interface ScriptOptions {
  readonly clock: Clock
  readonly random: RandomBytes
  /** Names are unique. */
  readonly scripts: readonly ScriptSettings[]
  /** Where proc(5) is; default `/proc`. */
  readonly procRoot?: string
}

const DEFAULT_LIMITS: WriterLimits = {
  freezeMs: 30_000, // an application may have to write out what it has
  holdMs: 60_000,
  thawMs: 60_000, // one that was stopped has to start
}
/** What starting and killing takes on a busy machine, beyond the limit of the command itself. */
const GRACE_MS = 5000
/** After the hold's own limit, and after the dead man's handle of who serves us. */
const UNASKED_MS = 3000
const HELD = /^held: *\S/m

export function scriptWriter(options: ScriptOptions): Writer {
  const { scripts, procRoot = '/proc' } = options
  return {
    name: 'script',
    async discover() {
      const found: DiscoveredApplication[] = []
      for (const { name, data, recovery = 'unknown' } of scripts) {
        found.push({
          name: `script ${name}`, kind: 'protected', recovery,
          data: await locatePlaces(data, 'self', procRoot) })
      }
      return found
    },
    async prepare(application) {
      const script = scripts.find(({ name }) => `script ${name}` === application.name)
      if (script === undefined) {
        throw new Fault('writer-failed', `there is no script for ${printable(application.name)}`)
      }
      for (const [program = ''] of [script.preFreeze, script.postThaw]) await checkTrust(program)
      const own = { ...DEFAULT_LIMITS, ...script.limits }
      const parts: RunnerParts = {
        clock: options.clock, random: options.random,
        preFreeze: script.preFreeze, postThaw: script.postThaw,
        preFreezeMs: own.freezeMs, waitMs: own.holdMs + UNASKED_MS, postThawMs: own.thawMs,
      }
      const limits: WriterLimits = {
        freezeMs: own.freezeMs + GRACE_MS, holdMs: own.holdMs, thawMs: own.thawMs + GRACE_MS }
      return preparedWriter({ application, contract: { kind: 'held' }, limits },
        new ScriptHold(parts, await ScriptRunner.start(parts)), options.clock)
    },
  }
}

async function checkTrust(program: string): Promise<void> {
  try {
    await checkTrustedFile(program)
  } catch (cause) {
    throw new Fault('writer-failed', 'a command of the script may not be run', {
      cause, ...(cause instanceof Fault && cause.advice !== undefined
        ? { advice: cause.advice } : {}) })
  }
}

class ScriptHold implements HoldSteps {
  readonly #parts: RunnerParts
  readonly #runner: ScriptRunner
  #isHeld = false

  constructor(parts: RunnerParts, runner: ScriptRunner) {
    this.#parts = parts
    this.#runner = runner
  }

  /** Begins a process: the coordinator freezes file systems after the writers, not before. */
  async freeze(): Promise<FreezeAnswer> {
    const { preFreeze, preFreezeMs } = this.#parts
    const end = await this.#runner.freeze()
    if (end === undefined) throw new Fault('writer-failed', 'the shell of the script was killed')
    const how = howItEnded(end, preFreezeMs)
    if (end.number !== 0) {
      const last = printable(end.printed.split('\n').slice(-3).join('; '), 300)
      throw new Fault('writer-failed',
        `the pre-freeze command ${how}${last === '' ? '' : `: ${last}`}`, {
          advice: 'Run it by hand, as root, and see what it says.' })
    }
    if (!HELD.test(end.printed)) {
      throw new Fault('writer-failed', 'the pre-freeze command did not say what it holds', {
        advice: 'Let it print a line "held: …" once the application holds still.' })
    }
    this.#isHeld = true
    return { statement: describe(preFreeze, how, end), positions: null }
  }

  async thaw(): Promise<WriterThawOutcome> {
    const end = await this.#runner.thaw()
    if (end === undefined) return this.#thawAlone()
    const early = await this.#runner.actedAlone() ? 'run before it was asked for; ' : ''
    return this.#outcome(end, early, this.#isHeld && early === '' && HELD.test(end.printed))
  }

  async #thawAlone(): Promise<WriterThawOutcome> {
    const runner = ScriptRunner.thawAlone(this.#parts)
    const end = await runner.thaw()
    return end === undefined
      ? { state: 'unknown', detail: 'the shell of the script was killed twice' }
      : this.#outcome(end, 'run again, as its shell was killed; ', false)
  }

  #outcome(end: Report, remark: string, heldThroughout: boolean): WriterThawOutcome {
    const { postThaw, postThawMs } = this.#parts
    const statement = remark + describe(postThaw, howItEnded(end, postThawMs), end)
    return end.number === 0 ? { state: 'thawed', heldThroughout, statement }
      : { state: 'unknown', detail: `${statement.slice(0, 2000)}; it is tried once more` }
  }

  /** Its shell has limits of its own, and goes on. */
  letGo(why: string): WriterThawOutcome {
    return { state: 'unknown', detail: `the post-thaw command did not end: ${printable(why)}` }
  }

  complete(): Promise<WriterStatement> {
    return Promise.resolve({ statement: 'the script is not told of the end' })
  }

  close(): Promise<void> {
    this.#runner.close()
    return Promise.resolve()
  }
}

function describe([program = '']: readonly string[], how: string, { printed }: Report): string {
  return `${program} ${how}: ${printed === '' ? 'silent' : printed}`
}

/** Codes of timeout(1). */
function howItEnded({ number }: Report, limitMs: number): string {
  switch (number) {
    case 137: return `was killed; its limit is ${limitMs} ms`
    case 126: case 127: return 'could not be started'
    default: return `ended with ${number}`
  }
}
