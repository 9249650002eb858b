/** The table of rooms: which imports go which way (STYLE.md "Rooms"). */

/** Rooms from the ground up. A room imports from lower levels only, never from its own level. */
export const LEVELS: readonly (readonly string[])[] = [
  ['base'],
  ['disk', 'storage', 'schedule', 'eventlog'],
  ['consistency', 'repository'],
  ['catalog', 'channel'],
  ['backup', 'recovery'],
  ['writers', 'providers'],
  ['engine'],
  ['demo'],
  ['cli', 'server', 'web', 'agent'],
]

/** Rooms that see one file of another room and nothing else. */
export const NARROW: Readonly<Record<string, readonly string[]>> = {
  web: ['server/api.ts'],
}

export interface Import {
  /** Path below `src/`, `/` between parts. */
  readonly from: string
  /** Path below `src/` of the imported file. */
  readonly to: string
}

/** Why an import breaks the table, or undefined if it does not. */
export function whyForbidden(it: Import): string | undefined {
  const fromRoom = roomOf(it.from)
  const toRoom = roomOf(it.to)
  if (fromRoom === toRoom) return undefined
  const fromLevel = levelOf(fromRoom)
  const toLevel = levelOf(toRoom)
  if (fromLevel < 0) return `${fromRoom} is not a room of tools/layers.ts`
  if (toLevel < 0) return `${toRoom} is not a room of tools/layers.ts`
  const narrow = NARROW[fromRoom]
  if (narrow !== undefined && toRoom !== 'base') {
    return narrow.includes(it.to) ? undefined : `${fromRoom} may see only ${narrow.join(', ')}`
  }
  if (fromLevel <= toLevel) return `${fromRoom} may not import from ${toRoom}: imports go one way`
  if (toRoom === 'base') {
    return it.to.startsWith('base/testing/') && !isTest(it.from)
      ? `only tests may import ${it.to}` : undefined
  }
  const door = it.to.slice(toRoom.length + 1)
  if (door === 'mod.ts') return undefined
  if (door === 'testing/mod.ts') {
    return isTest(it.from) ? undefined : `only tests may import ${it.to}`
  }
  return `${it.to} is behind the door: import ${toRoom}/mod.ts`
}

/** Files that import one another in a circle, each circle once; types count too. */
export function circlesOf(imports: readonly Import[]): readonly (readonly string[])[] {
  const next = Map.groupBy(imports, ({ from }) => from)
  const done = new Set<string>()
  const circles: (readonly string[])[] = []
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file)
    if (at >= 0) circles.push(path.slice(at))
    if (at >= 0 || done.has(file)) return
    for (const { to } of next.get(file) ?? []) visit(to, [...path, file])
    done.add(file)
  }
  for (const file of next.keys()) visit(file, [])
  return circles
}

/** Test files and the `testing/` folders of rooms. */
export function isTest(path: string): boolean {
  return path.endsWith('.test.ts') || path.includes('/testing/')
}

function roomOf(path: string): string {
  return path.split('/')[0] ?? path
}

function levelOf(room: string): number {
  return LEVELS.findIndex((rooms) => rooms.includes(room))
}
