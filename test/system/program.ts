/** The program as it is installed, in a process of its own. */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { quietEnvironment } from '../../src/base/program.ts'

export const PROGRAM = fileURLToPath(new URL('../../bin/stillpoint', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** In a folder whose `stillpoint.yaml` it reads. */
export function startProgram(folder: string, ...args: readonly string[]): ChildProcess {
  return spawn(PROGRAM, args, {
    cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env: quietEnvironment() })
}

/** Waits for its end, and keeps what it says until then. */
export async function endOf(child: ChildProcess): Promise<Ended> {
  let [stdout, stderr] = ['', '']
  child.stdout?.on('data', (data: Buffer) => { stdout += data.toString() })
  child.stderr?.on('data', (data: Buffer) => { stderr += data.toString() })
  const [code] = await once(child, 'close') as [number | null]
  return { code, stdout, stderr }
}
