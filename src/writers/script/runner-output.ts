/** What comes out of the shell that runs a script: its own reports, and what the commands print. */

/** What is kept of what one command prints; more is read and dropped. */
const MAX_KEPT_BYTES = 4096
/** The longest report, and more. */
const MAX_REPORT_BYTES = 128

export interface Report {
  /** An exit code, or for `began` a process group. */
  readonly number: number
  /** What was printed since the report before, in the order it came: the beginning of it. */
  readonly printed: string
}

/** Reports are lines of their own: a mark that nobody else knows, a word, a number. */
export class RunnerOutput {
  readonly #mark: string
  readonly #reports = new Map<string, PromiseWithResolvers<Report | undefined>>()
  #kept: Buffer[] = []
  #room = MAX_KEPT_BYTES
  /** Since the last end of a line, unless that was too long for a report. */
  #line: Buffer | undefined = Buffer.alloc(0)
  #isOver = false

  constructor(mark: string) {
    this.#mark = mark
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** The first of these reports, whether it came already or not; undefined if none ever comes. */
  report(word: string): Promise<Report | undefined> {
    return this.#entry(word).promise
  }

  #entry(word: string): PromiseWithResolvers<Report | undefined> {
    let entry = this.#reports.get(word)
    if (entry === undefined) {
      entry = Promise.withResolvers()
      if (this.#isOver) entry.resolve(undefined)
      this.#reports.set(word, entry)
    }
    return entry
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      const end = chunk.indexOf(0x0a, at)
      const part = chunk.subarray(at, end === -1 ? chunk.length : end + 1)
      at += part.length
      this.#take(part, end !== -1)
    }
  }

  #take(part: Buffer, isEnd: boolean): void {
    if (this.#line === undefined) this.#keep(part)
    else {
      const line = Buffer.concat([this.#line, part])
      if (isEnd) this.#complete(line)
      else if (line.length <= MAX_REPORT_BYTES) {
        this.#line = line
        return
      } else {
        this.#keep(line)
        this.#line = undefined
        return
      }
    }
    if (isEnd) this.#line = Buffer.alloc(0)
  }

  #complete(line: Buffer): void {
    const [mark, word, number, ...more] = line.toString('latin1').trimEnd().split(' ')
    if (mark !== this.#mark || word === undefined || more.length > 0) return this.#keep(line)
    const printed = Buffer.concat(this.#kept).toString('utf8').trim()
    this.#kept = []
    this.#room = MAX_KEPT_BYTES
    this.#entry(word).resolve({ number: Number(number), printed })
  }

  #keep(bytes: Buffer): void {
    if (this.#room > 0) this.#kept.push(Buffer.from(bytes.subarray(0, this.#room)))
    this.#room -= bytes.length
  }

  /** Nothing comes any more. */
  end(): void {
    this.#isOver = true
    for (const { resolve } of this.#reports.values()) resolve(undefined)
  }
}
