/**
 * The program, and a host of Hyper-V that is none: PowerShell is a stub, the host behind it is
 * simulated, no answer was recorded on a real one. The disk is a VHDX that qemu-img made.
 */

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { runProgram } from '../../src/base/program.ts'
import { missingProgram } from '../../src/disk/testing/mod.ts'
import { simulatedState, type SimulatedState } from '../../src/providers/testing/mod.ts'
import { makeNtfs } from '../interop/mounted-ntfs.ts'
import { endOf, startProgram } from './program.ts'
import { testFolder } from './rig.ts'

const STUB = fileURLToPath(
  new URL('../../src/providers/testing/hyperv/stub-powershell.ts', import.meta.url))
export const hypervSkip = missingProgram('qemu-img', 'mkntfs')
const DISK_MIB = 24
export const DISK_BYTES = DISK_MIB * 2 ** 20

interface Summarised {
  readonly code: number | null
  readonly summary: Readonly<Record<string, unknown>>
  readonly stderr: string
}

export class HypervRound {
  readonly folder: string
  readonly #state: string

  private constructor(folder: string) {
    this.folder = folder
    this.#state = join(folder, 'host.json')
  }

  static async start(t: TestContext): Promise<HypervRound> {
    const round = new HypervRound(await testFolder(t))
    const { folder } = round
    const disk = join(folder, 'disk.vhdx')
    await makeNtfs(join(folder, 'ntfs'), DISK_MIB)
    await runProgram('qemu-img', ['convert', '-f', 'raw', '-O', 'vhdx', '-o', 'block_size=1M',
      join(folder, 'ntfs'), disk], { signal: t.signal })
    const state = simulatedState(disk, DISK_BYTES)
    for (const machine of state.machines) machine.name = 'win1'
    await round.write(state)
    const stub = join(folder, 'powershell')
    await writeFile(stub,
      `#!/bin/sh\nexec '${process.execPath}' '${STUB}' '${round.#state}' "$@"\n`)
    await chmod(stub, 0o755)
    await mkdir(join(folder, 'state'))
    await writeFile(join(folder, 'password'), 'correct horse')
    await writeFile(join(folder, 'stillpoint.yaml'), [
      'repository: { path: repo, passwordFile: password }', 'evidence: { key: key }',
      'platforms:', '  hv: { type: hyperv, powershell: ./powershell, stateDir: state }',
      'machines:', '  win1: { platform: hv }', ''].join('\n'))
    assert.equal((await round.run('init')).code, 0)
    return round
  }

  async state(): Promise<SimulatedState> {
    return JSON.parse(await readFile(this.#state, 'utf8')) as SimulatedState
  }

  async write(state: SimulatedState): Promise<void> {
    await writeFile(this.#state, JSON.stringify(state))
  }

  spawn(...args: readonly string[]): ChildProcess {
    return startProgram(this.folder, ...args, '--json')
  }

  async run(...args: readonly string[]): Promise<Summarised> {
    const { code, stdout, stderr } = await endOf(this.spawn(...args))
    const last = stdout.trim().split('\n').at(-1) ?? ''
    return { code, stderr, summary: last === '' ? {} : JSON.parse(last) }
  }

  /** A backup that is killed where it asks for `script`. */
  async killAt(script: string): Promise<void> {
    const hold = `${this.#state}.hold-${script}`
    await writeFile(hold, '')
    const child = this.spawn('backup', 'win1')
    const ended = once(child, 'close')
    while (!existsSync(`${this.#state}.held`)) {
      assert.equal(child.exitCode, null, 'it ended before it could be killed')
      await sleep(20)
    }
    child.kill('SIGKILL')
    await rm(hold) // which ends the stub too
    await ended
    await rm(`${this.#state}.held`)
  }
}

/** What a run leaves that was killed where it asks for `script`, and what the next makes of it. */
export async function killedAt(
  script: string, pointsThen: number, t: TestContext): Promise<void> {
  const round = await HypervRound.start(t)
  await round.killAt(script)
  const left = (await round.state()).machines[0]?.checkpoints ?? []
  assert.equal(left.length, 1)
  const next = await round.run('backup', 'win1')
  assert.equal(next.summary['grade'], 'filesystem', JSON.stringify(next))
  const { machines: [machine], journal } = await round.state()
  assert.deepEqual(machine?.checkpoints, [])
  assert.ok(journal.some((line) => line.startsWith('destroy-checkpoint') &&
    line.includes(left[0]?.id ?? '-')))
  const { summary } = await round.run('points')
  assert.equal((summary['points'] as unknown[]).length, pointsThen)
}
