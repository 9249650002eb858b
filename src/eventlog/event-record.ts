/** What is known of one event: the fields that every Windows event has, and its own values. */

export interface EventRecord {
  /** Its number in its log: counts up by one, never used again unless the log is cleared. */
  readonly recordId: number
  /** When it was written, milliseconds since 1970, UTC. */
  readonly atMs: number
  /** The provider: `VSS`, `MSSQLSERVER`, `Microsoft-Windows-Kernel-Power`. Foreign text. */
  readonly source: string
  /** The name by which old programs know a provider that has two: `Ntfs`. */
  readonly sourceAlias: string | undefined
  /** Without the qualifiers of old providers. */
  readonly id: number
  /** 1 critical, 2 error, 3 warning, 4 information; 0 where the provider gives none. */
  readonly level: number
  /** `Application`, `System` …; foreign text. */
  readonly channel: string
  readonly computer: string
  /** In the event's own order. Foreign text. */
  readonly data: readonly EventValue[]
}

export interface EventValue {
  /** Modern providers name their values; the strings of old ones have no name. */
  readonly name: string | undefined
  readonly value: string
}

/** What to look for; each part that is left out lets all through. */
export interface EventQuery {
  /** Inclusive, milliseconds since 1970. */
  readonly fromMs?: number
  /** Exclusive. */
  readonly toMs?: number
  /** Names of providers, in any case; one that ends with `*` stands for all that begin so. */
  readonly sources?: readonly string[]
  readonly ids?: readonly number[]
}

export function isInTime({ fromMs, toMs }: EventQuery, atMs: number): boolean {
  return (fromMs === undefined || atMs >= fromMs) && (toMs === undefined || atMs < toMs)
}

export function isWanted(query: EventQuery, event: EventRecord): boolean {
  const { atMs, id } = event
  return isInTime(query, atMs) && (query.ids === undefined || query.ids.includes(id)) &&
    (query.sources === undefined || query.sources.some((name) => isNamed(event, name)))
}

/** Whether an event's provider is the one, or one of those, that `name` stands for. */
export function isNamed(
  { source, sourceAlias }: Pick<EventRecord, 'source' | 'sourceAlias'>, name: string): boolean {
  const wanted = name.toLowerCase()
  return [source, sourceAlias ?? source].map((text) => text.toLowerCase()).some((is) =>
    wanted.endsWith('*') ? is.startsWith(wanted.slice(0, -1)) : is === wanted)
}
