/** YAML with bounds, and where in it something stands. */

import { isMap, isPair, isScalar, LineCounter, parseDocument, type Document } from 'yaml'
import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import { nearest } from './nearest.ts'

export const MAX_CONFIG_BYTES = 1024 * 1024

/** Aliases save typing; more than this many resolved ones are an attack. */
const MAX_ALIASES = 100

export interface YamlText {
  readonly file: string
  readonly value: unknown
  readonly document: Document
  readonly lines: LineCounter
}

/** Fault: `config-invalid`, naming file and line. */
export function parseYaml(text: string, file: string): YamlText {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines, prettyErrors: false, strict: true, uniqueKeys: true, version: '1.2',
  })
  const yaml = { file, document, lines, value: undefined }
  const [error] = document.errors
  if (error !== undefined) throw configFault(yaml, error.pos[0], error.message)
  try {
    return { ...yaml, value: document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown }
  } catch (error) {
    throw configFault(yaml, undefined, error instanceof Error ? error.message : 'it is no YAML')
  }
}

/** The offset of the key at `path`, else of what comes nearest above it. */
export function placeOf({ document }: YamlText, path: readonly string[]): number | undefined {
  let node: unknown = document.contents
  let offset: number | undefined
  for (const step of path) {
    if (!isMap(node)) break
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step)
    if (!isPair(pair) || !isScalar(pair.key)) break
    offset = pair.key.range?.[0] ?? offset
    node = pair.value
  }
  return offset
}

/** A fault at `offset`; with `typed`, the advice names the nearest of the words that are known. */
export function configFault(
  yaml: Pick<YamlText, 'file' | 'lines'>, offset: number | undefined, what: string,
  typed?: { readonly word: string; readonly known: readonly string[] },
): Fault {
  const line = offset === undefined ? '' : ` line ${yaml.lines.linePos(offset).line}`
  const advice = typed === undefined ? undefined : adviceFor(typed.word, typed.known)
  return new Fault('config-invalid', printable(`${yaml.file}${line}: ${what}`),
    advice === undefined ? {} : { advice })
}

function adviceFor(word: string, known: readonly string[]): string | undefined {
  const near = nearest(word, known)
  if (near !== undefined) return `Did you mean "${near}"?`
  return known.length === 0 ? undefined : `Known here: ${known.join(', ')}.`
}
