/** The client against vcsim, govmomi's vCenter simulator; what that lacks, a front of ours adds. */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { systemClock } from '../../../base/clock.ts'
import { silentLog } from '../../../base/log.ts'
import { Secret } from '../../../base/secret.ts'
import { ManualClock } from '../../../base/testing/manual-clock.ts'
import { serverCertificate, type ServerCertificate } from '../../testing/certificates.ts'
import {
  SoapFront, soapAnswer, soapFaultAnswer, type FrontHandler,
} from '../../testing/soap-front.ts'
import { temporaryFolder, type TemporaryFolder } from '../../testing/temporary-folder.ts'
import { Vcsim, vcsimMissing } from '../../testing/vcsim.ts'
import { VimClient, type VimParts } from './client.ts'
import { HttpsClient } from './https.ts'
import { allProperties, propertiesOf } from './properties.ts'
import { morefElement, morefOf, type Moref } from './soap.ts'
import { taskResult } from './tasks.ts'
import { childOf, textAt } from '../../../base/xml.ts'

const skip = vcsimMissing() ?? false
const { signal } = new AbortController()
const account = { user: 'root@vsphere.local', password: new Secret('a & <b>') }
const base = { account, clock: systemClock, log: silentLog }
const WAIT = { doing: 'the snapshot', limitMs: 60_000 }
const SNAPSHOT = '<name>n</name><description>d</description><memory>false</memory>' +
  '<quiesce>true</quiesce>'

suite('the vim25 client on vcsim', { skip }, () => {
  let folder: TemporaryFolder
  let sim: Vcsim
  let certificate: ServerCertificate
  let fingerprint: string

  before(async () => {
    folder = await temporaryFolder()
    certificate = serverCertificate(folder.path)
    sim = await Vcsim.start('-username', account.user, '-password', account.password.reveal())
    using http = new HttpsClient(new URL(sim.url), undefined)
    fingerprint = await VimClient.connect({ ...base, http }, signal).then(
      () => assert.fail('a self-signed server was trusted'),
      (error: Error) => /fingerprint is ([0-9a-f]{64})$/.exec(error.message)?.[1] ?? '')
  })
  after(async () => {
    await sim?.[Symbol.asyncDispose]()
    await folder?.[Symbol.asyncDispose]()
  })

  async function withClient(
    run: (client: VimClient) => Promise<void>, parts: Partial<VimParts> = {}): Promise<void> {
    using http = new HttpsClient(new URL(sim.url), fingerprint)
    await using client = await VimClient.connect({ ...base, http, ...parts }, signal)
    await run(client)
  }

  /** As `withClient`, with a front of ours before vcsim. */
  async function withFront(
    handler: FrontHandler, run: (client: VimClient, front: SoapFront) => Promise<void>,
  ): Promise<void> {
    await using front = await SoapFront.start(certificate, handler, sim.url)
    using http = new HttpsClient(new URL(front.url), front.fingerprint)
    await using client = await VimClient.connect({ ...base, http }, signal)
    await run(client, front)
  }

  /** Ends the session of a client from another one. */
  async function terminate(client: VimClient): Promise<void> {
    await withClient(async (other) => {
      await other.call('TerminateSession', other.services.sessionManager,
        `<sessionId>${client.sessionKey}</sessionId>`, { changes: true }, signal)
    })
  }

  async function machines(client: VimClient): Promise<readonly Moref[]> {
    const found = await allProperties(
      client, client.services.rootFolder, 'VirtualMachine', ['name'], signal)
    return found.map(({ ref }) => ref)
  }

  async function snapshot(client: VimClient, machine: Moref): Promise<Moref> {
    const answer = await client.call(
      'CreateSnapshot_Task', machine, SNAPSHOT, { changes: true }, signal)
    return morefOf(childOf(answer, 'returnval'), 'the task')
  }

  test('the certificate of another server is refused, with both fingerprints', async () => {
    const other = '0'.repeat(64)
    using http = new HttpsClient(new URL(sim.url), other)
    await assert.rejects(VimClient.connect({ ...base, http }, signal), (error: Error) => {
      assert.match(error.message, new RegExp(`${fingerprint}.*pinned is ${other}`))
      return true
    })
  })

  test('a wrong password is said, once', async () => {
    const wrong = { user: account.user, password: new Secret('no') }
    await assert.rejects(withClient(async () => {}, { account: wrong }), {
      code: 'platform-refused', advice: 'Check user and password file.',
      message: /refused the login of root@vsphere\.local at 127\.0\.0\.1/ })
  })

  test('the inventory of a session that was ended elsewhere is read in a new one', async () => {
    await withClient(async (client) => {
      assert.equal((await machines(client)).length, 4)
      await terminate(client)
      const [machine] = await machines(client)
      assert.ok(machine !== undefined)
      assert.equal(client.session, 2)
      // vcsim, as vSphere, answers this with 200, no property and NotAuthenticated in missingSet.
      await terminate(client)
      const { values } = await propertiesOf(client, machine, ['name', 'snapshot'], signal)
      assert.match(values.get('name')?.text ?? '', /^DC0_/)
      assert.equal(client.session, 3)
      assert.equal(values.has('snapshot'), false)
    })
  })

  test('an object that is gone and a property that is none are told apart', async () => {
    await withClient(async (client) => {
      const gone = { type: 'VirtualMachine', id: 'vm-0' }
      await assert.rejects(propertiesOf(client, gone, ['name'], signal), { code: 'machine-lost' })
      const [machine] = await machines(client)
      assert.ok(machine !== undefined)
      const { missing } = await propertiesOf(client, machine, ['nonsense'], signal)
      assert.equal(missing.get('nonsense')?.type, 'InvalidProperty')
    })
  })

  test('a task is waited for, and gives its result', async () => {
    await withClient(async (client) => {
      const [machine] = await machines(client)
      assert.ok(machine !== undefined)
      const result = await taskResult(client, await snapshot(client, machine), WAIT, signal)
      assert.equal(result?.attributes.get('type'), 'VirtualMachineSnapshot')
      const on = await client.call('PowerOnVM_Task', machine, '', { changes: true }, signal)
      await assert.rejects(
        taskResult(client, morefOf(childOf(on, 'returnval'), 'it'), WAIT, signal),
        { code: 'machine-not-ready', message: 'vSphere refused the snapshot' })
    })
  })

  test('a method that the server lacks is unsupported', async () => {
    await withClient(async (client) => {
      const [machine] = await machines(client)
      assert.ok(machine !== undefined)
      await assert.rejects(client.call('ExportVm', machine, '', {}, signal), {
        code: 'unsupported', message: 'vSphere refused ExportVm' })
    })
  })

  test('[front of ours] pages are read to the last, in a new session too', async () => {
    let lost = false
    await withFront(({ method, body }, response) => {
      const object = (id: string): string =>
        `<objects>${morefElement('obj', { type: 'VirtualMachine', id })}</objects>`
      if (method === 'RetrievePropertiesEx') {
        response.end(soapAnswer(method,
          `<returnval><token>t1</token>${object('vm-1')}</returnval>`))
        return true
      }
      if (method !== 'ContinueRetrievePropertiesEx') return false
      if (!lost) {
        lost = true
        response.writeHead(500).end(soapFaultAnswer('NotAuthenticated'))
      } else if (body.includes('<token>t1<')) {
        response.end(soapAnswer(method,
          `<returnval><token>t2</token>${object('vm-2')}</returnval>`))
      } else response.end(soapAnswer(method, `<returnval>${object('vm-3')}</returnval>`))
      return true
    }, async (client, front) => {
      assert.deepEqual((await machines(client)).map(({ id }) => id), ['vm-1', 'vm-2', 'vm-3'])
      assert.deepEqual([client.session, front.countOf('Login')], [2, 2])
    })
  })

  test('[front of ours] a session that never holds is given up after one new login', async () => {
    await withFront(({ method }, response) => {
      if (method !== 'RetrievePropertiesEx') return false
      response.writeHead(500).end(soapFaultAnswer('NotAuthenticated'))
      return true
    }, async (client, front) => {
      await assert.rejects(machines(client), { code: 'platform-refused' })
      assert.deepEqual([front.countOf('Login'), front.countOf('RetrievePropertiesEx')], [2, 2])
    })
  })

  test('[front of ours] faults of quiescing come with advice, progress on the way', async () => {
    const states = [
      '<changeSet><name>info.progress</name><op>assign</op><val>40</val></changeSet>',
      '',
      '<changeSet><name>info.state</name><op>assign</op><val>error</val></changeSet>' +
        '<changeSet><name>info.error</name><op>assign</op><val><fault ' +
        'xsi:type="ApplicationQuiesceFault"/><localizedMessage>Custom quiesce script failed.' +
        '</localizedMessage></val></changeSet>',
    ]
    await withFront(({ method }, response) => {
      if (method !== 'WaitForUpdatesEx') return false
      const changes = states.shift() ?? ''
      const filter = `<filterSet><objectSet><kind>modify</kind>${changes}</objectSet></filterSet>`
      response.end(soapAnswer(method, changes === ''
        ? '' : `<returnval><version>v</version>${filter}</returnval>`))
      return true
    }, async (client, front) => {
      const [machine] = await machines(client)
      assert.ok(machine !== undefined)
      const seen: number[] = []
      const wait = { ...WAIT, onProgress: (percent: number) => { seen.push(percent) } }
      await assert.rejects(taskResult(client, await snapshot(client, machine), wait, signal),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, 'freeze-failed')
          assert.match(String(error.cause), /Custom quiesce script failed\. \(ApplicationQuiesce/)
          return true
        })
      assert.deepEqual(seen, [40])
      assert.equal(front.countOf('DestroyPropertyCollector'), 1)
    })
  })

  test('an idle session is kept alive, and no longer than its client lives', async () => {
    await using front = await SoapFront.start(certificate, () => false, sim.url)
    using http = new HttpsClient(new URL(front.url), front.fingerprint)
    const clock = new ManualClock()
    const client = await VimClient.connect({ ...base, http, clock }, signal)
    for (let minutes = 0; front.countOf('CurrentTime') < 2; minutes++) {
      assert.ok(minutes < 10_000)
      clock.advance(60_000)
      await new Promise((resolve) => { setImmediate(resolve) })
    }
    await client[Symbol.asyncDispose]()
    const asked = front.countOf('CurrentTime')
    clock.advance(60 * 60_000)
    assert.deepEqual([front.countOf('Logout'), front.countOf('CurrentTime')], [1, asked])
  })

  test('the user of the session is who was named', async () => {
    await withClient(async (client) => {
      const { values } = await propertiesOf(
        client, client.services.sessionManager, ['currentSession'], signal)
      assert.equal(textAt(values.get('currentSession'), 'userName'), account.user)
    })
  })
})
