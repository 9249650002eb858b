/**
 * Runs a program that reads what a hostile guest wrote so that it can do no harm: with an account
 * that owns nothing, no capabilities, no network, no keys in its environment, and limits.
 */

import { runProgram, type ProgramResult } from '../../base/program.ts'

/** An account of every Linux that owns no files: `nobody`, and its group. */
export const NOBODY = 65_534
/** Bytes of a file that it may write. */
const MAX_FILE_BYTES = 512 * 1024 ** 2
const LIMITS = ['--as=536870912', '--cpu=40', '--nofile=32', '--nproc=8', '--core=0',
  `--fsize=${MAX_FILE_BYTES}`]

/** Only root may change accounts and leave the network: others cannot confine it. */
export function canConfine(): boolean {
  return process.geteuid?.() === 0
}

/** In `folder`, which it may write into if it is `NOBODY`'s. Faults: as `runProgram`. */
export function runConfined(
  program: string, args: readonly string[], folder: string, signal: AbortSignal,
): Promise<ProgramResult> {
  return runProgram('unshare', [
    '--net', '--ipc', '--mount', '--', 'setpriv', '--pdeathsig=KILL', '--no-new-privs',
    `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--inh-caps=-all',
    '--bounding-set=-all', 'prlimit', ...LIMITS, '--', program, ...args,
  ], {
    signal, cwd: folder, maxOutputBytes: 64 * 1024,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/nonexistent', LC_ALL: 'C' } })
}
