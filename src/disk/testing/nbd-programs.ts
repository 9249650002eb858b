/** Starts real NBD servers for tests. */

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { systemClock } from '../../base/clock.ts'

/** Why a test of these programs cannot run here, or false if all are installed. */
export function missingProgram(...programs: readonly string[]): string | false {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  const missing = programs.find(
    (program) => !folders.some((folder) => existsSync(join(folder, program))))
  return missing === undefined ? false : `${missing} is missing`
}

export interface NbdProgram extends AsyncDisposable {
  readonly socketPath: string
  /** For libnbd's programs. */
  readonly uri: string
}

/** qemu-nbd with these arguments (format, image …), serving several clients until disposed. */
export function startQemuNbd(args: readonly string[]): Promise<NbdProgram> {
  return startServer('qemu-nbd', (socket, pid) =>
    ['--persistent', '--shared=8', `--socket=${socket}`, `--pid-file=${pid}`, ...args])
}

/** nbdkit with these arguments (plug-in, parameters …) until disposed. */
export function startNbdkit(args: readonly string[]): Promise<NbdProgram> {
  return startServer('nbdkit', (socket, pid) =>
    ['--foreground', '--no-fork', `--unix=${socket}`, `--pidfile=${pid}`, ...args])
}

async function startServer(
  program: string, argsFor: (socketPath: string, pidPath: string) => readonly string[],
): Promise<NbdProgram> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-server-'))
  const socketPath = join(folder, 'nbd.sock')
  const pidPath = join(folder, 'pid')
  const child = spawn(program, argsFor(socketPath, pidPath), { stdio: 'ignore' })
  const ended = new Promise<void>((resolve) => {
    child.on('error', () => resolve())
    child.on('close', () => resolve())
  })
  const dispose = async (): Promise<void> => {
    child.kill('SIGKILL') // nbdkit would wait for its clients
    await ended
    await rm(folder, { recursive: true, force: true })
  }
  const limit = AbortSignal.timeout(30_000)
  try {
    while (!(await access(pidPath).then(() => true, () => false))) {
      if (child.exitCode !== null || child.pid === undefined) throw new Error(
        `${program} did not start`)
      await systemClock.sleep(5, limit)
    }
  } catch (error) {
    await dispose()
    throw error
  }
  return { socketPath, uri: `nbd+unix:///?socket=${socketPath}`, [Symbol.asyncDispose]: dispose }
}
