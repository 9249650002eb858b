/** Configuration files: YAML with bounds, a schema, and where in the text something is wrong. */

import {
  isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument, type Document,
} from 'yaml'
import { z } from 'zod'
import { Fault } from './fault.ts'
import { nearest } from './nearest.ts'
import { printable } from './text.ts'

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
function parseYaml(text: string, file: string): YamlText {
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

/** What the file says, by `schema`. Fault: `config-invalid`, naming file, line and key. */
export function parseConfigText<T>(
  schema: z.ZodType<T>, text: string, file: string): { yaml: YamlText; data: T } {
  const yaml = parseYaml(text, file)
  const parsed = schema.safeParse(yaml.value ?? {}, { reportInput: false })
  if (!parsed.success) throw issueFault(yaml, schema, parsed.error.issues[0])
  return { yaml, data: parsed.data }
}

/** The offset of the key at `path`, else of what comes nearest above it. */
export function placeOf({ document }: YamlText, path: readonly string[]): number | undefined {
  let node: unknown = document.contents
  let offset: number | undefined
  for (const step of path) {
    if (isSeq(node)) {
      node = node.items[Number(step)]
      offset = isNode(node) ? node.range?.[0] ?? offset : offset
      continue
    }
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

function issueFault(
  yaml: YamlText, schema: z.ZodType, issue: z.core.$ZodIssue | undefined): Fault {
  if (issue === undefined) return configFault(yaml, undefined, 'it cannot be understood')
  const path = issue.path.map(String)
  const where = path.length === 0 ? '' : `${path.join('.')}: `
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0] ?? ''
    return configFault(yaml, placeOf(yaml, [...path, key]), `${where}unknown key "${key}"`,
      { word: key, known: knownKeys(schema, path) })
  }
  if (issue.code === 'invalid_key') {
    const message = issue.issues[0]?.message ?? issue.message
    return configFault(yaml, placeOf(yaml, path), `"${path.at(-1) ?? ''}" ${message}`)
  }
  return configFault(yaml, placeOf(yaml, path), `${where}${issue.message}`)
}

/** The keys that `schema` allows at `path`; none where it is no object of fixed keys. */
function knownKeys(schema: unknown, path: readonly string[]): readonly string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodExactOptional) {
    return knownKeys(schema.unwrap(), path)
  }
  const [step, ...rest] = path
  if (schema instanceof z.ZodObject) {
    return step === undefined ? Object.keys(schema.shape) : knownKeys(schema.shape[step], rest)
  }
  if (schema instanceof z.ZodRecord) return knownKeys(schema.valueType, rest)
  if (schema instanceof z.ZodArray) return knownKeys(schema.element, rest)
  return []
}
