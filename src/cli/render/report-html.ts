/** A report as one self-contained page: no script, nothing loaded, fit to be printed. */

import { html, raw, type Html } from './html.ts'
import type { ReportLine, ReportSection } from './report.ts'
import { drawTimelineSvg } from './timeline-svg.ts'

export interface PageParts {
  /** Plain text, for the window and the first heading. */
  readonly title: string
  readonly sections: readonly ReportSection[]
  /** Below the sections: what they were made from, as pretty JSON. */
  readonly source: { readonly title: string; readonly json: string }
  /** Who made the page and when, in words. */
  readonly footer: string
}

/** The whole page, `<!doctype html>` first. */
export function renderPage({ title, sections, source, footer }: PageParts): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${sections.map(sectionOf)}<details>
<summary>${source.title}</summary>
<pre>${source.json}</pre>
</details>
</main>
<footer>${footer}</footer>
</body>
</html>
`.markup
}

function sectionOf({ title, tone, marked, lines }: ReportSection): Html {
  const at = marked === undefined ? -1 : title.indexOf(marked)
  const heading = tone === undefined || marked === undefined || at < 0 ? html`${title}`
    : html`${title.slice(0, at)}<strong class="${tone}">${marked}</strong>${
      title.slice(at + marked.length)}`
  return html`<section>
<h2>${heading}</h2>
${blocksOf(lines)}</section>
`
}

/** Neighbours of one kind share a table, or a block of commands. */
function blocksOf(lines: readonly ReportLine[]): readonly Html[] {
  const blocks: Html[] = []
  for (let at = 0; at < lines.length;) {
    const kind = lines[at]?.kind
    let end = at + 1
    while (kind !== 'timeline' && lines[end]?.kind === kind) end++
    blocks.push(blockOf(lines.slice(at, end)))
    at = end
  }
  return blocks
}

function blockOf(lines: readonly ReportLine[]): Html {
  const [first] = lines
  if (first?.kind === 'pair') return html`<table>\n${lines.map(inner)}</table>\n`
  if (first?.kind === 'command') return html`<pre class="command">${lines.map(inner)}</pre>\n`
  return html`${lines.map(inner)}`
}

function inner(line: ReportLine): Html {
  switch (line.kind) {
    case 'pair': return html`<tr><th>${line.name}</th><td>${line.text}</td></tr>\n`
    case 'text': return html`<p class="d${line.depth}">${line.text}</p>\n`
    case 'quote':
      return html`<p class="d${line.depth}">${line.who}: <q>${line.text}</q></p>\n`
    case 'command': return html`${line.text}\n`
    case 'timeline': return drawTimelineSvg(line.rows)
    default: return line satisfies never
  }
}

const STYLE = `
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1c2430;
  background: #fff; margin: 0; }
main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 1.6rem 0 .4rem; }
section { border-top: 1px solid #d5dbe3; padding: .2rem 0 .6rem; break-inside: avoid-page; }
h2 { font-size: 1.05rem; margin: .7rem 0 .4rem; }
p { margin: .15rem 0; overflow-wrap: anywhere; }
.d1 { padding-left: 1.4rem; } .d2 { padding-left: 2.8rem; color: #4a5668; }
table { border-collapse: collapse; margin: .2rem 0; }
th { text-align: left; font-weight: 600; padding: .1rem 1.2rem .1rem 0; vertical-align: top;
  white-space: nowrap; }
td { padding: .1rem 0; overflow-wrap: anywhere; }
q { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .88em;
  background: #f3f5f8; padding: 0 .2em; }
pre { font: .82rem/1.4 ui-monospace, "DejaVu Sans Mono", monospace; background: #f3f5f8;
  padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
strong { padding: .05em .5em; border-radius: .3em; border: 1px solid; }
.good { color: #0b5d36; background: #e4f5ec; } .weak { color: #7a4b00; background: #fdf1d8; }
.bad { color: #8f1414; background: #fbe3e3; }
svg { width: 100%; height: auto; margin: .3rem 0; display: block; }
svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: #1c2430; }
details { border-top: 1px solid #d5dbe3; padding: .7rem 0; }
footer { color: #4a5668; font-size: .85rem; padding-bottom: 2rem; }
@media print {
  body { font-size: 10.5pt; } main, footer { max-width: none; padding: 0; }
  .good, .weak, .bad, pre, q, svg { print-color-adjust: exact; }
}
`
