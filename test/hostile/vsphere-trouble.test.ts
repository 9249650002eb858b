/** A vSphere in trouble round a snapshot: whatever fails when, none of ours stays behind. */

import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { before, suite, test } from 'node:test'
import { systemClock, type Clock } from '../../src/base/clock.ts'
import { isFault } from '../../src/base/fault.ts'
import { silentLog, type Log } from '../../src/base/log.ts'
import { commitSet } from '../../src/consistency/testing/mod.ts'
import {
  soapFaultAnswer, vcsimMissing, VsphereBench, type FrontCall, type FrontHandler,
} from '../../src/providers/testing/mod.ts'
import { hastyClock } from './hasty-clock.ts'

const skip = vcsimMissing() ?? false
const MIB = 2 ** 20
const POINT_ID = '0f1b2a0e-3c5d-4e8f-8a9b-0c1d2e3f4a5b'
/** By it pauses of seconds are over in a moment; limits of minutes stay seconds. */
const clock: Clock = hastyClock(40)

interface Outcome {
  readonly error: unknown
  /** Events of warnings and errors. */
  readonly told: readonly string[]
}

/** One backup's life: prepare, commit, read all, release; `aborted` ends it from outside. */
async function live(
  bench: VsphereBench, signal = new AbortController().signal, at = clock): Promise<Outcome> {
  const told: string[] = []
  const log: Log = {
    ...silentLog, warn: (event) => { told.push(event) }, error: (event) => { told.push(event) } }
  try {
    await using platform = await bench.open(log, at)
    await using set = await platform.provider(bench.machine)
      .prepare({ pointId: POINT_ID, exclude: [] }, signal)
    const committed = await commitSet(set, signal)
    await using source = await committed.open('scsi0-0', signal)
    await source.read(0, MIB, signal)
    return { error: undefined, told }
  } catch (error) {
    return { error, told }
  }
}

async function started(handler: FrontHandler, ...flags: readonly string[]): Promise<VsphereBench> {
  const bench = await VsphereBench.start(handler, ...flags)
  await bench.fillDisk(new Uint8Array(MIB))
  await bench.snapshot('of a user')
  return bench
}

const left = async (bench: VsphereBench): Promise<readonly string[]> =>
  (await bench.read()).snapshots.map(({ name }) => name).filter((name) => name !== 'of a user')

/** What may become of a call. */
const TROUBLES: Readonly<Record<string, (response: ServerResponse) => void>> = {
  'is answered with status 500 and no XML': (response) => { response.writeHead(500).end('oops') },
  'is answered with status 503': (response) => { response.writeHead(503).end() },
  'has its connection cut': (response) => { response.destroy() },
  'is answered with a body that breaks off': (response) => {
    response.writeHead(200, { 'content-length': '5000' }).write('<a>')
    setImmediate(() => response.destroy())
  },
}

/** What makes a snapshot of the vcsim that is there. */
let snapshotMethod = ''

const STEPS: Readonly<Record<string, (call: FrontCall) => boolean>> = {
  'the look at the machine': ({ method, body }) =>
    method === 'RetrievePropertiesEx' && body.includes('consolidationNeeded'),
  'the snapshot': ({ method }) => method === snapshotMethod,
  'the wait for a task': ({ method }) => method === 'WaitForUpdatesEx',
  'the look at the snapshot': ({ body }) => body.includes('config.hardware<'),
  'a read': ({ path }) => path.startsWith('/folder/'),
  'the removal': ({ method }) => method === 'RemoveSnapshot_Task',
}

suite('a vSphere in trouble', { skip }, () => {
  before(async () => {
    await using bench = await VsphereBench.start()
    snapshotMethod = await bench.snapshotMethod()
  })

  for (const [step, isStep] of Object.entries(STEPS)) {
    test(`${step} that fails once leaves no snapshot, however it fails`, async () => {
      let trouble: ((response: ServerResponse) => void) | undefined
      await using bench = await started((call, response) => {
        if (trouble === undefined || !isStep(call)) return false
        const strike = trouble
        trouble = undefined
        strike(response)
        return true
      })
      for (const [how, strike] of Object.entries(TROUBLES)) {
        trouble = strike
        const { error } = await live(bench)
        assert.equal(trouble, undefined, `${step} was never taken`)
        assert.ok(error === undefined || isFault(error), `${step} ${how}: ${String(error)}`)
        assert.deepEqual(await left(bench), [], `${step} ${how}`)
      }
      assert.equal((await live(bench)).error, undefined)
    })
  }

  test('a removal that never works is told of, and done by the next run', async () => {
    let works = false
    await using bench = await started(({ method }, response) => {
      if (works || method !== 'RemoveSnapshot_Task') return false
      response.writeHead(500).end('no')
      return true
    })
    const { error, told } = await live(bench)
    assert.deepEqual([error, told], [undefined, ['vsphere.snapshot-left']])
    assert.equal((await left(bench)).length, 1)
    assert.ok((bench.front?.countOf('RemoveSnapshot_Task') ?? 0) <= 4)
    works = true
    assert.deepEqual((await live(bench)).told, ['vsphere.swept'])
    assert.deepEqual(await left(bench), [])
  })

  test('a password that is changed meanwhile is tried once more, and what is left is told',
    async () => {
      let isOver = false
      await using bench = await started(({ method, path }, response) => {
        const isFile = path.startsWith('/folder/')
        isOver ||= isFile
        if (!isOver) return false
        if (isFile) response.writeHead(401).end()
        else {
          response.writeHead(500)
            .end(soapFaultAnswer(method === 'Login' ? 'InvalidLogin' : 'NotAuthenticated'))
        }
        return true
      })
      const { error, told } = await live(bench)
      assert.ok(isFault(error, 'platform-refused'), String(error))
      assert.deepEqual(told, ['vsphere.snapshot-left'])
      assert.equal(bench.front?.countOf('Login'), 2)
    })

  test('a server that is slow in everything is waited for', async () => {
    await using bench = await started(() => false, '-delay', '120')
    // Its answers are late by the clock of the machine: limits must not be those of a hasty one.
    assert.deepEqual(await live(bench, undefined, systemClock), { error: undefined, told: [] })
    assert.deepEqual(await left(bench), [])
  })

  test('reads that never work end after a few tries', async () => {
    await using bench = await started(({ path }, response) => {
      if (!path.startsWith('/folder/')) return false
      response.destroy()
      return true
    })
    const { error } = await live(bench)
    assert.ok(isFault(error, 'platform-unreachable'), String(error))
    const reads = bench.front?.calls.filter(({ path }) => path.startsWith('/folder/')).length ?? 0
    assert.ok(reads >= 2 && reads <= 8, `${reads} reads`)
    assert.deepEqual(await left(bench), [])
  })

  test('who is not wanted any more while a slow server makes the snapshot removes it', async () => {
    const abort = new AbortController()
    await using bench = await started(({ method }) => {
      // vcsim will answer late, and make the snapshot although nobody listens.
      if (method === snapshotMethod) abort.abort(new Error('changed my mind'))
      return false
    }, '-method-delay', `${snapshotMethod}:700`)
    assert.match(String((await live(bench, abort.signal)).error), /changed my mind/)
    assert.equal(bench.front?.countOf('RemoveSnapshot_Task'), 1)
    assert.deepEqual(await left(bench), [])
  })
})
