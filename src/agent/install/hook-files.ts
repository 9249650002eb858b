/**
 * What makes the platform's programs in the machine tell the agent of freezes: a hook of qemu-ga in
 * the folder of its dispatcher, the setting that turns hooks on, a script of VMware Tools.
 */

import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HOOK_NAME, QEMU_CONFIG, VMWARE_HOOKS } from '../hook/hook-standing.ts'
import { EXECUTABLE, type Places } from './places.ts'
import {
  digestOf, digestOfBytes, makeFolderOf, removeFile, replaceFile,
} from './replace-file.ts'

/** Folders in which a dispatcher of hooks lies: Debian and its kin, RHEL and its kin. */
const DISPATCHERS = ['/etc/qemu', '/etc/qemu-ga']
const DISPATCHER = 'fsfreeze-hook'

/** The exit code is the client's: a freeze that is not held has to fail. */
const HOOK = `#!/bin/sh
# Written by stillpoint-agent install; tells the agent of a freeze, and of the thaw.
exec ${EXECUTABLE} hook "$1"
`

/** For qemu-ga of Debian, whose unit turns no hooks on; elsewhere it is done already. */
const CONFIG = `# Written by stillpoint-agent install: turns hooks on.
[general]
fsfreeze-hook = /etc/qemu/${DISPATCHER}
`

export interface HookFiles {
  readonly isNew: boolean
  /** What is left to do by hand. */
  readonly left: readonly string[]
}

/** Writes what this system has a use for; run again it changes nothing. */
export async function installHooks({ root }: Places): Promise<HookFiles> {
  let isNew = false
  const left: string[] = []
  for (const folder of DISPATCHERS) {
    if (!await exists(join(root, folder, DISPATCHER))) continue
    isNew = await put(hookIn(folder), HOOK, 0o755, root) || isNew
  }
  if (await exists(join(root, '/etc/qemu', DISPATCHER))) {
    const text = await readFile(join(root, QEMU_CONFIG), 'utf8').catch(() => undefined)
    if (text === undefined) isNew = await put(QEMU_CONFIG, CONFIG, 0o644, root) || isNew
    else if (!/^[ \t]*fsfreeze-hook[ \t]*=/m.test(text)) {
      left.push(`hooks are off: add to ${QEMU_CONFIG}, below [general]: ` +
        `fsfreeze-hook = /etc/qemu/${DISPATCHER}`)
    }
  }
  if (await exists(join(root, '/etc/vmware-tools'))) {
    isNew = await put(join(VMWARE_HOOKS, HOOK_NAME), HOOK, 0o755, root) || isNew
  }
  return { isNew, left }
}

/** Leaves a configuration of qemu-ga that is not as we wrote it. False if there was nothing. */
export async function removeHooks({ root }: Places): Promise<boolean> {
  let isNew = false
  for (const path of [...DISPATCHERS.map(hookIn), join(VMWARE_HOOKS, HOOK_NAME)]) {
    isNew = await removeFile(join(root, path)) || isNew
  }
  const config = join(root, QEMU_CONFIG)
  if (await readFile(config, 'utf8').catch(() => '') !== CONFIG) return isNew
  return await removeFile(config) || isNew
}

function hookIn(folder: string): string {
  return join(folder, `${DISPATCHER}.d`, HOOK_NAME)
}

async function put(path: string, text: string, mode: number, root: string): Promise<boolean> {
  const target = join(root, path)
  const bytes = Buffer.from(text)
  await makeFolderOf(target, root)
  if (await digestOf(target) === digestOfBytes(bytes)) return false
  await replaceFile(target, bytes, mode)
  return true
}

function exists(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false)
}
