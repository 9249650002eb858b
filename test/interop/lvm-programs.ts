/** LVM's own programs, on images of a test and on nothing else of this host. */

import { runProgram } from '../../src/base/program.ts'

const signal = new AbortController().signal

/** Where LVM begins the first extent of a physical volume by default. */
export const FIRST_EXTENT = 2 ** 20
/** For `lvcreate`: no kernel is needed. */
export const INACTIVE = ['--activate', 'n', '--zero', 'n', '--wipesignatures', 'n']

export async function run(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await runProgram(program, args, {
    signal, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' } })
  return Buffer.from(stdout).toString()
}

/** Runs LVM's programs on these images alone; nothing is activated, so no kernel is needed. */
export async function withLvm(
  images: readonly string[],
  make: (lvm: (program: string, ...args: readonly string[]) => Promise<string>,
    devices: readonly string[]) => Promise<void>,
): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const devices: string[] = []
  for (const path of images) {
    const device = (await run('losetup', '--find', '--show', path)).trim()
    stack.defer(async () => { await run('losetup', '--detach', device) })
    devices.push(device)
  }
  const filter = [...devices.map((device) => `"a|^${device}$|"`), '"r|.*|"'].join(',')
  await make((program, ...args) => run(program, '--quiet', '--quiet', '--driverloaded', 'n',
    '--config', `devices{use_devicesfile=0 filter=[${filter}]} backup{backup=0 archive=0}`,
    ...args), devices)
}
