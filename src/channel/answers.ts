/** The agent's answers, parsed: all that is in them is foreign, bounded here. */

import { Fault } from '../base/fault.ts'
import { isJsonObject } from '../base/json.ts'
import type {
  DataPlaces, DiscoveredApplication, Durability, LogPositions, PreparedWriter, WriterLimits,
  WriterStatement, WriterThawOutcome,
} from '../consistency/mod.ts'

const MAX_APPLICATIONS = 256
const MAX_PLACES = 1024
const MAX_NAME = 256
const MAX_TEXT = 4096
const MAX_STATEMENT = 65_536
/** No limit of a writer is longer: what is held for a day is not held but stopped. */
const MAX_LIMIT_MS = 3_600_000

export interface Hello {
  readonly agent: string
}

export function parseHello(value: unknown): Hello {
  return { agent: text(object(value)['agent'], MAX_NAME) }
}

export function parseApplications(value: unknown): readonly DiscoveredApplication[] {
  const applications = list(value, MAX_APPLICATIONS).map((entry): DiscoveredApplication => {
    const { name, kind, recovery, data, advice } = object(entry)
    return {
      name: text(name, MAX_NAME),
      kind: oneOf(kind, ['protected', 'incidental']),
      recovery: oneOf(recovery, ['self', 'none', 'unknown']),
      data: parsePlaces(data),
      ...advice === undefined ? {} : { advice: text(advice, MAX_TEXT) },
    }
  })
  const isUnique = new Set(applications.map(({ name }) => name)).size === applications.length
  if (!isUnique) throw nonsense('two applications have one name')
  return applications
}

function parsePlaces(value: unknown): DataPlaces {
  const { state, places, detail } = object(value)
  const known = oneOf(state, ['located', 'outside', 'unknown'])
  if (known !== 'located') return { state: known, detail: text(detail, MAX_TEXT) }
  return { state: known, places: list(places, MAX_PLACES).map((entry) => {
    const { path, mountpoint, type, root } = object(entry)
    return {
      path: text(path, MAX_TEXT), mountpoint: text(mountpoint, MAX_TEXT),
      type: text(type, MAX_NAME),
      ...root === undefined ? {} : { root: text(root, MAX_TEXT) } }
  }) }
}

export interface PreparedAnswer {
  readonly key: number
  readonly contract: PreparedWriter['contract']
  readonly limits: WriterLimits
}

/** Nothing where no writer can hold the application. */
export function parsePrepared(value: unknown): PreparedAnswer | undefined {
  if (value === null) return undefined
  const { key, contract, limits } = object(value)
  const { freezeMs, holdMs, thawMs } = object(limits)
  return {
    key: number(key, Number.MAX_SAFE_INTEGER),
    contract: parseContract(contract),
    limits: {
      freezeMs: number(freezeMs, MAX_LIMIT_MS), holdMs: number(holdMs, MAX_LIMIT_MS),
      thawMs: number(thawMs, MAX_LIMIT_MS),
    },
  }
}

function parseContract(value: unknown): PreparedWriter['contract'] {
  const { kind, durability } = object(value)
  if (oneOf(kind, ['held', 'recoverable']) === 'held') return { kind: 'held' }
  const { state, settings } = object(durability)
  const read: Durability = {
    state: oneOf(state, ['safe', 'unsafe', 'unknown']), settings: text(settings, MAX_TEXT) }
  return { kind: 'recoverable', durability: read }
}

export function parseHeld(
  value: unknown): WriterStatement & { readonly positions: LogPositions | null } {
  const { statement, positions } = object(value)
  if (positions === null) return { statement: text(statement, MAX_STATEMENT), positions }
  const { beforeCheckpoint, atFreeze } = object(positions)
  return {
    statement: text(statement, MAX_STATEMENT),
    positions: {
      beforeCheckpoint: text(beforeCheckpoint, MAX_TEXT), atFreeze: text(atFreeze, MAX_TEXT) },
  }
}

export function parseThawed(value: unknown): WriterThawOutcome {
  const { state, heldThroughout, statement, detail } = object(value)
  if (oneOf(state, ['thawed', 'unknown']) === 'unknown') {
    return { state: 'unknown', detail: text(detail, MAX_TEXT) }
  }
  if (typeof heldThroughout !== 'boolean') throw nonsense('heldThroughout is missing')
  return { state: 'thawed', heldThroughout, statement: text(statement, MAX_STATEMENT) }
}

export function parseStatement(value: unknown): WriterStatement {
  return { statement: text(object(value)['statement'], MAX_STATEMENT) }
}

export function object(value: unknown): Readonly<Record<string, unknown>> {
  if (!isJsonObject(value)) throw nonsense('something that should be an object is none')
  return value
}

export function list(value: unknown, limit: number): readonly unknown[] {
  if (!Array.isArray(value)) throw nonsense('something that should be a list is none')
  if (value.length > limit) throw nonsense(`a list has ${value.length} entries`)
  return value as readonly unknown[]
}

export function text(value: unknown, limit: number): string {
  if (typeof value !== 'string') throw nonsense('a text is missing')
  if (value.length > limit) throw nonsense(`a text is ${value.length} characters long`)
  return value
}

export function number(value: unknown, most: number): number {
  const isGood = typeof value === 'number' && Number.isFinite(value) && value >= 0 && value <= most
  if (!isGood) throw nonsense('a number is missing or makes no sense')
  return value
}

export function oneOf<const Word extends string>(value: unknown, words: readonly Word[]): Word {
  const found = words.find((word) => word === value)
  if (found === undefined) throw nonsense(`a word is none of ${words.join(', ')}`)
  return found
}

export function nonsense(how: string): Fault {
  return new Fault('agent-protocol',
    `an answer of the agent in the machine cannot be understood: ${how}`, {
      advice: 'Install the agent of this version in the machine.' })
}
