/**
 * What the stub of diskshadow prints. The English is laid out as in Microsoft's pages on `list
 * writers` and in public transcripts; the German is our own guess at a translation: what counts is
 * that none of its words is the English one.
 */

import { formatHresult } from '../../vss/session/hresult.ts'
import {
  ATTRIBUTE, type SnapshotProperties, type WriterStatus,
} from '../../vss/session/transport.ts'

export type StubLanguage = 'en' | 'de'

const WORDS = {
  en: {
    writer: 'WRITER', status: 'Status', failure: 'Writer Failure code', id: 'Writer ID',
    instance: 'Instance ID', copy: 'Shadow copy ID', set: 'Shadow copy set',
    count: 'Original count of shadow copies', volume: 'Original volume name',
    time: 'Creation time', device: 'Shadow copy device name', machine: 'Originating machine',
    exposed: 'Not exposed', provider: 'Provider ID', attributes: 'Attributes', date: '11/26/2026',
  },
  de: {
    writer: 'VERFASSER', status: 'Zustand', failure: 'Fehlercode des Verfassers',
    id: 'Verfasserkennung', instance: 'Instanzkennung', copy: 'Kennung der Schattenkopie',
    set: 'Schattenkopiesatz', count: 'Ursprüngliche Anzahl der Schattenkopien',
    volume: 'Name des Ursprungsvolumes', time: 'Erstellt', device: 'Gerät der Schattenkopie',
    machine: 'Ursprungscomputer', exposed: 'Nicht verfügbar gemacht', provider: 'Anbieterkennung',
    attributes: 'Merkmale', date: '26.11.2026',
  },
} as const

export function printWriter(language: StubLanguage, it: WriterStatus, state: string): string {
  const words = WORDS[language]
  return [
    `* ${words.writer} "${it.name}"`,
    `        - ${words.status}: ${it.state} (VSS_WS_${state})`,
    `        - ${words.failure}: ${formatHresult(it.failure)} (${it.failure === 0 ? 'S_OK' : '?'})`,
    `        - ${words.id}: {${it.writerId}}`,
    `        - ${words.instance}: {${it.instanceId}}`, '',
  ].join('\r\n')
}

export function printCopy(
  language: StubLanguage, it: SnapshotProperties, alias: string): string {
  const words = WORDS[language]
  const noWriters = (it.attributes & ATTRIBUTE.NO_WRITERS) !== 0
  return [
    `        * ${words.copy} = {${it.snapshotId}}               %${alias}%`,
    `                - ${words.set}: {${it.snapshotSetId}}       %VSS_SHADOW_SET%`,
    `                - ${words.count} = 1`,
    `                - ${words.volume}: ${it.originalVolume} [C:\\]`,
    `                - ${words.time}: ${words.date} 06:30:00`,
    `                - ${words.device}: ${it.device}`,
    `                - ${words.machine}: host1.example`,
    `                - ${words.exposed}`,
    `                - ${words.provider}: {b5946137-7b9f-4925-af80-51abd60b20d5}`,
    `                - ${words.attributes}:  Auto_Release ${noWriters ? 'No_Writers ' : ''}` +
      'Differential', '',
  ].join('\r\n')
}
