/**
 * Parsers of the answers that are used, to the extent they are used; the rest is dropped.
 *
 * Source: QEMU documentation, "QEMU QMP Reference Manual"; each schema bears its command's name.
 */

import { z } from 'zod'
import { Fault } from '../../base/fault.ts'
import type { QmpClient } from './qmp-client.ts'

const MAX_ENTRIES = 4096
const text = z.string().max(8192)
const size = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
const list = <T extends z.ZodType>(item: T): z.ZodArray<T> => z.array(item).max(MAX_ENTRIES)

const image = z.object({ 'virtual-size': size })
const inserted = z.object({
  'node-name': text.default(''), drv: text, ro: z.boolean(), file: text, image })
const dirtyBitmap = z.object({
  name: text.optional(), recording: z.boolean(), inconsistent: z.boolean().optional() })
const node = z.object({
  'node-name': text.default(''), drv: text, file: text, image,
  'dirty-bitmaps': list(dirtyBitmap).optional(),
})

interface PciDevice {
  readonly bus: number
  readonly slot: number
  readonly function: number
  readonly qdev_id: string
  readonly pci_bridge?: {
    readonly bus: { readonly secondary: number }
    readonly devices?: readonly PciDevice[] | undefined
  } | undefined
}

const pciDevice: z.ZodType<PciDevice> = z.object({
  bus: z.number().int(),
  slot: z.number().int(),
  function: z.number().int(),
  qdev_id: text,
  pci_bridge: z.object({
    bus: z.object({ secondary: z.number().int() }),
    devices: z.lazy(() => list(pciDevice)).optional(),
  }).optional(),
})

export const replies = {
  'query-status': z.object({ status: text, running: z.boolean() }),
  'query-name': z.object({ name: text.optional() }),
  'query-uuid': z.object({ UUID: text }),
  'query-target': z.object({ arch: text }),
  'query-version': z.object({
    qemu: z.object({ major: z.number().int(), minor: z.number().int(), micro: z.number().int() }),
    package: text,
  }),
  'query-cpus-fast': list(z.object({ 'cpu-index': z.number().int() })),
  'query-memory-size-summary': z.object({
    'base-memory': size, 'plugged-memory': size.optional() }),
  'query-block': list(z.object({
    device: text, qdev: text.optional(), removable: z.boolean(), inserted: inserted.optional() })),
  'query-named-block-nodes': list(node),
  'query-block-jobs': list(z.object({ device: text, type: text, status: text })),
  'query-jobs': list(z.object({ id: text, type: text, status: text })),
  'query-block-exports': list(z.object({ id: text, type: text, 'node-name': text })),
  'query-migrate': z.object({ status: text.optional() }),
  'query-chardev': list(z.object({
    label: text, filename: text, 'frontend-open': z.boolean() })),
  'query-pci': list(z.object({ devices: list(pciDevice) })),
  'query-qmp-schema': z.array(z.looseObject({ name: text })).max(65536),
  'qom-list': list(z.object({ name: text, type: text })),
  'qom-get': z.unknown(),
  'x-debug-query-block-graph': z.object({
    nodes: list(z.object({ id: z.number().int(), type: text, name: text })),
    edges: list(z.object({ parent: z.number().int(), child: z.number().int(), name: text })),
  }),
} as const

type Replies = typeof replies
export type Reply<Command extends keyof Replies> = z.infer<Replies[Command]>

/** Carries out a query and parses its answer. Faults: those of `execute`, `platform-protocol`. */
export async function ask<Command extends keyof Replies>(
  client: QmpClient, command: Command, signal: AbortSignal,
  args: Readonly<Record<string, unknown>> = {},
): Promise<Reply<Command>> {
  const value = await client.execute(command, args, signal)
  const parsed = replies[command].safeParse(value)
  // The table's entry and the command's type are one, which the compiler cannot follow.
  if (parsed.success) return parsed.data as Reply<Command>
  throw new Fault('platform-protocol',
    `QEMU answered ${command} in a way that cannot be understood`, { cause: parsed.error })
}

/** True if `command` takes an argument of that name in this QEMU. Faults as `ask`. */
export async function hasArgument(
  client: QmpClient, command: string, argument: string, signal: AbortSignal): Promise<boolean> {
  const schema = await ask(client, 'query-qmp-schema', signal)
  const byName = new Map(schema.map((entry) => [entry.name, entry]))
  const argType = byName.get(command)?.['arg-type']
  const members = typeof argType === 'string' ? byName.get(argType)?.['members'] : undefined
  const names = z.array(z.object({ name: text })).safeParse(members)
  return names.success && names.data.some((member) => member.name === argument)
}
