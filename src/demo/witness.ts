/**
 * The witness: what the guest said on its port `stillpoint.witness`, with the time at which this
 * host heard it. An `ack` line is sent only after the row is durable, so a row heard of before an
 * instant must be in every restore point of that instant.
 */

import { connect, type Socket } from 'node:net'
import type { Clock } from '../base/clock.ts'
import { abortable } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'

export interface Acknowledged {
  readonly id: number
  /** Wall time of this host, milliseconds since 1970. */
  readonly atMs: number
  /** The monotonic clock of the process that listens. */
  readonly monotonicMs: number
}

/** What a table held when the guest started, before the load went on. */
export interface TableReport {
  readonly maxId: number
  readonly count: number
  /** SQLite's or PostgreSQL's own words: `ok`, or what is damaged. Foreign text. */
  readonly integrity: string
}

/** What the guest found of a disk when it started. */
export interface DiskReport {
  readonly fileSystem: string
  readonly mounted: boolean
  /** True if the file system replayed its journal: it was not frozen or unmounted. */
  readonly recovered: boolean
}

/** What `report` lines said at boot; foreign, but parsed. */
export interface BootReport {
  readonly disks: ReadonlyMap<string, DiskReport>
  readonly tables: ReadonlyMap<string, TableReport>
  /** By server, what it wrote into its log of its recovery; printable. */
  readonly logs: ReadonlyMap<string, readonly string[]>
}

/** Read-only view of what was heard. */
export interface Witness {
  /** Complete once the guest is ready. */
  readonly boot: BootReport
  readonly isReady: boolean
  /** How often the guest has come up: more than once if it was reset. */
  readonly boots: number
  /** The newest row of `table` that the guest acknowledged, undefined before the first. */
  lastAcknowledged(table: string): Acknowledged | undefined
  /** The newest row of `table` heard of at or before `atMs` (wall time). */
  lastAcknowledgedBy(table: string, atMs: number): Acknowledged | undefined
  /** Every row heard of since the guest started, oldest first. */
  acknowledged(table: string): readonly Acknowledged[]
  /**
   * Resolves when `holds` is true of what was heard; asked again after every line. Faults:
   * `machine-lost` when the port closes before, or the signal's reason.
   */
  until(what: string, holds: (witness: Witness) => boolean, signal: AbortSignal): Promise<void>
}

/** A line longer than this is not one of ours. */
const MAX_LINE_BYTES = 4096
/** Of one server: it has a few lines to say of a recovery. */
const MAX_LOG_LINES = 100

/** A witness that is fed with bytes; `connectWitness` feeds it from a socket. */
export class WitnessLog implements Witness {
  readonly boot = {
    disks: new Map<string, DiskReport>(), tables: new Map<string, TableReport>(),
    logs: new Map<string, string[]>() }
  isReady = false
  boots = 0
  readonly #clock: Clock
  readonly #acks = new Map<string, Acknowledged[]>()
  readonly #waiting = new Set<() => void>()
  #partial = ''
  #ended: Fault | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Takes what the port said next. Faults: `agent-protocol` on a line that never ends. */
  feed(text: string): void {
    const lines = (this.#partial + text).split('\n')
    this.#partial = lines.pop() ?? ''
    for (const line of lines) this.#take(line.trim())
    if (this.#partial.length > MAX_LINE_BYTES) {
      throw new Fault('agent-protocol', 'the guest sent a witness line without an end')
    }
    this.#wake()
  }

  /** Says that nothing more will be heard; everybody who waits is told why. */
  end(why: Fault): void {
    this.#ended ??= why
    this.#wake()
  }

  lastAcknowledged(table: string): Acknowledged | undefined {
    return this.#acks.get(table)?.at(-1)
  }

  lastAcknowledgedBy(table: string, atMs: number): Acknowledged | undefined {
    return this.#acks.get(table)?.findLast((ack) => ack.atMs <= atMs)
  }

  acknowledged(table: string): readonly Acknowledged[] {
    return this.#acks.get(table) ?? []
  }

  async until(
    what: string, holds: (witness: Witness) => boolean, signal: AbortSignal): Promise<void> {
    while (!holds(this)) {
      if (this.#ended !== undefined) {
        throw new Fault('machine-lost', `the guest ended before ${what}`, { cause: this.#ended })
      }
      let wake = (): void => {}
      const woken = new Promise<void>((resolve) => { wake = resolve })
      this.#waiting.add(wake)
      try {
        await abortable(woken, signal)
      } finally {
        this.#waiting.delete(wake)
      }
    }
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }

  #take(line: string): void {
    const [word, ...rest] = line.split(' ')
    switch (word) {
      case 'ack': return this.#takeAck(rest)
      case 'table': return this.#takeTable(rest)
      case 'disk': return this.#takeDisk(rest)
      case 'log': return this.#takeLog(rest)
      case 'booted': {
        this.isReady = false
        this.boots++
        return
      }
      case 'ready': {
        this.isReady = true
        return
      }
      case 'ended': return this.end(new Fault('machine-lost', 'the load inside the guest ended'))
      default: // Not one of ours: the guest is foreign, and what is not understood proves nothing.
    }
  }

  #takeAck([table = '', id = '']: readonly string[]): void {
    if (!/^\d{1,15}$/.test(id)) return
    const acks = this.#acks.get(table) ?? []
    this.#acks.set(table, acks)
    acks.push({
      id: Number(id), atMs: this.#clock.nowMs(), monotonicMs: this.#clock.monotonicMs() })
  }

  #takeTable([table = '', maxId = '', count = '', ...integrity]: readonly string[]): void {
    if (!/^\d{1,15}$/.test(maxId) || !/^\d{1,15}$/.test(count)) return
    this.boot.tables.set(table, {
      maxId: Number(maxId), count: Number(count), integrity: printable(integrity.join(' ')) })
  }

  #takeDisk([disk = '', fileSystem = '', mounted = '', recovered = '']: readonly string[]): void {
    this.boot.disks.set(disk, {
      fileSystem: printable(fileSystem),
      mounted: mounted === 'mounted',
      recovered: recovered === 'recovered=yes',
    })
  }

  #takeLog([name = '', ...words]: readonly string[]): void {
    const lines = this.boot.logs.get(name) ?? []
    this.boot.logs.set(name, lines)
    if (lines.length < MAX_LOG_LINES) lines.push(printable(words.join(' ')))
  }
}

/** Feeds `log` from the socket at `path` until it closes. Rejects if it cannot be connected. */
export function connectWitness(path: string, log: WitnessLog): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.setEncoding('utf8')
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.on('error', () => {}) // 'close' follows and says enough
      socket.on('close', () => log.end(new Fault('machine-lost', 'the witness port was closed')))
      resolve(socket)
    })
    socket.on('data', (text: string) => {
      try {
        log.feed(text)
      } catch (error) {
        socket.destroy(error instanceof Error ? error : undefined)
      }
    })
  })
}
