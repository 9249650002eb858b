/** Which servers are believed: by an authority that this host trusts, or by a pin. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, suite, test } from 'node:test'
import { promisify } from 'node:util'
import { quietEnvironment } from '../../../base/program.ts'
import { serverCertificate, type ServerCertificate } from '../../testing/certificates.ts'
import { SoapFront } from '../../testing/soap-front.ts'
import { temporaryFolder, type TemporaryFolder } from '../../testing/temporary-folder.ts'
import { parseCertificateFingerprint } from './https.ts'

/** Asks once, and prints the status or the message: authorities are read when a process starts. */
const ASK = `
import { HttpsClient } from '${new URL('https.ts', import.meta.url).pathname}'
using http = new HttpsClient(new URL(process.argv[1]), process.argv[2])
const call = { method: 'GET', path: '/', headers: {} }
await http.call(call, new AbortController().signal).then(
  (answer) => { console.log(answer.statusCode); answer.destroy() },
  (error) => { console.log(error.code, error.message) })`

async function ask(
  url: string, pin: string | undefined, authority: ServerCertificate | undefined): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', ASK, url,
      ...pin === undefined ? [] : [pin]],
    { env: { ...quietEnvironment(),
      ...authority === undefined ? {} : { NODE_EXTRA_CA_CERTS: authority.file } } })
  return stdout
}

suite('the certificate of a server', () => {
  let folder: TemporaryFolder
  let valid: ServerCertificate
  let expired: ServerCertificate
  before(async () => {
    folder = await temporaryFolder()
    valid = serverCertificate(folder.path)
    expired = serverCertificate(folder.path, 'expired')
  })
  after(() => folder?.[Symbol.asyncDispose]())

  test('is verified by what this host trusts, name and date too, unless pinned', async () => {
    const of = async (certificate: ServerCertificate): Promise<SoapFront> =>
      SoapFront.start(certificate, (_call, response) => {
        response.end('hello')
        return true
      })
    await using good = await of(valid)
    await using old = await of(expired)
    const named = (front: SoapFront): string => front.url.replace('127.0.0.1', 'localhost')
    const cases: readonly (readonly [string, Promise<string>, RegExp])[] = [
      ['trusted', ask(named(good), undefined, valid), /^200$/m],
      ['unknown', ask(named(good), undefined, undefined), /not trusted \(DEPTH_ZERO_SELF_SIGNED/],
      ['of another name', ask(good.url, undefined, valid), /not trusted \(ERR_TLS_CERT_ALTNAME/],
      ['expired', ask(named(old), undefined, expired), /not trusted \(CERT_HAS_EXPIRED\)/],
      ['pinned', ask(good.url, valid.fingerprint, undefined), /^200$/m],
      ['pinned and expired', ask(old.url, expired.fingerprint, undefined), /^200$/m],
      ['another than the pinned', ask(named(good), expired.fingerprint, valid),
        /^platform-refused .*is not the pinned one/],
    ]
    for (const [what, answer, expected] of cases) assert.match(await answer, expected, what)
    assert.equal(good.calls.length + old.calls.length, 3)
  })
})

test('fingerprints are read as openssl and browsers show them', () => {
  const digits = 'ab'.repeat(32)
  for (const text of [digits, digits.toUpperCase(), digits.replaceAll(/..(?=.)/g, '$&:')]) {
    assert.equal(parseCertificateFingerprint(text), digits)
  }
  for (const text of ['', 'ab'.repeat(20), `${digits}0`, 'xy'.repeat(32)]) {
    assert.equal(parseCertificateFingerprint(text), undefined)
  }
})
