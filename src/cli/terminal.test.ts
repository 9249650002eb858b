/** What stands between the program and a person: signals, passwords, errors, paint. */

import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { Fault } from '../base/fault.ts'
import { ManualClock } from '../base/testing/manual-clock.ts'
import { askPasswordOn } from './ask-password.ts'
import { errorText, reportOf } from './errors.ts'
import { noPaint, paintFor } from './paint.ts'
import { listenToSignals } from './signals.ts'
import { sometimes } from './sometimes.ts'

function textSink(): { write(text: string): void; readonly isTerminal: boolean; text: string } {
  return { text: '', isTerminal: true, write(text) { this.text += text } }
}

class FakeProcess extends EventEmitter {
  exitCode: number | undefined
  exit(code: number): void {
    this.exitCode = code
  }
}

test('the first signal asks for an end, the second ends at once', () => {
  const [source, stderr] = [new FakeProcess(), textSink()]
  const signal = listenToSignals(source, stderr)
  assert.equal(signal.aborted, false)
  source.emit('SIGTERM')
  assert.ok(signal.aborted && signal.reason instanceof Fault)
  assert.equal(signal.reason.exitCode, 130)
  assert.equal(source.exitCode, undefined)
  source.emit('SIGINT')
  assert.equal(source.exitCode, 130)
  assert.match(stderr.text, /^\nwarning: stopped at once; /)
})

class FakeTerminal extends EventEmitter {
  readonly modes: string[] = []
  setRawMode(mode: boolean): this {
    this.modes.push(mode ? 'raw' : 'cooked')
    return this
  }
  resume(): this {
    return this
  }
  pause(): this {
    this.modes.push('paused')
    return this
  }
}

test('a password is typed unseen, corrected, pasted, and given up', async () => {
  const never = new AbortController().signal
  const type = async (...pieces: string[]): Promise<string> => {
    const [terminal, stderr] = [new FakeTerminal(), textSink()]
    const asked = askPasswordOn(terminal as never, stderr)('password: ', never)
    for (const piece of pieces) terminal.emit('data', Buffer.from(piece, 'latin1'))
    const ended = await asked.then((secret) => secret.reveal(), (error: Fault) => error.code)
    assert.equal(stderr.text, 'password: \n')
    assert.deepEqual(terminal.modes, ['raw', 'cooked', 'paused'])
    assert.equal(terminal.listenerCount('data'), 0)
    return ended
  }
  assert.equal(await type('secret\r'), 'secret')
  assert.equal(await type('s', 'e', 'x', '\u007f', 'c', '\n'), 'sec')
  assert.equal(await type('wrong\u0015right\rmore'), 'right')
  assert.equal(await type('gr', '\u00c3', '\u00bc', 'n\r'), 'grün')
  assert.equal(await type('half\u0003'), 'interrupted')
})

test('an interruption while a password is typed puts the terminal back', async () => {
  const [terminal, controller] = [new FakeTerminal(), new AbortController()]
  const asked = askPasswordOn(terminal as never, textSink())('password: ', controller.signal)
  controller.abort(new Fault('interrupted', 'interrupted by SIGTERM'))
  await assert.rejects(asked, { code: 'interrupted' })
  assert.deepEqual(terminal.modes, ['raw', 'cooked', 'paused'])
})

test('a fault is told with its code, its causes and what to do, foreign text made harmless', () => {
  const fault = new Fault('writer-timeout', 'postgres on db1 did not freeze within 10 s', {
    cause: new Error('connect /run/\u001b[31m.s.PGSQL.5432: timed out'),
    advice: 'Raise writers.postgres.limitMs.',
  })
  const report = reportOf(fault)
  assert.ok(report !== undefined)
  assert.equal(errorText(report), [
    'error: postgres on db1 did not freeze within 10 s (writer-timeout)',
    ' cause: connect /run/\\x1b[31m.s.PGSQL.5432: timed out',
    '    do: Raise writers.postgres.limitMs.',
  ].join('\n'))
})

test('what nobody expected is a mistake of ours, and says how to find it', () => {
  const report = reportOf(new TypeError('x is not a function'))
  assert.equal(report?.code, 'bug')
  assert.equal(report.exitCode, 1)
  assert.match(report.message, /mistake in Stillpoint itself: x is not a function$/)
  assert.match(report.advice ?? '', /--verbose/)
})

test('colours need a terminal that shows them and a person who wants them', () => {
  const isPainted = (...args: Parameters<typeof paintFor>): boolean => paintFor(...args) !== noPaint
  assert.ok(isPainted(true, true, {}))
  assert.ok(isPainted(true, true, { NO_COLOR: '' }))
  assert.ok(!isPainted(false, true, {}))
  assert.ok(!isPainted(true, false, {}))
  assert.ok(!isPainted(true, true, { NO_COLOR: '0' }))
  assert.ok(!isPainted(true, true, { TERM: 'dumb' }))
})

test('frequent news pass at most once in their time', () => {
  const clock = new ManualClock()
  const now = sometimes(clock, 1000)
  assert.deepEqual([now(), now()], [true, false])
  clock.advance(999)
  assert.equal(now(), false)
  clock.advance(1)
  assert.deepEqual([now(), now()], [true, false])
})
