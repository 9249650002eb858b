/** Runs one of the stub programs, hears what it prints, and kills it. */

import { spawn, type ChildProcess } from 'node:child_process'
import { siblingModule } from '../../base/worker.ts'

/** A program of this folder that a test runs and kills. */
export class StubProcess implements Disposable {
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  readonly #watchers = new Set<() => void>()
  #hasEnded = false

  constructor(name: 'stub-requestor' | 'stub-backup', orders: object) {
    const program = siblingModule(`./${name}`, import.meta)
    this.#child = spawn(process.execPath, [program, JSON.stringify(orders)],
      { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      this.#lines.push(...lines)
      this.#wake()
    })
    this.#child.once('close', () => {
      this.#hasEnded = true
      this.#wake()
    })
  }

  #wake(): void {
    for (const watcher of this.#watchers) watcher()
    this.#watchers.clear()
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** The lines so far. */
  get lines(): readonly string[] {
    return this.#lines
  }

  /** Waits for a line that starts so; returns what follows. */
  async line(start: string): Promise<string> {
    for (;;) {
      const found = this.#lines.find((line) => line.startsWith(start))
      if (found !== undefined) return found.slice(start.length).trim()
      if (this.#hasEnded) throw new Error(`it ended before it said "${start}"`)
      await new Promise<void>((resolve) => { this.#watchers.add(resolve) })
    }
  }

  /** Kills it as nothing can prevent, and waits until it is gone. */
  async kill(): Promise<void> {
    const gone = new Promise((resolve) => { this.#child.once('exit', resolve) })
    this.#child.kill('SIGKILL')
    await gone
  }

  /** Halts it, as a process that hangs. */
  stop(): void {
    this.#child.kill('SIGSTOP')
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL')
  }
}
