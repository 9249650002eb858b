/** Asks for a password at the terminal, without showing what is typed. */

import { StringDecoder } from 'node:string_decoder'
import type { ReadStream } from 'node:tty'
import { reasonOf } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { Secret } from '../base/secret.ts'
import type { AskPassword } from '../engine/mod.ts'
import type { TextSink } from './world.ts'

const ENTER = new Set(['\r', '\n'])
const ERASE = new Set(['\b', '\u007f'])
const ERASE_ALL = '\u0015' // Ctrl-U
const GIVE_UP = new Set(['\u0003', '\u0004']) // Ctrl-C, Ctrl-D

const MAX_LENGTH = 4096

/** Questions go to `stderr`, so that stdout stays clean. The terminal's mode is put back always. */
export function askPasswordOn(
  terminal: Pick<ReadStream, 'setRawMode' | 'on' | 'off' | 'resume' | 'pause'>,
  stderr: TextSink): AskPassword {
  return (question, signal) => new Promise((resolve, reject) => {
    if (signal.aborted) return reject(reasonOf(signal))
    let typed: readonly string[] = []
    const decoder = new StringDecoder('utf8')
    const finish = (end: () => void): void => {
      terminal.off('data', onData)
      signal.removeEventListener('abort', onAbort)
      terminal.setRawMode(false)
      terminal.pause()
      stderr.write('\n')
      end()
    }
    const onAbort = (): void => finish(() => reject(reasonOf(signal)))
    const onData = (data: Buffer): void => {
      // One event may carry a whole pasted line and more.
      for (const char of decoder.write(data)) {
        if (ENTER.has(char)) return finish(() => resolve(new Secret(typed.join(''))))
        if (GIVE_UP.has(char)) {
          return finish(() => reject(new Fault('interrupted', 'no password was typed')))
        }
        if (ERASE.has(char)) typed = typed.slice(0, -1)
        else if (char === ERASE_ALL) typed = []
        else if (char >= ' ' && typed.length < MAX_LENGTH) typed = [...typed, char]
      }
    }
    stderr.write(question)
    terminal.setRawMode(true)
    terminal.on('data', onData)
    signal.addEventListener('abort', onAbort, { once: true })
    terminal.resume()
  })
}
