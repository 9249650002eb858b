/** All writers of one machine as its application host: what the agent serves. */

import { throwIfAborted } from '../base/clock.ts'
import { causesOf, Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import type {
  ApplicationHost, DiscoveredApplication, PreparedWriter, Writer,
} from '../consistency/mod.ts'

/** Finds applications that nobody can hold, so that they are named all the same. */
export type ApplicationFinder = Pick<Writer, 'name' | 'discover'>

export interface WriterSetParts {
  /** As `ApplicationHost.agent`. */
  readonly agent: string
  readonly writers: readonly Writer[]
  readonly finders: readonly ApplicationFinder[]
}

/** What evidence holds of a name, and of a machine's applications. */
const MAX_NAME = 256
const MAX_APPLICATIONS = 256

interface Found {
  /** As its finder calls it; what the set calls it may differ, to be unique. */
  readonly application: DiscoveredApplication
  readonly prepare: Writer['prepare'] | undefined
}

/**
 * A host over `writers` and `finders`, asked one after the other. Where one of them cannot tell
 * whether its kind of application is there, the others are still listed, and beside them a
 * protected application of unknown data that says so: not known is not absent. What is found inside
 * the data of another belongs to that one and is left out.
 */
export function writerSet({ agent, writers, finders }: WriterSetParts): ApplicationHost {
  let known: ReadonlyMap<string, Found> = new Map()

  const discoverAll = async (signal: AbortSignal): Promise<readonly Found[]> => {
    const found: Found[] = []
    for (const writer of writers) {
      found.push(...await ask(writer, (application, at) => writer.prepare(application, at), signal))
    }
    for (const finder of finders) found.push(...await ask(finder, undefined, signal))
    return found
  }

  return {
    agent,
    async discover(signal) {
      known = withNames(withoutParts(await discoverAll(signal)))
      if (known.size > MAX_APPLICATIONS) {
        throw new Fault('writer-failed', `${known.size} applications are more than can be kept`)
      }
      return [...known].map(([name, { application }]) => ({ ...application, name }))
    },
    async prepare(application, signal) {
      const found = known.get(application.name)
      if (found === undefined) {
        throw new Fault('writer-failed', `${printable(application.name)} was not found here`, {
          retry: 'now', advice: 'The agent was restarted meanwhile: run the backup again.' })
      }
      const prepared = await found.prepare?.(found.application, signal)
      return prepared === undefined ? undefined : called(prepared, application)
    },
    [Symbol.asyncDispose]: () => Promise.resolve(), // prepared writers belong to who asked for them
  }
}

async function ask(
  finder: ApplicationFinder, prepare: Writer['prepare'] | undefined, signal: AbortSignal,
): Promise<readonly Found[]> {
  throwIfAborted(signal)
  try {
    const applications = await finder.discover(signal)
    return applications.map((application) => ({ application, prepare }))
  } catch (error) {
    throwIfAborted(signal)
    const detail = printable(causesOf(error).join(': '), 1000)
    return [{
      application: {
        name: `${finder.name}: not known whether there is any`, kind: 'protected',
        recovery: 'unknown', data: { state: 'unknown', detail } },
      prepare: () => Promise.reject(error instanceof Error ? error : new Error(detail)),
    }]
  }
}

/**
 * Without what lies inside the data of another: something incidental inside that of a protected
 * application, and one that nobody can hold inside that of one with a writer, as of a script.
 */
function withoutParts(found: readonly Found[]): readonly Found[] {
  const paths = (it: Found): readonly string[] =>
    it.application.data.state === 'located'
      ? it.application.data.places.map(({ path }) => path) : []
  const known = found.filter((it) => it.application.kind === 'protected')
  const owned = known.flatMap(paths)
  const held = known.filter((it) => it.prepare !== undefined).flatMap(paths)
  const isIn = (folders: readonly string[], path: string): boolean =>
    folders.some((folder) => path === folder || path.startsWith(`${folder}/`))
  return found.filter((it) => {
    const owners = it.application.kind === 'incidental' ? owned
      : it.prepare === undefined ? held : []
    return paths(it).length === 0 || !paths(it).every((path) => isIn(owners, path))
  })
}

/** By names that are unique and no longer than evidence allows. */
function withNames(found: readonly Found[]): ReadonlyMap<string, Found> {
  const named = new Map<string, Found>()
  for (const it of found) {
    const name = it.application.name
    let unique = name.slice(0, MAX_NAME)
    for (let count = 2; named.has(unique); count++) {
      unique = `${name.slice(0, MAX_NAME - 12)} (${count})`
    }
    named.set(unique, it)
  }
  return named
}

/** `prepared` under the name that the set gave its application. */
function called(prepared: PreparedWriter, application: DiscoveredApplication): PreparedWriter {
  return {
    application,
    contract: prepared.contract,
    limits: prepared.limits,
    beginFreeze: () => prepared.beginFreeze(),
    complete: (signal) => prepared.complete(signal),
    abort: (signal) => prepared.abort(signal),
    [Symbol.asyncDispose]: () => prepared[Symbol.asyncDispose](),
  }
}
