/**
 * A program in place of PowerShell: answers our scripts out of a simulated host that is kept in a
 * file. `stub-powershell.ts STATE … -File SCRIPT`, the request on standard input. While there is a
 * file `STATE.hold-SCRIPT`, that script has carried out nothing and does not end.
 */

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { answerScript, type SimulatedState } from './simulated-host.ts'

const [, , path = '', ...args] = process.argv
const script = basename(args.at(-1) ?? '', '.ps1')
const input = JSON.parse(await text(process.stdin)) as Record<string, unknown>
const hold = `${path}.hold-${script}`
if (existsSync(hold)) {
  writeFileSync(`${path}.held`, '')
  while (existsSync(hold)) await sleep(20)
  process.exit(1)
}
const state = JSON.parse(readFileSync(path, 'utf8')) as SimulatedState
const answer = answerScript(state, script, input)
writeFileSync(`${path}.part`, JSON.stringify(state))
renameSync(`${path}.part`, path)
process.stdout.write(`${JSON.stringify(answer)}\n`)
