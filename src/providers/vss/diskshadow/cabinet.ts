/** The documents of a set, out of the cabinet that `set metadata` names. */

import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../../base/clock.ts'
import { Fault, isFault } from '../../../base/fault.ts'
import { runProgram } from '../../../base/program.ts'
import { inTurns } from '../../../base/turns.ts'
import { DOCUMENT_LIMITS, parsingWriterMetadata } from '../session/documents.ts'
import type { SavedDocuments } from '../session/transport.ts'
import type { Command } from './held-script.ts'

const MAX_FILES = 500

/** Faults: those of the program; `platform-protocol` where there is no components document. */
export async function readDocuments(
  cabinet: string, folder: string, { program, args }: Command, clock: Clock, signal: AbortSignal,
): Promise<SavedDocuments> {
  await mkdir(folder, { recursive: true })
  await runProgram(program, [...args, '-F:*', cabinet, folder], { signal })
  const names = (await readdir(folder)).toSorted()
  if (names.length > MAX_FILES) {
    throw new Fault('platform-protocol', `the cabinet of diskshadow has ${names.length} files`)
  }
  let backupComponents: string | undefined
  const writerMetadata: { readonly instanceId: string; readonly document: string }[] = []
  for (const name of names) {
    const document = decodeDocument(await readFile(join(folder, name)))
    if (document === undefined) continue
    if (isComponents(document)) backupComponents = document
    else {
      const instanceId = await instanceOf(document, clock, signal)
      if (instanceId !== undefined) writerMetadata.push({ instanceId, document })
    }
  }
  if (backupComponents !== undefined) return { backupComponents, writerMetadata }
  throw new Fault('platform-protocol', 'the cabinet of diskshadow has no components document')
}

/** Windows writes UTF-16 with a byte order mark, or UTF-8; the declaration goes with it. */
function decodeDocument(bytes: Uint8Array): string | undefined {
  if (bytes.length > 2 * DOCUMENT_LIMITS.maxBytes) return undefined
  const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le'
    : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8'
  return new TextDecoder(encoding).decode(bytes).replace(/^<\?xml[^>]*\?>/, '')
}

function isComponents(document: string): boolean {
  return /^\s*<(?:[\w.-]+:)?BACKUP_COMPONENTS[\s/>]/.test(document)
}

/** Undefined for what is no document of a writer. */
async function instanceOf(
  document: string, clock: Clock, signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await inTurns(parsingWriterMetadata(document), clock, signal)).instanceId
  } catch (error) {
    if (signal.aborted || !isFault(error)) throw error
    return undefined
  }
}
