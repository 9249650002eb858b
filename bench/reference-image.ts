/** The reference disk image of the benchmarks: seeded, with what real disks hold. */

import { open } from 'node:fs/promises'
import { seededRandom } from '../src/base/random.ts'

const MIB = 1024 * 1024

/**
 * Writes an image: of each run of eight parts three are text (zstd takes it to a third), two are
 * records of numbers (to a half), one is random and two are empty, in lengths of 64 KiB to 4 MiB.
 */
export async function writeReferenceImage(
  path: string, sizeBytes: number, seed: number): Promise<void> {
  await using file = await open(path, 'w')
  const dice = diceOf(seed)
  const makers = [text, records, text, empty, random, text, records, empty]
  const vocabulary = wordsOf(dice)
  for (let at = 0, part = 0; at < sizeBytes; part++) {
    const length = Math.min(sizeBytes - at, 65_536 << Math.floor(dice() * 7))
    const bytes = makers[part % makers.length]?.(length, dice, vocabulary)
    if (bytes !== undefined) await file.write(bytes, 0, length, at)
    at += length
  }
  await file.truncate(sizeBytes)
}

/** Rewrites `share` of the 64 KiB blocks of an image at random places; returns their offsets. */
export async function changeImage(
  path: string, sizeBytes: number, share: number, seed: number): Promise<readonly number[]> {
  await using file = await open(path, 'r+')
  const dice = diceOf(seed)
  const vocabulary = wordsOf(dice)
  const blocks = Math.floor(sizeBytes / 65_536)
  const offsets = new Set<number>()
  while (offsets.size < Math.ceil(blocks * share)) offsets.add(Math.floor(dice() * blocks) * 65_536)
  for (const offset of offsets) await file.write(text(65_536, dice, vocabulary), 0, 65_536, offset)
  return [...offsets].sort((a, b) => a - b)
}

type Dice = () => number

function diceOf(seed: number): Dice {
  let state = seed >>> 0
  return () => {
    // An LCG is random enough for lengths and words, and quick.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

function wordsOf(dice: Dice): readonly Buffer[] {
  return Array.from({ length: 8000 }, () => {
    const length = 2 + Math.floor(dice() * 9)
    const letters = Array.from({ length }, () => 97 + Math.floor(dice() * dice() * 26))
    return Buffer.from([...letters, 32])
  })
}

/** Words, the frequent ones much more often, as in any language or log. */
function text(length: number, dice: Dice, vocabulary: readonly Buffer[]): Uint8Array {
  const bytes = Buffer.alloc(length + 16)
  for (let at = 0; at < length;) {
    const word = vocabulary[Math.floor(dice() ** 3 * vocabulary.length)]
    at += word?.copy(bytes, at) ?? 1
  }
  return bytes.subarray(0, length)
}

/** Records of 16 bytes: a counter, a small number, a pointer-like one, noise. */
function records(length: number, dice: Dice): Uint8Array {
  const bytes = Buffer.alloc(length)
  const start = Math.floor(dice() * 1e9)
  for (let at = 0; at + 16 <= length; at += 16) {
    bytes.writeUInt32LE(start + at, at)
    bytes.writeUInt32LE(Math.floor(dice() * 50), at + 4)
    bytes.writeUInt32LE(0x7f00_0000 + Math.floor(dice() * 65_536), at + 8)
    bytes.writeUInt32LE(Math.floor(dice() * 2 ** 32), at + 12)
  }
  return bytes
}

function random(length: number, dice: Dice): Uint8Array {
  return seededRandom(Math.floor(dice() * 2 ** 32))(Math.ceil(length / MIB) * MIB)
    .subarray(0, length)
}

function empty(): undefined {
  return undefined
}
