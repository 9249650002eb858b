/** HTML, made so that no foreign text can be anything but text. */

/** A piece of HTML that is safe to put into a page; only `html` and `raw` make one. */
export interface Html {
  readonly markup: string
}

type Value = string | number | Html | readonly Html[]

/** Joins markup with values: what is not `Html` is escaped. */
export function html(markup: TemplateStringsArray, ...values: readonly Value[]): Html {
  return { markup: markup.map((part, at) => at === 0 ? part : valueOf(values[at - 1]) + part)
    .join('') }
}

/** Markup of our own, such as a style sheet; never foreign text. */
export function raw(markup: string): Html {
  return { markup }
}

function valueOf(value: Value | undefined): string {
  if (value === undefined) return ''
  if (typeof value === 'string') return escapeHtml(value)
  if (typeof value === 'number') return String(value)
  return 'markup' in value ? value.markup : value.map(({ markup }) => markup).join('')
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\'': '&#39;',
}

/** For text and for attributes in quotes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char)
}
