import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { seededRandom } from '../../base/random.ts'
import { zstdCompress, zstdDecompress } from '../format/zstd.ts'
import { LevelChooser } from './level-chooser.ts'

const CHUNK = 64 * 1024

/** Bytes that no level makes shorter. */
const noise = (seed: number): Uint8Array => seededRandom(seed)(CHUNK)

/** Words of five bytes in a new order: level 2 looks for six that it knows, level 3 for five. */
function prose(seed: number): Uint8Array {
  const words = Buffer.from(seededRandom(0)(5 * 64))
  return Buffer.concat([...seededRandom(seed)(Math.ceil(CHUNK / 5))].map((n) =>
    words.subarray(5 * (n % 64), 5 * (n % 64) + 5))).subarray(0, CHUNK)
}

/** The level of each chunk as its length shows it; both where both give the same. */
function levelsOf(chunks: readonly Uint8Array[]): readonly string[] {
  const chooser = new LevelChooser()
  return chunks.map((chunk) => {
    const frame = chooser.compress(chunk)
    assert.equal(Buffer.compare(zstdDecompress(frame, CHUNK, 'a chunk'), chunk), 0)
    return [2, 3].filter((level) => zstdCompress(chunk, level).length === frame.length).join()
  })
}

test('the samples are what they should be', () => {
  assert.ok(zstdCompress(noise(1), 2).length >= CHUNK)
  const [quick, thorough] = [2, 3].map((level) => zstdCompress(prose(1), level).length)
  assert.ok((thorough ?? 0) < 0.99 * (quick ?? 0))
})

test('what level 3 makes smaller is never left to level 2', () => {
  const levels = levelsOf(Array.from({ length: 200 }, (_, n) => prose(n)))
  assert.deepEqual(new Set(levels), new Set(['3']))
})

test('level 2 is taken once it was enough twice, and level 3 again once it is not', () => {
  // Noise is as long by both, so that prose between shows which one is used.
  const chunks = Array.from({ length: 300 }, (_, n) =>
    n < 100 || n >= 200 ? noise(n) : prose(n))
  const levels = levelsOf(chunks).slice(100, 200)
  const back = levels.lastIndexOf('2') + 1
  assert.ok(back > 0 && back <= 64, `level 2 until ${back}`)
  assert.deepEqual(new Set(levels.slice(back)), new Set(['3']))
})

test('what only a large window makes smaller is never left to a small one', () => {
  const chooser = new LevelChooser()
  for (let n = 0; n < 20; n++) {
    const half = seededRandom(n)(256 * 1024)
    const frame = chooser.compress(Buffer.concat([half, seededRandom(n + 100)(4096), half]))
    assert.ok(frame.length < 300 * 1024, `${frame.length} bytes`)
  }
})
