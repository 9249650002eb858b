import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { DiscoveredApplication, Writer } from '../consistency/mod.ts'
import { FakeWriter, writerContract } from '../consistency/testing/mod.ts'
import { writerSet, type ApplicationFinder } from './writer-set.ts'

const never = new AbortController().signal

function writer(name: string, application: Partial<DiscoveredApplication> = {}): FakeWriter {
  return new FakeWriter(name, { clock: systemClock, application })
}

function finder(...applications: readonly Partial<DiscoveredApplication>[]): ApplicationFinder {
  return {
    name: 'stray files',
    discover: () => Promise.resolve(applications.map((application) => ({
      name: 'stray', kind: 'incidental', recovery: 'none',
      data: { state: 'located', places: [place('/home/a')] }, ...application }))),
  }
}

const place = (path: string): { path: string; mountpoint: string; type: string } =>
  ({ path, mountpoint: '/', type: 'ext4' })

suite('a set of writers', () => {
  test('lists what each finds and prepares each by its own writer', async () => {
    const [a, b] = [writer('a'), writer('b')]
    await using host = writerSet({ agent: 'agent', writers: [a, b], finders: [finder({})] })
    const applications = await host.discover(never)
    assert.deepEqual(applications.map(({ name }) => name), ['a', 'b', 'stray'])
    const [, second, stray] = applications
    assert.ok(second !== undefined && stray !== undefined)
    await using prepared = await host.prepare(second, never)
    await prepared?.beginFreeze().held
    assert.deepEqual([a.isFrozen, b.isFrozen], [false, true])
    assert.equal(await host.prepare(stray, never), undefined)
  })

  test('keeps names apart and short, and prepares by the new name', async () => {
    const long = 'x'.repeat(300)
    const twins = [writer('a', { name: long }), writer('b', { name: long })]
    await using host = writerSet({ agent: '', writers: twins, finders: [] })
    const applications = await host.discover(never)
    assert.equal(new Set(applications.map(({ name }) => name)).size, 2)
    assert.ok(applications.every(({ name }) => name.length <= 256))
    const [, second] = applications
    assert.ok(second !== undefined)
    await using prepared = await host.prepare(second, never)
    assert.equal(prepared?.application.name, second.name)
    await prepared.beginFreeze().held
    assert.deepEqual(twins.map((it) => it.isFrozen), [false, true])
  })

  test('says that a kind is not known, and lists the others', async () => {
    const refused = new Fault('writer-failed', 'no right to look')
    const blind: Writer = {
      name: 'blind', discover: () => Promise.reject(refused),
      prepare: () => Promise.reject(new Error('not reached')),
    }
    await using host = writerSet({ agent: '', writers: [blind, writer('b')], finders: [] })
    const [first, second] = await host.discover(never)
    assert.equal(first?.kind, 'protected')
    assert.deepEqual(first.data, { state: 'unknown', detail: 'no right to look' })
    assert.equal(second?.name, 'b')
    await assert.rejects(host.prepare(first, never), refused)
  })

  test('leaves out what is incidental inside the data of a protected application', async () => {
    const stray = (...paths: readonly string[]): Partial<DiscoveredApplication> => ({
      name: paths.join(), data: { state: 'located', places: paths.map(place) } })
    const finders = [finder(
      stray('/srv/a/journal.sqlite'), stray('/srv/a'), stray('/srv/ab'), stray('/srv/a/x', '/x'))]
    await using host = writerSet({ agent: '', writers: [writer('a')], finders })
    const names = (await host.discover(never)).map(({ name }) => name)
    assert.deepEqual(names, ['a', '/srv/ab', '/srv/a/x,/x'])
  })

  test('a server that nobody holds is held by the script that has its data', async () => {
    const server = (name: string, path: string): Partial<DiscoveredApplication> =>
      ({ name, kind: 'protected', data: { state: 'located', places: [place(path)] } })
    const finders = [finder(server('in', '/srv/a/db'), server('out', '/srv/b'))]
    await using host = writerSet({ agent: '', writers: [writer('a')], finders })
    assert.deepEqual((await host.discover(never)).map(({ name }) => name), ['a', 'out'])
  })

  test('an abort ends the discovery', async () => {
    await using host = writerSet({ agent: '', writers: [writer('a')], finders: [] })
    await assert.rejects(host.discover(AbortSignal.abort()), { code: 'interrupted' })
  })

  test('refuses an application that it did not find', async () => {
    await using host = writerSet({ agent: '', writers: [], finders: [] })
    const [application] = await writer('a').discover(never)
    assert.ok(application !== undefined)
    await assert.rejects(host.prepare(application, never), { code: 'writer-failed' })
  })
})

writerContract('a writer behind a set', async () => {
  const inner = writer('a')
  const host = writerSet({ agent: '', writers: [inner], finders: [] })
  return {
    writer: {
      name: 'set',
      discover: (signal) => host.discover(signal),
      prepare: async (application, signal) => {
        const prepared = await host.prepare(application, signal)
        assert.ok(prepared !== undefined)
        return prepared
      },
    },
    isHeld: async () => inner.isFrozen,
    [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
  }
})
