/**
 * QEMU's dirty bitmaps in memory, by QEMU's documentation ("Dirty Bitmaps and Incremental Backup")
 * and as measured with 7.2: a `FakeQmpServer` answers as they would.
 */

import { z } from 'zod'
import { FakeQmpError, type FakeQmpServer } from './fake-qmp-server.ts'

export interface ModelBitmap {
  isRecording: boolean
  isInconsistent: boolean
  readonly isPersistent: boolean
  /** In the image's file, where it is marked as in use. */
  isStored: boolean
  /** Numbers of the blocks that are marked. */
  readonly bits: Set<number>
}

/** `old-qcow2` is an image whose version cannot keep bitmaps. */
export class ModelImage {
  readonly format: 'qcow2' | 'old-qcow2' | 'raw'
  readonly bitmaps = new Map<string, ModelBitmap>()
  /** Every block ever written, in order. */
  readonly writes: number[] = []

  constructor(format: ModelImage['format']) {
    this.format = format
  }

  write(block: number): void {
    this.writes.push(block)
    for (const bitmap of this.bitmaps.values()) if (bitmap.isRecording) bitmap.bits.add(block)
  }

  /** QEMU ends in order: persistent bitmaps are stored, others are gone. */
  close(): void {
    for (const [name, bitmap] of this.bitmaps) {
      if (bitmap.isPersistent) bitmap.isStored = true
      else this.bitmaps.delete(name)
    }
  }

  /** QEMU is killed: what the file had says nothing any more, the rest is gone. */
  lose(): void {
    for (const [name, bitmap] of this.bitmaps) {
      if (!bitmap.isStored) this.bitmaps.delete(name)
      bitmap.isInconsistent = true
      bitmap.isRecording = false
    }
  }
}

const action = z.object({ type: z.string(), data: z.looseObject({}) })
const one = z.object({ node: z.string(), name: z.string() })
const merge = z.object({ node: z.string(), target: z.string(), bitmaps: z.array(z.string()) })
const added = one.extend({
  disabled: z.boolean().default(false), persistent: z.boolean().optional() })

/** Answers for the nodes of `images`, which a test may exchange; the map is read each time. */
export function serveBitmaps(
  server: FakeQmpServer, images: ReadonlyMap<string, ModelImage>): void {
  server.handlers.set('query-named-block-nodes', () => [...images].map(([node, image]) => ({
    'node-name': node, drv: image.format === 'raw' ? 'raw' : 'qcow2', file: node,
    image: { 'virtual-size': 1024 },
    'dirty-bitmaps': [...image.bitmaps].map(([name, bitmap]) => ({
      name, recording: bitmap.isRecording, persistent: bitmap.isPersistent, busy: false,
      ...(bitmap.isInconsistent ? { inconsistent: true } : {}),
      count: bitmap.bits.size * 65536, granularity: 65536,
    })),
  })))
  server.handlers.set('block-dirty-bitmap-add', (args) => {
    const { node, name, disabled, persistent = false } = added.parse(args)
    const image = imageOf(images, node)
    if (image.bitmaps.has(name)) refuse(`Bitmap already exists: ${name}`)
    if (persistent && image.format !== 'qcow2') refuse('Cannot store dirty bitmaps')
    image.bitmaps.set(name, {
      isRecording: !disabled, isInconsistent: false, isPersistent: persistent, isStored: false,
      bits: new Set() })
    return {}
  })
  server.handlers.set('transaction', (args) => {
    const { actions } = z.object({ actions: z.array(action) }).parse(args)
    const apply = actions.map((item) => planned(images, item)) // all are looked at before any
    for (const step of apply) step()
    return {}
  })
}

function planned(
  images: ReadonlyMap<string, ModelImage>, { type, data }: z.infer<typeof action>): () => void {
  if (type === 'block-dirty-bitmap-merge') {
    const { node, target, bitmaps } = merge.parse(data)
    const into = usable(images, node, target)
    const from = bitmaps.map((name) => usable(images, node, name))
    return () => { for (const { bits } of from) for (const bit of bits) into.bits.add(bit) }
  }
  const { node, name } = one.parse(data)
  if (type === 'block-dirty-bitmap-remove') {
    const image = imageOf(images, node)
    if (!image.bitmaps.has(name)) refuse(`Dirty bitmap '${name}' not found`)
    return () => { image.bitmaps.delete(name) }
  }
  const bitmap = usable(images, node, name)
  if (type === 'block-dirty-bitmap-enable') return () => { bitmap.isRecording = true }
  if (type === 'block-dirty-bitmap-disable') return () => { bitmap.isRecording = false }
  return refuse(`Invalid parameter '${type}'`)
}

function imageOf(images: ReadonlyMap<string, ModelImage>, node: string): ModelImage {
  return images.get(node) ?? refuse(`Cannot find device='${node}' nor node-name='${node}'`)
}

function usable(
  images: ReadonlyMap<string, ModelImage>, node: string, name: string): ModelBitmap {
  const bitmap = imageOf(images, node).bitmaps.get(name)
  if (bitmap === undefined) return refuse(`Dirty bitmap '${name}' not found`)
  if (bitmap.isInconsistent) refuse(`Bitmap '${name}' is inconsistent and cannot be used`)
  return bitmap
}

function refuse(desc: string): never {
  throw new FakeQmpError('GenericError', desc)
}
