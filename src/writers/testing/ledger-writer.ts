/** The writer of docs/writing-a-writer.md, for a program that exists there and in the test only. */

import { rmSync } from 'node:fs'
import { access, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import type {
  PreparedWriter, Writer, WriterStatement, WriterThawOutcome,
} from '../../consistency/mod.ts'
import { locatePlaces } from '../places.ts'
import { preparedWriter, type FreezeAnswer, type HoldSteps } from '../prepared-writer.ts'
import { readSmallFile } from '../small-file.ts'

export interface LedgerOptions {
  readonly clock: Clock
  /** Where the ledger keeps its data. */
  readonly folder: string
  readonly token: () => string
}

const LIMITS = { freezeMs: 2000, holdMs: 10_000, thawMs: 2000 }
const POLL_MS = 5

export function ledgerWriter({ clock, folder, token }: LedgerOptions): Writer {
  return {
    name: 'ledger',
    async discover() {
      const isThere = await access(join(folder, 'ledger.log')).then(() => true, () => false)
      if (!isThere) return []
      const data = await locatePlaces([folder], process.pid, '/proc')
      return [{ name: `ledger in ${folder}`, kind: 'protected', recovery: 'none', data }]
    },
    prepare(application): Promise<PreparedWriter> {
      const parts = { application, contract: { kind: 'held' }, limits: LIMITS } as const
      return Promise.resolve(preparedWriter(parts, new LedgerHold(folder, token(), clock), clock))
    },
  }
}

class LedgerHold implements HoldSteps {
  readonly #hold: string
  readonly #held: string
  readonly #token: string
  readonly #clock: Clock
  #asking: Promise<void> | undefined
  #isClosed = false

  constructor(folder: string, token: string, clock: Clock) {
    this.#hold = join(folder, 'hold')
    this.#held = join(folder, 'held')
    this.#token = token
    this.#clock = clock
  }

  /** Asks, with the time at which the ledger goes on without us, and waits for its answer. */
  async freeze(): Promise<FreezeAnswer> {
    const untilMs = this.#clock.nowMs() + LIMITS.holdMs + LIMITS.thawMs
    this.#asking = writeFile(this.#hold, `${this.#token} ${untilMs}`)
    await this.#asking
    const statement = await this.#until((answer) => answer.startsWith(`${this.#token} `))
    return { statement, positions: null }
  }

  /** Looks first whether it still holds, for us; only then lets it go on. */
  async thaw(): Promise<WriterThawOutcome> {
    await this.#asking?.catch(() => {}) // or the file would appear after it was removed
    const answer = await this.#answer()
    await rm(this.#hold, { force: true })
    await this.#until((now) => now === '')
    const heldThroughout = answer.startsWith(`${this.#token} `)
    return { state: 'thawed', heldThroughout, statement: answer === '' ? 'not held' : answer }
  }

  letGo(why: string): WriterThawOutcome {
    this.#isClosed = true
    rmSync(this.#hold, { force: true })
    return { state: 'unknown', detail: `${why}; it was told to go on` }
  }

  complete(): Promise<WriterStatement> {
    return Promise.resolve({ statement: 'the ledger keeps no account of backups' })
  }

  close(): Promise<void> {
    this.#isClosed = true
    return Promise.resolve()
  }

  /** What the ledger answers once `isIt`; whoever calls this has a limit. */
  async #until(isIt: (answer: string) => boolean): Promise<string> {
    for (;;) {
      const answer = await this.#answer()
      if (isIt(answer) || this.#isClosed) return answer
      await this.#clock.sleep(POLL_MS, new AbortController().signal)
    }
  }

  async #answer(): Promise<string> {
    return readSmallFile(this.#held, 1000).catch(() => '')
  }
}

/** The program: appends lines, but while it is asked to hold still and the time is not over. */
export class Ledger implements AsyncDisposable {
  readonly #folder: string
  readonly #clock: Clock
  readonly #running: Promise<void>
  readonly #stop = new AbortController()
  isHeld = false

  constructor(folder: string, clock: Clock) {
    this.#folder = folder
    this.#clock = clock
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    for (let line = 1; !this.#stop.signal.aborted; line++) {
      const asked = await readFile(join(this.#folder, 'hold'), 'utf8').catch(() => '')
      const [token = '', until = '0'] = asked.split(' ')
      const mayHold = token !== '' && this.#clock.nowMs() < Number(until)
      if (mayHold && !this.isHeld) {
        await writeFile(join(this.#folder, 'held'), `${token} held at line ${line}`)
      }
      if (!mayHold) await rm(join(this.#folder, 'held'), { force: true })
      this.isHeld = mayHold
      if (!mayHold) await writeFile(join(this.#folder, 'ledger.log'), `${line}\n`, { flag: 'a' })
      await this.#clock.sleep(1, new AbortController().signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
  }
}
