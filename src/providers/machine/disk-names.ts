/** What a machine's disks are called. */

/** A foreign name as a disk id, `[a-z0-9_-][a-z0-9._-]{0,59}`: not hidden, never of dots alone. */
export function sanitise(name: string): string {
  const id = name.toLowerCase().slice(0, 60).replaceAll(/[^a-z0-9._-]/g, '-')
    .replace(/^\.+/, (dots) => '-'.repeat(dots.length))
  return /[a-z0-9]/.test(id) ? id : `disk${id.replaceAll('.', '-')}`.slice(0, 60)
}

/** Names as ids, each once: the second of a kind gets `-2`. */
export function uniqueNames(names: readonly string[]): readonly string[] {
  const taken = new Set<string>()
  return names.map((name) => {
    const base = sanitise(name)
    let id = base
    for (let n = 2; taken.has(id); n++) id = `${base.slice(0, 59)}-${n}`
    taken.add(id)
    return id
  })
}
