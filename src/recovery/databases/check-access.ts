/**
 * A database of Access in the image. It has no log and no writer, so nothing in it says whether a
 * write was under way: what can be seen is said, and never taken for a proof.
 */

import type { DatabaseSubject, Finding } from './finding.ts'
import { silent } from './finding.ts'

/** By the byte behind the name of its engine, as it is known in the field; and its page's size. */
const VERSIONS: readonly (readonly [name: string, pageBytes: number])[] = [
  ['Access 97', 2048], ['Access 2000 to 2003', 4096], ['Access 2007', 4096],
  ['Access 2010', 4096], ['Access 2013', 4096], ['Access 2016 and newer', 4096],
]
const HEAD_BYTES = 32
const BEGINS = ['Jet', 'ACE'].map((engine) => `\0\x01\0\0Standard ${engine} DB\0`)

/** Always silent. */
export async function lookAtAccess(
  { paths: [path = ''], files }: DatabaseSubject): Promise<Finding> {
  const file = await files.find(path)
  if (file?.kind !== 'file') return silent('no file lies where it was')
  const head = await file.read(0, HEAD_BYTES)
  if (head.length < HEAD_BYTES ||
    !BEGINS.some((begin) => head.toString('latin1').startsWith(begin))) {
    return silent('its file does not begin as a database of Access does')
  }
  const [name, pageBytes] = VERSIONS[head.readUInt8(20)] ?? ['a version that is not known', 4096]
  const isOpen = await files.find(lockOf(path)) !== undefined
  const size = file.sizeBytes % pageBytes === 0 ? '' : ', and its last page is cut'
  return silent(`${name}${size}: ${isOpen
    ? 'somebody had it open (its lock file is there), and it cannot be told whether a write was ' +
      'under way'
    : 'nobody had it open (it has no lock file), and it holds no sign of the instant'}`)
}

/** `.laccdb` beside `.accdb`, `.ldb` beside `.mdb`. */
function lockOf(path: string): string {
  return path.replace(/\.(accd[be]|md[be])$/i, (_, type: string) =>
    type.toLowerCase().startsWith('a') ? '.laccdb' : '.ldb')
}
