/**
 * Who may do what with a file of Windows, as its security descriptor says it in SDDL (Microsoft,
 * "Security Descriptor String Format" and "ACE Strings"). Pure. What is not understood counts as
 * allowed: to be told of too many is the safe side.
 */

/** Of a file or folder: whoever has a right beyond these can change it or what is in it. */
const READING = 0x0012_00a9 // FILE_GENERIC_READ | FILE_GENERIC_EXECUTE
const GENERIC_READING = 0xa000_0000 // GENERIC_READ | GENERIC_EXECUTE
const HARMLESS_WORDS: ReadonlySet<string> = new Set(['FR', 'FX', 'GR', 'GX', 'RC'])
/** SYSTEM and Administrators, who may do everything on a host anyway. */
const MASTERS: ReadonlySet<string> = new Set(['SY', 'BA', 'S-1-5-18', 'S-1-5-32-544'])

export interface Others {
  /** Trustees that own it or may read it. */
  readonly mayRead: readonly string[]
  /** Trustees that own it or may change it. */
  readonly mayWrite: readonly string[]
}

/**
 * All but `own` (the account's SID as SDDL writes it), SYSTEM and the Administrators. `sddl` has
 * the owner and the list alone.
 */
export function othersIn(sddl: string, own: string): Others {
  const isOurs = (trustee: string): boolean => trustee === own || MASTERS.has(trustee)
  const [, owner = ''] = /^O:(.*?)(?=[GDS]:|$)/.exec(sddl) ?? []
  const owners = isOurs(owner) ? [] : [owner === '' ? 'nobody knows who' : owner]
  const [, list] = /D:([A-Z_]*(?:\(.*\))?)$/s.exec(sddl) ?? []
  // Without a list everybody may do everything.
  if (list === undefined || list.startsWith('NO_ACCESS_CONTROL')) {
    return { mayRead: [...owners, 'everybody'], mayWrite: [...owners, 'everybody'] }
  }
  // A condition has brackets of its own, and texts that may hold any: it is not looked into.
  const isPlain = /^[A-Z]*(\([^()]*\))*$/.test(list)
  const entries = [...isPlain ? [] : [{ rights: '', trustee: 'somebody' }],
    ...[...list.matchAll(/\(([^()]*)/g)].map(([, entry = '']) => entry.split(';'))
      .filter(([type]) => type !== 'D' && type !== 'OD' && type !== 'XD')
      .map(([, , rights = '', , , trustee = 'somebody']) => ({ rights, trustee }))
      .filter(({ trustee }) => !isOurs(trustee))]
  return {
    mayRead: unique([...owners, ...entries.map(({ trustee }) => trustee)]),
    mayWrite: unique([...owners, ...entries.flatMap(({ rights, trustee }) =>
      isReading(rights) ? [] : trustee)]),
  }
}

function isReading(rights: string): boolean {
  if (/^0x[0-9a-f]+$/i.test(rights)) {
    return (Number(rights) & ~(READING | GENERIC_READING)) === 0
  }
  const words = rights.match(/../g) ?? []
  return words.length > 0 && words.join('') === rights &&
    words.every((word) => HARMLESS_WORDS.has(word))
}

function unique(names: readonly string[]): readonly string[] {
  return [...new Set(names)]
}
