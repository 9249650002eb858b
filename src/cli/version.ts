/** Stillpoint's own version. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isJsonObject, parseJson } from '../base/json.ts'

/** From the nearest package.json above this file, in the checkout as in the package. */
export function readVersion(from = import.meta.dirname): string {
  const path = join(from, 'package.json')
  const text = readIfThere(path)
  if (text === undefined) {
    assert(dirname(from) !== from, 'package.json is missing')
    return readVersion(dirname(from))
  }
  const parsed = parseJson(text, path, 'io-error')
  assert(isJsonObject(parsed) && typeof parsed['version'] === 'string')
  return parsed['version']
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
