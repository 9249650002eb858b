/**
 * Whether the programs of platforms in this machine tell the agent of freezes, by how they run now
 * (proc(5); QEMU documentation, "QEMU Guest Agent": --fsfreeze-hook, and the configuration file).
 */

import { access, readdir, readFile, readlink, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { readSmallFile } from '../../writers/mod.ts'
import type { HookStanding } from '../../channel/mod.ts'

/** What both kinds of hook are called in their folders. */
export const HOOK_NAME = 'stillpoint'
export const QEMU_CONFIG = '/etc/qemu/qemu-ga.conf'
export const VMWARE_HOOKS = '/etc/vmware-tools/backupScripts.d'
const DEFAULT_HOOK = '/etc/qemu/fsfreeze-hook'
const MAX_TEXT_BYTES = 64 * 1024
/** Ticks of /proc/PID/stat, a constant of Linux's interface. */
const TICKS_PER_SECOND = 100

/** One for each such program that runs; `root` is put before all paths, for tests. */
export async function hookStandings(
  procRoot = '/proc', root = '/'): Promise<readonly HookStanding[]> {
  const found: HookStanding[] = []
  for (const pid of await readdir(procRoot).catch(() => [])) {
    if (!/^\d+$/.test(pid)) continue
    const exe = await readlink(join(procRoot, pid, 'exe')).catch(() => '')
    const program = basename(exe.replace(/ \(deleted\)$/, ''))
    if (program === 'qemu-ga') {
      found.push({ tool: 'qemu-ga', state: await qemuState(procRoot, pid, root) })
    } else if (program === 'vmtoolsd') {
      const isThere = await exists(join(root, VMWARE_HOOKS, HOOK_NAME))
      found.push({ tool: 'vmware-tools', state: isThere ? 'on' : 'not-installed' })
    }
  }
  return found
}

async function qemuState(
  procRoot: string, pid: string, root: string): Promise<HookStanding['state']> {
  const text = await readFile(join(procRoot, pid, 'cmdline'), 'utf8').catch(() => '')
  const args = text.split('\0').slice(1)
  let hook = hookArgument(args)
  let isLater = false
  if (hook === undefined) {
    const file = join(root, configOf(args))
    hook = /^[ \t]*fsfreeze-hook[ \t]*=[ \t]*(\S.*?)[ \t]*$/m.exec(
      await readSmallFile(file, MAX_TEXT_BYTES).catch(() => ''))?.[1]
    if (hook === undefined) return 'ignored'
    isLater = await changedMs(file) > await startedMs(procRoot, pid)
  }
  const isOurs = await exists(join(root, dirname(hook), 'fsfreeze-hook.d', HOOK_NAME)) ||
    (await readSmallFile(join(root, hook), MAX_TEXT_BYTES).catch(() => ''))
      .includes('stillpoint-agent')
  return !isOurs ? 'not-installed' : isLater ? 'restart' : 'on'
}

/** Of `-F`, whose argument is part of the word; undefined without it. */
function hookArgument(args: readonly string[]): string | undefined {
  for (const arg of args) {
    const path = /^(?:-F|--fsfreeze-hook(?:=|$))(.*)$/.exec(arg)?.[1]
    if (path !== undefined) return path === '' ? DEFAULT_HOOK : path
  }
  return undefined
}

function configOf(args: readonly string[]): string {
  for (const [index, arg] of args.entries()) {
    if (arg === '-c' || arg === '--config') return args[index + 1] ?? QEMU_CONFIG
    const path = /^(?:-c|--config=)(.+)$/.exec(arg)?.[1]
    if (path !== undefined) return path
  }
  return QEMU_CONFIG
}

async function changedMs(file: string): Promise<number> {
  return (await stat(file)).mtimeMs
}

/** Wall time when the process was started, to a second; 0 where it cannot be told. */
async function startedMs(procRoot: string, pid: string): Promise<number> {
  const own = await readFile(join(procRoot, pid, 'stat'), 'latin1').catch(() => '')
  const system = await readFile(join(procRoot, 'stat'), 'latin1').catch(() => '')
  const ticks = Number(own.slice(own.lastIndexOf(')') + 2).split(' ')[19])
  const bootSeconds = Number(/^btime (\d+)$/m.exec(system)?.[1])
  const startedMs = (bootSeconds + ticks / TICKS_PER_SECOND) * 1000
  return Number.isFinite(startedMs) ? startedMs : 0
}

function exists(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false)
}
