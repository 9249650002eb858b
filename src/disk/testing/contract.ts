/** What every BlockSource must do; each implementation runs it in its own test. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { seededRandom } from '../../base/random.ts'
import { isZero } from '../../base/zero.ts'
import type { BlockSource } from '../block-source.ts'
import { mergeExtents } from '../extent-stream.ts'
import type { Extent } from '../extents.ts'

const MIB = 1024 * 1024

/**
 * The content the contract wants a source to have: data, zeros and small islands in zeros; not a
 * multiple of a megabyte, but of a sector.
 */
export function contractContent(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(9 * MIB + 512)
  const random = seededRandom(7)
  bytes.set(random(3 * MIB), 0)
  bytes.set(random(4096), 5 * MIB + 8192)
  bytes.set(random(MIB), 7 * MIB)
  bytes.set(random(512), 9 * MIB)
  return bytes
}

export interface OpenForContract {
  /** Opens a fresh source that holds `contractContent()`; the contract disposes it. */
  (context: TestContext, signal: AbortSignal): Promise<BlockSource>
}

/**
 * Registers the contract's tests under `name`. `skip` is why they cannot run here.
 */
export function testBlockSource(
  name: string, open: OpenForContract, skip: string | false = false): void {
  const content = contractContent()
  const contract = (
    claim: string,
    check: (source: BlockSource, signal: AbortSignal, abort: AbortController) => Promise<void>,
  ): void => {
    test(`${name}: ${claim}`, { skip }, async (context) => {
      const abort = new AbortController()
      await using source = await open(context, abort.signal)
      await check(source, abort.signal, abort)
    })
  }

  contract('reads what it holds, at any offset and length', async (source, signal) => {
    assert.equal(source.sizeBytes, content.length)
    const random = seededRandom(1)
    const upTo = (limit: number): number => new DataView(random(4).buffer).getUint32(0) % limit
    const ranges = [
      [0, 1], [0, content.length], [content.length - 1, 1], [content.length, 0], [511, 2]]
    for (let i = 0; i < 60; i++) {
      const offset = upTo(content.length)
      ranges.push([offset, upTo(Math.min(3 * MIB, content.length - offset))])
    }
    await Promise.all(ranges.map(async ([offset = 0, length = 0]) => {
      const bytes = await source.read(offset, length, signal)
      const same = Buffer.compare(bytes, content.subarray(offset, offset + length)) === 0
      assert.ok(same, `${length} bytes at ${offset}`)
    }))
  })

  contract('gives buffers of their own that can be transferred', async (source, signal) => {
    const [a, b] = await Promise.all(
      [source.read(4096, 512, signal), source.read(4096, 512, signal)])
    assert.equal(a.byteOffset, 0)
    assert.equal(a.buffer.byteLength, 512)
    assert.notEqual(a.buffer, b.buffer)
    structuredClone(a.buffer, { transfer: [a.buffer] })
    assert.equal(a.length, 0)
    assert.equal(b.length, 512)
  })

  contract('fills memory that is given to it, whatever is in it, or takes its own',
    async (source, signal) => {
      for (const [offset, length] of [[3 * MIB - 700, MIB], [8 * MIB, MIB], [0, 100]] as const) {
        for (const given of [length, length - 1, 0]) {
          const memory = new Uint8Array(given).fill(0xaa).buffer
          const bytes = await source.read(offset, length, signal, memory)
          assert.equal(bytes.buffer.byteLength, length)
          assert.equal(Buffer.compare(bytes, content.subarray(offset, offset + length)), 0)
        }
      }
    })

  contract('refuses ranges outside the disk', async (source, signal) => {
    const size = source.sizeBytes
    for (const [offset, length] of [
      [-1, 1], [0, size + 1], [size, 1], [size + 1, 0], [0, -1], [0.5, 1], [0, Number.NaN],
      [Number.MAX_SAFE_INTEGER, 1], [1, Number.MAX_SAFE_INTEGER],
    ] as const) {
      await assert.rejects(source.read(offset, length, signal), { code: 'out-of-range' })
    }
  })

  contract('tells extents that cover any range and lies of no zero', async (source, signal) => {
    if (source.extents === undefined) return
    for (const [offset, length] of [
      [0, content.length], [0, 0], [1, 1], [3 * MIB - 7, MIB], [5 * MIB + 8191, 2],
      [content.length - 1, 1],
    ] as const) {
      const range = { offset, length }
      const extents: Extent[] = await Array.fromAsync(source.extents(range, signal))
      assert.deepEqual(await Array.fromAsync(mergeExtents(extents, range)), extents)
      for (const extent of extents.filter(({ kind }) => kind === 'zero')) {
        assert.ok(isZero(content.subarray(extent.offset, extent.offset + extent.length)))
      }
    }
    const outside = { offset: 0, length: content.length + 1 }
    await assert.rejects(Array.fromAsync(source.extents(outside, signal)), { code: 'out-of-range' })
  })

  contract('heeds an abort and goes on for others', async (source, signal, abort) => {
    const reads = Array.from({ length: 16 }, (_, i) => source.read(i * 4096, MIB, signal))
    const settled = Promise.allSettled(reads)
    abort.abort()
    for (const outcome of await settled) {
      if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'interrupted')
    }
    await assert.rejects(source.read(0, 1, signal), { code: 'interrupted' })
    const other = new AbortController().signal
    assert.deepEqual(await source.read(7 * MIB, 512, other), content.slice(7 * MIB, 7 * MIB + 512))
  })

  contract('ends reads with disk-lost when disposed, once or twice', async (source, signal) => {
    const reads = Promise.allSettled(Array.from({ length: 8 }, () => source.read(0, MIB, signal)))
    await source[Symbol.asyncDispose]()
    for (const outcome of await reads) {
      if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'disk-lost')
    }
    await assert.rejects(source.read(0, 1, signal), { code: 'disk-lost' })
    await source[Symbol.asyncDispose]()
  })
}
