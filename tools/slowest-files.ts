/** A reporter of node's test runner: which files took longest, to make a run shorter. */

import type { TestEvent } from 'node:test/reporters'
import { relative } from 'node:path'
import { ROOT } from './source-tree.ts'

const SHOWN = 12

export default async function* slowestFiles(
  events: AsyncIterable<TestEvent>): AsyncGenerator<string, void> {
  const files: { readonly file: string; readonly seconds: number }[] = []
  for await (const { type, data } of events) {
    if (type !== 'test:summary' || data.file === undefined) continue
    files.push({ file: relative(ROOT, data.file), seconds: data.duration_ms / 1000 })
  }
  const slowest = files.sort((a, b) => b.seconds - a.seconds).slice(0, SHOWN)
  yield `the slowest of ${files.length} files, in seconds:\n`
  for (const { file, seconds } of slowest) yield `${seconds.toFixed(1).padStart(7)}  ${file}\n`
}
