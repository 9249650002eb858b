/**
 * Copies node.exe with one byte changed, for wine 8: `node-for-wine.ts FROM TO`.
 *
 * V8 takes VirtualAlloc2, MapViewOfFile3 and UnmapViewOfFile2 where all three exist. wine 8 has the
 * last and no placeholders, at which V8 ends; a name that does not exist makes it take its old way.
 */

import { readFileSync, writeFileSync } from 'node:fs'

const NAME = Buffer.from('UnmapViewOfFile2')

const [from = '', to = ''] = process.argv.slice(2)
const program = readFileSync(from)
const at = program.indexOf(NAME)
if (at === -1 || program.indexOf(NAME, at + 1) !== -1) {
  console.error(`error: ${from} does not name UnmapViewOfFile2 exactly once`)
  process.exit(1)
}
program[at + NAME.length - 1] = '9'.charCodeAt(0)
writeFileSync(to, program)
