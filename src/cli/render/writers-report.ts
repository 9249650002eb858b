/** What `stillpoint writers` says. */

import { printable } from '../../base/text.ts'
import type { ListedComponent, ListedWriter, WriterList } from '../../consistency/mod.ts'
import type { JsonFields } from '../output.ts'
import { pair, text, type ReportLine, type ReportSection } from './report.ts'
import { counted } from './words.ts'

/** A server with hundreds of databases: `--json` has all. */
const MAX_SHOWN = 20

export function writersReport(list: WriterList): readonly ReportSection[] {
  return [headOf(list), ...list.writers.map(sectionOf)]
}

function headOf({ host, transport, because, writers }: WriterList): ReportSection {
  const troubled = writers.filter(({ isInOrder }) => !isInOrder)
  return {
    title: `writers of ${printable(host, 64)}`,
    lines: [
      pair('asked', because === undefined ? `through ${transport}, in a session of its own`
        : `through ${transport}, because ${printable(because)}`),
      pair('found', counted(writers.length, 'writer')),
      pair('not in order', troubled.length === 0 ? 'none'
        : troubled.map(({ name }) => printable(name, 100)).join(', ')),
    ],
  }
}

function sectionOf(writer: ListedWriter): ReportSection {
  const { name, isInOrder, state, stateName, failure, failureText } = writer
  const title = printable(name, 100)
  return {
    title, ...isInOrder ? {} : { tone: 'bad', marked: title },
    lines: [
      pair('state', state === null ? 'none was given'
        : `${state} ${stateName.toLowerCase().replaceAll('_', ' ')}`),
      pair('last error', failure === 0 ? 'none' : failureText),
      pair('id', printable(writer.writerId, 40)),
      pair('instance', printable(writer.instanceId, 40)),
      pair('kind', writer.isOfWindows ? 'a part of Windows' : 'an application'),
      ...componentLines(writer.components),
    ],
  }
}

function componentLines(
  components: readonly ListedComponent[] | undefined): readonly ReportLine[] {
  if (components === undefined) return [pair('components', 'not known')]
  return [
    pair('components', components.length === 0 ? 'none' : String(components.length)),
    ...components.slice(0, MAX_SHOWN).map(({ type, path, folders }) =>
      text(`${printable(path, 200)} (${type}): ${folders.slice(0, MAX_FOLDERS)
        .map((folder) => printable(folder, 200)).join(', ')}${
        folders.length > MAX_FOLDERS ? ' …' : ''}`, 1)),
    ...components.length > MAX_SHOWN
      ? [text(`and ${components.length - MAX_SHOWN} more; --json has all`, 1)] : [],
  ]
}

const MAX_FOLDERS = 4

export function writersJson({ host, transport, because, writers }: WriterList): JsonFields {
  return {
    host, transport, because: because ?? null,
    writers: writers.map((it) => ({
      writerId: it.writerId, instanceId: it.instanceId, name: it.name, ofWindows: it.isOfWindows,
      state: it.state, stateName: it.stateName,
      failure: `0x${(it.failure >>> 0).toString(16).padStart(8, '0')}`, inOrder: it.isInOrder,
      components: it.components?.map(({ isSelectable, ...component }) =>
        ({ ...component, selectable: isSelectable })) ?? null,
    })),
  }
}
