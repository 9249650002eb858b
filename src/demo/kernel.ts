/** The guest's kernel: cut out of Debian's package, with the modules a guest asks for. */

import { readFileSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Fault } from '../base/fault.ts'
import { runProgram } from '../base/program.ts'

/**
 * Writes the uncompressed kernel of a bzImage to `target`. QEMU starts it through its PVH entry,
 * which saves the emulated processor 0.5 s of unpacking. Offsets: Linux x86 boot protocol,
 * "The Real-Mode Kernel Header" (setup_sects, payload_offset, payload_length).
 */
export async function extractKernel(
  vmlinuz: string, target: string, signal: AbortSignal): Promise<void> {
  const image = readFileSync(vmlinuz)
  const payloadAt = (image.readUInt8(0x1f1) + 1) * 512 + image.readUInt32LE(0x248)
  const payloadLength = image.readUInt32LE(0x24c)
  // Its last four bytes are the unpacked size, which is not of the lz4 format.
  const payload = image.subarray(payloadAt, payloadAt + payloadLength - 4)
  if (payload.length < 4 || payload.readUInt32LE(0) !== 0x184c2102) {
    throw new Fault('unsupported', `the kernel ${basename(vmlinuz)} is not packed with lz4`)
  }
  const { stdout } = await runProgram('lz4', ['-dc'], {
    signal, input: payload, maxOutputBytes: 256 * 1024 * 1024,
  })
  await writeFile(target, stdout)
}

/** The modules below `folder`, each by its name (`virtio_blk`). */
export async function findModules(folder: string): Promise<ReadonlyMap<string, string>> {
  const files = await readdir(folder, { recursive: true })
  return new Map(files.filter((file) => file.endsWith('.ko'))
    .map((file) => [basename(file, '.ko').replaceAll('-', '_'), join(folder, file)]))
}

/** `wanted` and all that they need, in the order in which they can be loaded. */
export function loadOrder(
  wanted: readonly string[], modules: ReadonlyMap<string, string>): readonly string[] {
  const order: string[] = []
  const add = (name: string): void => {
    if (order.includes(name)) return
    const file = modules.get(name)
    if (file === undefined) throw new Fault('not-found', `the kernel has no module ${name}`)
    for (const needed of dependenciesOf(readFileSync(file))) add(needed)
    order.push(name)
  }
  for (const name of wanted) add(name)
  return order
}

/** The `depends=` entry of a module's .modinfo section. */
function dependenciesOf(module: Buffer): readonly string[] {
  const key = Buffer.from('\0depends=')
  const at = module.indexOf(key)
  if (at < 0) return []
  const text = module.subarray(at + key.length, module.indexOf(0, at + key.length)).toString()
  return text === '' ? [] : text.split(',').map((name) => name.replaceAll('-', '_'))
}
