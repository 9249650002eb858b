/** A stub of expand.exe: unpacks the JSON that the stub of diskshadow takes for a cabinet. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SavedDocuments } from '../../vss/session/transport.ts'

const [, , , cabinet = '', folder = ''] = process.argv
const { backupComponents, writerMetadata } =
  JSON.parse(readFileSync(cabinet, 'utf8')) as SavedDocuments
const utf16 = (text: string): Buffer => Buffer.from(
  `\ufeff<?xml version="1.0" encoding="UTF-16"?>${text}`, 'utf16le')
writeFileSync(join(folder, 'BackupComponents.xml'), utf16(backupComponents))
for (const { instanceId, document } of writerMetadata) {
  writeFileSync(join(folder, `${instanceId}.xml`), utf16(document))
}
writeFileSync(join(folder, 'readme.txt'), 'not a document')
