/**
 * A `virsh` that hears what is said to the real one and kills a process at a word: made for a
 * test's PATH, as a program of its own.
 */

import { spawnSync } from 'node:child_process'
import { chmod, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** When somebody is killed. `in`: the line has been passed on; `out`: the answer is kept back. */
export interface VirshStep {
  readonly where: 'in' | 'out'
  readonly text: string
  readonly whom: 'requestor' | 'guardian' | 'both'
}

export interface HeardLine {
  readonly where: 'in' | 'out' | 'kill'
  readonly atMs: number
  readonly line: string
}

const SOURCE = (execPath: string, virsh: string, folder: string): string => `#!${execPath}
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const folder = ${JSON.stringify(folder)}
const log = (where, line) => fs.appendFileSync(folder + '/heard',
  JSON.stringify({ where, atMs: Date.now(), line: line.slice(0, 300) }) + '\\n')
const killIfDue = (where, line) => {
  let step
  try { step = JSON.parse(fs.readFileSync(folder + '/step', 'utf8')) } catch { return }
  if (step.where !== where || !line.includes(step.text)) return
  if (where === 'out' && step.text.startsWith('{') && !froze) return
  const pids = (step.whom === 'both' ? ['guardian', 'requestor'] : [step.whom])
    .map((whom) => Number(fs.readFileSync(folder + '/' + whom, 'utf8')))
  fs.rmSync(folder + '/step')
  log('kill', line)
  for (const pid of pids) try { process.kill(pid, 'SIGKILL') } catch {}
}
let froze = false
const real = spawn(${JSON.stringify(virsh)}, process.argv.slice(2),
  { stdio: ['pipe', 'pipe', 'inherit'] })
const relay = (from, to, where) => {
  let rest = ''
  from.setEncoding('utf8')
  from.on('data', (text) => {
    const lines = (rest + text).split('\\n')
    rest = lines.pop()
    for (const line of lines) {
      log(where, line)
      if (where === 'in' && line.includes('guest-fsfreeze-freeze')) {
        froze = true
        fs.writeFileSync(folder + '/guardian', String(process.ppid))
      }
      if (where === 'out') killIfDue(where, line)
      to.write(line + '\\n')
      if (where === 'in') killIfDue(where, line)
    }
    if (where === 'out' && rest !== '') { to.write(rest); rest = '' }
  })
  from.on('end', () => to.end())
  to.on('error', () => {})
}
relay(process.stdin, real.stdin, 'in')
relay(real.stdout, process.stdout, 'out')
real.on('exit', (code) => process.exit(code ?? 1))
`

/** The folder becomes one for PATH. */
export async function makeRelay(folder: string): Promise<void> {
  const virsh = String(spawnSync('sh', ['-c', 'command -v virsh']).stdout).trim()
  await writeFile(join(folder, 'virsh'), SOURCE(process.execPath, virsh, folder))
  await chmod(join(folder, 'virsh'), 0o755)
}

/** Begins a run: nothing is heard yet, and the step is due once. */
export async function arm(folder: string, step: VirshStep | undefined): Promise<void> {
  await rm(join(folder, 'heard'), { force: true })
  await rm(join(folder, 'step'), { force: true })
  if (step !== undefined) await writeFile(join(folder, 'step'), JSON.stringify(step))
}

export async function heard(folder: string): Promise<readonly HeardLine[]> {
  const text = await readFile(join(folder, 'heard'), 'utf8').catch(() => '')
  return text.split('\n').filter((line) => line !== '')
    .map((line) => JSON.parse(line) as HeardLine)
}
