/**
 * A process in the place of a requestor's: `stub-requestor.ts JSON` answers each step with the
 * messages that are listed for it, whatever they are; `"exit"` ends it, a step not listed is never
 * answered. `release` is answered unless it is listed. `{"parts":7}` is so many parts of a
 * document, as long as they may be; `{"endless":7}` so many characters without the end of a line.
 */

import { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { MESSAGES_FD, PART_UNITS } from '../../vss/native/protocol.ts'

/** Without their ids; a text is written as it is. */
export type StubAnswers = Readonly<Record<string, readonly (object | string)[]>>

const messages = new Socket({ fd: MESSAGES_FD, readable: false, writable: true })
messages.on('error', () => process.exit(1))
const answers = JSON.parse(process.argv[2] ?? '{}') as StubAnswers

for await (const line of createInterface({ input: process.stdin })) {
  const { id, step } = JSON.parse(line) as { readonly id: number; readonly step: string }
  const listed = answers[step] ?? (step === 'release' ? [{ value: { wallMs: 1, cpuMs: 1 } }] : [])
  for (const answer of listed) {
    if (answer === 'exit') {
      process.stderr.write('first words\nlast words\n', () => process.exit(7))
    } else if (typeof answer === 'string') messages.write(answer)
    else if ('endless' in answer) messages.write('x'.repeat(Number(answer.endless)))
    else if ('parts' in answer) {
      const part = `${JSON.stringify({ id, part: '\u6570'.repeat(PART_UNITS) })}\n`
      for (let i = 0; i < Number(answer.parts); i++) messages.write(part)
    }
    else messages.write(`${JSON.stringify({ id, ...answer })}\n`)
  }
}
