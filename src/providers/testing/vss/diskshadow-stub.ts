/**
 * A stub of diskshadow.exe over the simulator: it knows the commands of our scripts alone, and
 * prints what Microsoft's "DiskShadow" shows, in English or in a German of our own. It proves
 * nothing of the real one. Arguments: the file of a scenario, the language, `/s`, the script.
 */

import { spawnSync } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { systemRandom } from '../../../base/random.ts'
import { parseWriterMetadata } from '../../vss/session/documents.ts'
import { describeHresult, isVssFault, WRITER_STATES } from '../../vss/session/hresult.ts'
import { selectComponents } from '../../vss/session/selection.ts'
import { CONTEXT, type VssBackup, type WriterStatus } from '../../vss/session/transport.ts'
import { printCopy, printWriter, type StubLanguage } from './diskshadow-words.ts'
import { sampleVolumeOf } from './sample-host.ts'
import type { VssScenario } from './scenario.ts'
import { SimulatedVss } from './simulator.ts'

const [, , scenarioFile = '', language = 'en', , scriptFile = ''] = process.argv
const scenario = JSON.parse(readFileSync(scenarioFile, 'utf8')) as VssScenario
const words = language as StubLanguage
const signal = new AbortController().signal
const countFile = `${scenarioFile}.count`
const opened = existsSync(countFile) ? Number(readFileSync(countFile, 'utf8')) : 0

const vss = new SimulatedVss(scenario, systemRandom, opened)
let context: number = CONTEXT.BACKUP
let isFull = false
let cabinet = ''
const required: string[] = []
const volumes: { readonly volume: string; readonly alias: string }[] = []
let backup: VssBackup | undefined

function say(text: string): void {
  process.stdout.write(`${text}\r\n`)
}

async function end(code: number): Promise<never> {
  await backup?.[Symbol.asyncDispose]()
  appendFileSync(`${scenarioFile}.journal`, vss.journal.map((line) => `${line}\n`).join(''))
  process.exit(code)
}

setInterval(() => {}, 60_000) // what hangs is to hang, not to end for want of work

async function create(): Promise<void> {
  writeFileSync(countFile, String(opened + 1))
  backup = await vss.open(
    { context, backupType: isFull ? 'full' : 'copy', bootableSystemState: false }, signal)
  const gathered = await backup.gatherWriterMetadata(signal)
  const { writers } = selectComponents({
    writers: gathered.map(({ document }) => parseWriterMetadata(document ?? '')),
    volumes: volumes.map(({ volume }) => volume), promised: new Set(), without: new Set(),
    volumeOf: sampleVolumeOf })
  for (const { added } of writers) {
    for (const component of added) await backup.addComponent(component, signal)
  }
  for (const writerId of required) {
    const it = writers.find(({ metadata }) => metadata.writerId === writerId)
    if (it === undefined || it.added.length === 0 || it.leftOut.length > 0) {
      say(`{${writerId}}: 0x8004230F`)
      await end(1)
    }
  }
  await backup.startSnapshotSet(signal)
  const ids: string[] = []
  for (const { volume } of volumes) ids.push(await backup.addToSnapshotSet(volume, signal))
  await backup.prepareForBackup(signal)
  await backup.doSnapshotSet(signal)
  for (const [at, id] of ids.entries()) {
    say(printCopy(words, await backup.snapshotProperties(id, signal), volumes[at]?.alias ?? ''))
  }
  // The stub's cabinet is JSON, which its expand.exe unpacks.
  writeFileSync(cabinet, JSON.stringify(await backup.saveDocuments(signal)))
}

async function run(line: string): Promise<void> {
  const [, writerId] = /^writer verify \{(.+)\}$/.exec(line) ?? []
  const [, volume, alias] = /^add volume (\S+) alias (\S+)$/.exec(line) ?? []
  const [, file] = /^set metadata "(.+)"$/.exec(line) ?? []
  const [, holder] = /^exec "(.+)"$/.exec(line) ?? []
  if (line === 'set context volatile nowriters') context = CONTEXT.FILE_SHARE_BACKUP
  else if (file !== undefined) cabinet = file
  else if (line === 'begin backup') isFull = true
  else if (writerId !== undefined) required.push(writerId)
  else if (volume !== undefined) volumes.push({ volume, alias: alias ?? '' })
  else if (line === 'create') await create()
  else if (line === 'list writers status') await list()
  else if (holder !== undefined) {
    if (spawnSync('/bin/sh', [holder], { stdio: 'ignore' }).status !== 0) await end(1)
  } else if (line === 'end backup') await backup?.backupComplete(signal)
  else if (line === 'exit') await end(0)
  else if (!['set verbose on', 'set context volatile'].includes(line)) {
    say(`the stub knows no "${line}"`)
    await end(2)
  }
}

async function list(): Promise<void> {
  const idle = scenario.writers.filter(({ silentFrom }) => silentFrom !== 'Identify')
    .map(({ writerId, instanceId, name }): WriterStatus =>
      ({ writerId, instanceId, name, state: 1, failure: 0 }))
  const statuses = await backup?.gatherWriterStatus(signal) ?? idle
  for (const status of statuses) say(printWriter(words, status, WRITER_STATES[status.state] ?? ''))
}

for (const line of readFileSync(scriptFile, 'latin1').split('\r\n').filter((it) => it !== '')) {
  try {
    say(`-> ${line}`)
    await run(line)
  } catch (error) {
    if (!isVssFault(error)) throw error
    say(`COM: ${describeHresult(error.hresult)}`)
    await end(1)
  }
}
