/** Documents of VSS, damaged at random: what a hostile writer or a broken host may hand us. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Fault } from '../../src/base/fault.ts'
import {
  parseBackupComponents, parseWriterMetadata, sampleDocument, sampleVolumeOf, selectComponents,
  sqlWriter, SQL_WRITER, SYSTEM_VOLUME,
} from '../../src/providers/testing/mod.ts'
import { Dice } from './mutate.ts'

const WRITER = sampleDocument(sqlWriter(), [
  { type: 'DATABASE', logicalPath: 'HOST\\INST', name: 'sales', paths: ['C:\\sql', 'D:\\log'] },
  { logicalPath: 'HOST', name: 'INST', paths: ['%SystemRoot%\\x'] },
  { name: 'files', selectable: false, paths: ['\\\\?\\C:\\y', '\\\\nas\\share'] },
], '<EXCLUDE_FILES path="C:\\tmp" filespec="*.tmp" recursive="yes"/>')

const COMPONENTS = '<BACKUP_COMPONENTS xmlns="x-schema:#VssComponentMetadata" version="1.2" ' +
  'backupType="copy" selectComponents="yes"><WRITER_COMPONENTS ' +
  `writerId="${SQL_WRITER}" instanceId="${SQL_WRITER}"><COMPONENT componentType="database" ` +
  'logicalPath="HOST\\INST" componentName="sales" backupSucceeded="yes"/><COMPONENT ' +
  'componentName="files"/></WRITER_COMPONENTS><SNAPSHOT_SET_DESCRIPTION/></BACKUP_COMPONENTS>'

/** Tokens that mean something in these documents, in places where they do not belong. */
const TOKENS = ['<', '>', '"', '&', '&#0;', ']]>', '<![CDATA[', '<!DOCTYPE a [<!ENTITY b "c">]>',
  '<?x?>', ' xmlns=""', ' xmlns:a="b"', 'a:', 'yes', 'no', '\\', '..\\', '%', '%a%', '{', '\0',
  '\ud800', '<FILE_GROUP>', '</DATABASE>', '<COMPONENT ', ' selectable="no"', ' path="', '-->']

export function damagedDocument(text: string, dice: Dice): string {
  return dice.below(2) === 0 ? damagedValues(text, dice) : damagedText(text, dice)
}

/** Still XML: values of attributes that say something else, names that are others. */
function damagedValues(text: string, dice: Dice): string {
  const values = ['', 'x', 'yes', 'no', 'true', '\\', '..\\', '%', '%a%', 'C:\\', 'HOST', 'INST',
    'HOST\\INST', SQL_WRITER, '{}', '\u202e', '&#10;', 'y'.repeat(40_000), 'database', '0']
  const chance = 2 + dice.below(20)
  return text.replaceAll(/(\w+)="([^"]*)"/g, (all, name: string) =>
    dice.below(chance) > 0 ? all : dice.below(6) === 0 ? '' : `${name}="${dice.pick(values)}"`)
    .replaceAll(/<(\/?)([A-Z_]+)/g, (all, slash: string) =>
      dice.below(chance * 20) > 0 ? all : `<${slash}a:FILE_GROUP`)
}

function damagedText(text: string, dice: Dice): string {
  let damaged = text
  for (let n = dice.below(3); n >= 0; n--) {
    const at = dice.below(damaged.length)
    const to = at + dice.below(60)
    const [head, cut, tail] = [damaged.slice(0, at), damaged.slice(at, to), damaged.slice(to)]
    switch (dice.below(7)) {
      case 0: damaged = head + tail; break
      case 1: damaged = head + cut.repeat(dice.below(200)) + tail; break
      case 2: damaged = head + dice.pick(TOKENS) + cut + tail; break
      case 3: damaged = head + String.fromCharCode(dice.below(0x10000)) + cut + tail; break
      case 4: damaged = head + dice.pick(TOKENS).repeat(dice.below(2000)) + tail; break
      case 5: damaged = dice.below(8) === 0 ? tail + cut + head : head + cut + cut + tail; break
      default: damaged = dice.below(8) === 0 ? head : `${tail.slice(0, 30)}${damaged}`
    }
  }
  return damaged
}

/** Each is a document or a clear fault, and takes no longer than its length explains. */
export function damageDocuments(from: number, to: number, t: TestContext): void {
  let read = 0
  let slowestMs = 0
  for (let seed = from; seed < to; seed++) {
    const dice = new Dice(seed)
    const isWriter = seed % 2 === 0
    const text = damagedDocument(isWriter ? WRITER : COMPONENTS, dice)
    const startedMs = performance.now()
    try {
      if (isWriter) choose(text)
      else checkComponents(text)
      read++
    } catch (error) {
      assert.ok(error instanceof Fault && error.code === 'platform-protocol',
        `seed ${seed}: ${String(error)}`)
      assert.ok(error.message.length < 400, `seed ${seed}`)
    }
    slowestMs = Math.max(slowestMs, performance.now() - startedMs)
  }
  t.diagnostic(`${read} of ${to - from} still said something; the slowest took ${
    slowestMs.toFixed(1)} ms`)
  assert.ok(read > 0 && read < to - from, `${read}`)
  assert.ok(slowestMs < 10_000, `${slowestMs} ms`)
}

function choose(text: string): void {
  const metadata = parseWriterMetadata(text)
  const { writers: [selected] } = selectComponents({
    writers: [metadata], volumes: [SYSTEM_VOLUME], promised: new Set([SQL_WRITER]),
    without: new Set(), volumeOf: sampleVolumeOf })
  assert.match(metadata.writerId, /^[0-9a-f-]{36}$/)
  assert.ok((selected?.added.length ?? 0) + (selected?.leftOut.length ?? 0) <=
    metadata.components.length)
}

function checkComponents(text: string): void {
  for (const { writerId, components } of parseBackupComponents(text).writers) {
    assert.match(writerId, /^[0-9a-f-]{36}$/)
    for (const { name } of components) assert.equal(typeof name, 'string')
  }
}
