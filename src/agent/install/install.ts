/**
 * Puts the agent into a system, and takes it out again. Each can be done any number of times, and
 * killed anywhere: every step leaves an agent that works, at once or from the next start of the
 * machine on, or none.
 */

import { throwIfAborted } from '../../base/clock.ts'
import { installHooks, removeHooks } from './hook-files.ts'
import {
  digestOf, digestOfBytes, isSameFile, makeFolderOf, removeFile, replaceFile, replaceLink,
} from './replace-file.ts'
import { SERVICE, systemdIn, type Places, type Systemd } from './places.ts'
import { runningAgents } from './running-agents.ts'
import { SERVICE_UNIT } from './service-unit.ts'

/** After each of these a run can be killed; tests do. */
export type Step =
  | 'folders' | 'part' | 'executable' | 'unit' | 'wanted' | 'loaded' | 'started' | 'stopped'
  | 'unwanted' | 'no-unit' | 'no-executable' | 'hooks' | 'no-hooks'

export interface InstallParts {
  readonly places: Places
  /** Runs systemctl(1) and returns what it printed. Faults: `program-*`. */
  readonly systemctl: (args: readonly string[], signal: AbortSignal) => Promise<string>
  /** Default: of this machine. */
  readonly procRoot?: string
  readonly systemd?: Systemd
  readonly onStep?: (step: Step) => void
}

export interface Installed {
  readonly systemd: Systemd
  /** Whether files were changed; if not, all was as it should be. */
  readonly isNew: boolean
  /** Agents of this place that run now; empty where systemd does not run. */
  readonly pids: readonly number[]
  /** What is left to do by hand for the platform's freeze hooks. */
  readonly hooksLeft: readonly string[]
}

/** Copies `executable` and lets systemd, where there is one, run it. Faults: `program-*`. */
export async function installAgent(
  executable: string, parts: InstallParts, signal: AbortSignal): Promise<Installed> {
  const done = await installService(executable, parts, signal)
  throwIfAborted(signal)
  // Last: a hook without an agent behind it makes freezes fail.
  const { isNew, left } = await installHooks(parts.places)
  parts.onStep?.('hooks')
  return { ...done, isNew: done.isNew || isNew, hooksLeft: left }
}

async function installService(
  executable: string, parts: InstallParts, signal: AbortSignal,
): Promise<Omit<Installed, 'hooksLeft'>> {
  const { places, systemctl, onStep = () => {} } = parts
  const systemd = parts.systemd ?? await systemdIn(places.root)
  const paths = systemd === 'none' ? [places.executable]
    : [places.executable, places.unit, places.wanted]
  for (const path of paths) await makeFolderOf(path, places.root)
  onStep('folders')
  throwIfAborted(signal)
  let isNew = !await isSameFile(executable, places.executable, 0o755)
  if (isNew) {
    await replaceFile(places.executable, { copyOf: executable }, 0o755, () => onStep('part'))
  }
  onStep('executable')
  if (systemd === 'none') return { systemd, isNew, pids: [] }
  const unit = Buffer.from(SERVICE_UNIT)
  if (await digestOf(places.unit) !== digestOfBytes(unit)) {
    throwIfAborted(signal)
    await replaceFile(places.unit, unit, 0o644)
    isNew = true
  }
  onStep('unit')
  throwIfAborted(signal)
  isNew = await replaceLink(places.wanted, `../${SERVICE}`) || isNew
  onStep('wanted')
  if (systemd !== 'runs') return { systemd, isNew, pids: [] }
  const stale = await systemctl(['show', '--property=NeedDaemonReload', '--value', SERVICE], signal)
  await systemctl(['daemon-reload'], signal)
  onStep('loaded')
  const agents = await runningAgents(places.executable, parts.procRoot)
  const isOld = isNew || stale.trim() === 'yes' || agents.some(({ isCurrent }) => !isCurrent)
  await systemctl([isOld ? 'restart' : 'start', SERVICE], signal)
  onStep('started')
  const running = await runningAgents(places.executable, parts.procRoot)
  return { systemd, isNew, pids: running.map(({ pid }) => pid) }
}

export interface Uninstalled {
  readonly isNew: boolean
  /** Agents that nobody stopped, because it was not systemd that started them. */
  readonly pids: readonly number[]
}

/** Leaves the configuration and files of passwords, which are the operator's. */
export async function uninstallAgent(
  parts: InstallParts, signal: AbortSignal): Promise<Uninstalled> {
  const { places, systemctl, onStep = () => {} } = parts
  let isNew = await removeHooks(places)
  onStep('no-hooks')
  const systemd = parts.systemd ?? await systemdIn(places.root)
  const isLoaded = systemd === 'runs' && await digestOf(places.unit) !== undefined
  if (isLoaded) await systemctl(['stop', SERVICE], signal)
  onStep('stopped')
  throwIfAborted(signal)
  isNew = await removeFile(places.wanted) || isNew
  onStep('unwanted')
  throwIfAborted(signal)
  isNew = await removeFile(places.unit) || isNew
  onStep('no-unit')
  // Whether or not it was us who removed the unit: a killed run may have.
  if (systemd === 'runs') await systemctl(['daemon-reload'], signal)
  throwIfAborted(signal)
  isNew = await removeFile(places.executable) || isNew
  onStep('no-executable')
  const running = await runningAgents(places.executable, parts.procRoot)
  return { isNew, pids: running.map(({ pid }) => pid) }
}
