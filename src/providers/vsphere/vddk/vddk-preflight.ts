/** Whether disks can be read by VDDK on this host, and if not, what is missing. */

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { deadline, type Clock } from '../../../base/clock.ts'
import { Fault, isFault } from '../../../base/fault.ts'
import { runProgram } from '../../../base/program.ts'
import { printable } from '../../../base/text.ts'
import type { SurveyRemark } from '../../../consistency/mod.ts'
import type { VddkOptions } from './vddk-options.ts'

export interface VddkVersions {
  /** `1.42.5` */
  readonly nbdkit: string
  /** `8`; empty where the plugin does not say. */
  readonly library: string
}

const CHECK_LIMIT_MS = 20_000
const LIBRARY = /^libvixDiskLib\.so(\.|$)/
const DOWNLOAD = 'Download VDDK from Broadcom under its own licence, unpack it, and name that ' +
  'folder (vddk).'

/**
 * Looks for the library, nbdkit, and its plugin, in that order; the plugin loads the library.
 * Faults: `program-missing`, `program-failed`, `timed-out`.
 */
export async function checkVddk(
  { libraryDir }: Pick<VddkOptions, 'libraryDir'>, clock: Clock, signal: AbortSignal,
): Promise<VddkVersions> {
  using limit = deadline(clock, CHECK_LIMIT_MS, 'the check of nbdkit', signal)
  const files = await readdir(join(libraryDir, 'lib64')).catch(() => [])
  if (!files.some((name) => LIBRARY.test(name))) {
    throw new Fault('program-missing',
      `VDDK is not in ${printable(libraryDir, 200)}: it has no lib64/libvixDiskLib.so`, {
        advice: DOWNLOAD })
  }
  const version = await nbdkit(['--version'], limit.signal)
  const described = await nbdkit([
    '--exit-with-parent', '--dump-plugin', 'vddk', `libdir=${libraryDir}`], limit.signal)
  return {
    nbdkit: /^nbdkit (\d[\w.]{0,20})/m.exec(version)?.[1] ?? 'of an unknown version',
    library: /^vddk_library_version=([\w.]{1,20})$/m.exec(described)?.[1] ?? '',
  }
}

async function nbdkit(args: readonly string[], signal: AbortSignal): Promise<string> {
  try {
    const { stdout } = await runProgram('nbdkit', args, { signal })
    return Buffer.from(stdout).toString('utf8')
  } catch (error) {
    if (isFault(error, 'program-missing')) {
      throw new Fault('program-missing', 'nbdkit is not installed', {
        cause: error, advice: 'Install the package nbdkit, and with it nbdkit-plugin-vddk.' })
    }
    if (!isFault(error, 'program-failed')) throw error
    throw new Fault('program-missing', 'nbdkit cannot load its plugin vddk', {
      cause: error,
      advice: 'Install nbdkit-plugin-vddk (Debian: contrib, from trixie on; Fedora, RHEL: of ' +
        'nbdkit itself). If it is there, the cause above says what VDDK lacks.' })
  }
}

/** For `doctor`. */
export async function vddkRemark(
  options: Pick<VddkOptions, 'libraryDir'>, clock: Clock, signal: AbortSignal,
): Promise<SurveyRemark> {
  const name = 'VDDK'
  try {
    const { nbdkit, library } = await checkVddk(options, clock, signal)
    return { name, says: `disks are read by VDDK ${library} and nbdkit ${nbdkit}` }
  } catch (error) {
    if (!isFault(error)) throw error
    return { name, says: error.message,
      ...error.advice === undefined ? {} : { advice: error.advice } }
  }
}
