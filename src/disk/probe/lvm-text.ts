/**
 * The text in which LVM2 keeps a volume group (lvm.conf(5) describes the syntax; format_text): of
 * sections in braces, and `key = value` with numbers, strings and lists of these.
 */

export type LvmValue = number | string | readonly (number | string)[]

export interface LvmSection {
  readonly values: ReadonlyMap<string, LvmValue>
  readonly sections: ReadonlyMap<string, LvmSection>
}

/** What LVM writes has four levels. */
const MAX_DEPTH = 8
/** Of names, values and sections; a group of 10,000 volumes has some 200,000. */
const MAX_ENTRIES = 500_000

const TOKEN = /[ \t\r\n]*(?:#[^\n]*\n[ \t\r\n]*)*([A-Za-z0-9_.+-]+|"(?:[^"\\]|\\.)*"|[{}[\]=,]|$)/y

/** Nothing if it is not of this syntax, or beyond what LVM writes. */
export function parseLvmText(text: string): LvmSection | undefined {
  const end = text.indexOf('\0')
  const parser = new Parser(end < 0 ? text : text.slice(0, end))
  return parser.section(0)
}

class Parser {
  readonly #text: string
  #at = 0
  #entries = 0

  constructor(text: string) {
    this.#text = text
  }

  /** Up to its closing brace, or to the end of the text at depth 0. */
  section(depth: number): LvmSection | undefined {
    const values = new Map<string, LvmValue>()
    const sections = new Map<string, LvmSection>()
    for (;;) {
      const name = this.#token()
      if (name === (depth === 0 ? '' : '}')) return { values, sections }
      if (name === undefined || !/^[\w.+-]/.test(name) || depth === MAX_DEPTH) return undefined
      if (++this.#entries > MAX_ENTRIES) return undefined
      const next = this.#token()
      if (next === '{') {
        const inner = this.section(depth + 1)
        if (inner === undefined) return undefined
        sections.set(name, inner)
      } else if (next === '=') {
        const value = this.#value()
        if (value === undefined) return undefined
        values.set(name, value)
      } else return undefined
    }
  }

  #value(): LvmValue | undefined {
    const token = this.#token()
    if (token !== '[') return scalarOf(token)
    const list: (number | string)[] = []
    for (;;) {
      const item = this.#token()
      if (item === ']') return list
      if (item === ',') continue
      const value = scalarOf(item)
      if (value === undefined || ++this.#entries > MAX_ENTRIES) return undefined
      list.push(value)
    }
  }

  /** Empty at the end of the text; nothing where no token can begin. */
  #token(): string | undefined {
    TOKEN.lastIndex = this.#at
    const match = TOKEN.exec(this.#text)
    if (match === null) return undefined
    this.#at = TOKEN.lastIndex
    return match[1]
  }
}

function scalarOf(token: string | undefined): number | string | undefined {
  if (token?.startsWith('"') === true) return token.slice(1, -1).replace(/\\(.)/gs, '$1')
  if (token === undefined || !/^-?\d+$/.test(token)) return undefined
  const value = Number(token)
  return Number.isSafeInteger(value) ? value : undefined
}
