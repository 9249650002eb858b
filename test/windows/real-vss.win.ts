/**
 * The same code against the VSS of a real Windows, from an elevated shell:
 * `node --test test/windows/real-vss.win.ts`. It makes a shadow copy of the system volume by each
 * transport, reads from it, and lets it go. Nothing is stored, and no writer truncates anything.
 */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import { silentLog as log } from '../../src/base/log.ts'
import {
  DiskshadowTransport, HostProvider, KoffiTransport, openShadowDevice, queryRegistry,
  readHostServices, readHostVolumes, type VssTransport,
} from '../../src/providers/testing/mod.ts'
import { windowsData } from '../../src/writers/mod.ts'

const signal = new AbortController().signal
const POWERSHELL = { program: 'powershell.exe', args: [] }
const environment = new Map(Object.entries(process.env).flatMap(([name, value]) =>
  value === undefined ? [] : [[name, value] as const]))

/** One copy of `C:` alone, as `backup` would make it; what its writers said. */
async function copySystemVolume(
  transport: VssTransport, tell: (line: string) => void): Promise<void> {
  const provider = new HostProvider({
    transport, environment, clock, log, openDevice: openShadowDevice,
    volumes: (running) => readHostVolumes(POWERSHELL, clock, running),
    services: (running) => readHostServices(POWERSHELL, clock, running),
    findData: windowsData({ clock }),
    registry: (key, below, running) => queryRegistry(
      { program: 'reg.exe', args: [] }, key, below, clock, running),
  }, { backupType: 'copy' })
  const { disks } = await provider.survey([], signal)
  const others = disks.map(({ id }) => id).filter((id) => id !== 'c')
  await using set = await provider.prepare({ pointId: 'real', exclude: others }, signal)
  const committed = await set.commitQuiesced('or-fail', signal)
  const { writers = [], unheld = [], session, claimed } = committed.quiesce
  tell(`claimed ${claimed}, attributes 0x${session?.attributes.toString(16)}`)
  for (const { name, kind, state, statement } of writers) {
    tell(`${kind} ${name}: ${state}; ${statement}`)
  }
  for (const { name, kind, data } of unheld) tell(`no writer: ${kind} ${name}: ${data.state}`)
  {
    await using source = await committed.open('c', signal)
    const boot = await source.read(0, 512, signal)
    assert.match(Buffer.from(boot.subarray(3, 11)).toString('latin1'), /NTFS|ReFS/)
    await source.read(source.sizeBytes - 512, 512, signal)
  }
  assert.deepEqual(await committed.stillIntact(signal), { intact: true })
  for (const { name, outcome, detail } of await set.complete?.(signal) ?? []) {
    tell(`${outcome} ${name} ${detail}`)
  }
  // A writer of every Windows.
  assert.ok(writers.some(({ name, state }) => name === 'System Writer' && state === 'stable'))
}

suite('real VSS', { skip: process.platform !== 'win32' && 'this is no Windows' }, () => {
  test('through vssapi.dll', (t) =>
    copySystemVolume(new KoffiTransport({
      clock, onReleased: (turn) => t.diagnostic(`longest turn ${JSON.stringify(turn)}`),
    }), (line) => t.diagnostic(line)))

  test('through diskshadow, which servers have', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'stillpoint-'))
    try {
      await copySystemVolume(new DiskshadowTransport({
        diskshadow: { program: 'diskshadow.exe', args: [] },
        expand: { program: 'expand.exe', args: [] }, folder,
      }), (line) => t.diagnostic(line))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
