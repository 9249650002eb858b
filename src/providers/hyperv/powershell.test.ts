/** How scripts are run, by a stub in place of PowerShell; and what their text must not be. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { temporaryFolder } from '../testing/mod.ts'
import { surveySchema } from './host-answers.ts'
import { asciiJson, HypervHost, powershell, SCRIPTS } from './powershell.ts'

const SCRIPTS_FOLDER = new URL('./scripts/', import.meta.url)

async function stub(t: TestContext, body: string): Promise<{ host: HypervHost; said: string }> {
  const folder = await temporaryFolder()
  t.after(() => folder[Symbol.asyncDispose]())
  const program = join(folder.path, 'powershell')
  const said = join(folder.path, 'said')
  await writeFile(program, `#!/bin/sh\n{ printf '%s\\n' "$@"; cat; } >'${said}'\n${body}\n`)
  await chmod(program, 0o755)
  return { host: new HypervHost(powershell(program), systemClock), said }
}

const survey = (host: HypervHost, t: TestContext): Promise<unknown> =>
  host.ask('survey', { id: null, name: 'Ünï "$(x)"' }, surveySchema, t.signal)

test('a script is a file, what it is asked is ASCII on standard input', async (t) => {
  const { host, said } = await stub(t,
    'printf \'\\357\\273\\277{"ok":true,"result":{"machines":null,"host":' +
    '{"name":"H","version":"1","canCopy":true}}}\'')
  assert.deepEqual(await survey(host, t), 
    { host: { name: 'H', version: '1', canCopy: true }, machines: [] })
  const lines = (await readFile(said, 'utf8')).split('\n')
  assert.deepEqual(lines.slice(0, 5),
    ['-NoProfile', '-NonInteractive', '-ExecutionPolicy', 'Bypass', '-File'])
  assert.match(lines[5] ?? '', /\/scripts\/survey\.ps1$/)
  assert.equal(lines[6], '{"id":null,"name":"\\u00dcn\\u00ef \\"$(x)\\""}')
})

const failing = (kind: string, category: string): string =>
  `echo '{"ok":false,"error":{"message":"it is so","kind":"${kind}","category":"${category}",` +
  '"code":-1}}\''

for (const [name, body, code, message] of [
  ['no Hyper-V module', failing('CommandNotFoundException', 'ObjectNotFound'),
    'platform-unreachable', /module is not there/],
  ['no such machine', failing('X', 'ObjectNotFound'), 'machine-not-found', /it is so/],
  ['no rights', failing('X', 'PermissionDenied'), 'platform-refused', /does not allow/],
  ['a refusal', failing('CimException', 'NotSpecified'), 'platform-refused', /it is so/],
  ['no answer', 'exit 0', 'platform-protocol', /answer of survey/],
  ['a failure', 'echo broken >&2; exit 1', 'platform-protocol', /did not answer/],
  ['something else', 'echo "[1]"', 'platform-protocol', /cannot be understood/],
  ['another shape', 'echo \'{"ok":true,"result":{"host":1}}\'', 'platform-protocol', /host/],
  ['a depth without end',
    'printf \'{"ok":true,"result":\'; for n in 1 2 3 4 5; do printf \'[[[[\'; done',
    'platform-protocol', /survey/],
] as const) {
  test(`${name}: a clear fault`, async (t) => {
    const { host } = await stub(t, body)
    await assert.rejects(survey(host, t), { code, message })
  })
}

test('a host without PowerShell is said to be none', async (t) => {
  const host = new HypervHost(powershell('/nowhere/powershell'), systemClock)
  await assert.rejects(survey(host, t), {
    code: 'platform-unreachable', message: /no PowerShell/, advice: /on the Hyper-V host itself/ })
})

test('all that goes in is ASCII and comes out as it was', () => {
  for (const text of ['Ünï', '日本\u2028', '\ud83d\ude00', '\u007f\'"`$(x)']) {
    const json = asciiJson({ text })
    assert.match(json, /^[\x20-\x7e]*$/)
    assert.deepEqual(JSON.parse(json), { text })
  }
})

/** As they were read by somebody; a change wants to be read again, and then stands here. */
const READ: Readonly<Record<string, string>> = {
  'changes.ps1': '63ad1a146514ff0a',
  'checkpoint.ps1': '87a72fb406c06466',
  'common.ps1': 'ddd1f113c4549d08',
  'convert.ps1': 'e6ee182ee3996dae',
  'destroy-checkpoint.ps1': 'fef5178804979d32',
  'destroy-reference-point.ps1': '25b4dd46e09acd5c',
  'events.ps1': 'acd9a7c8801d8399',
  'job.ps1': 'c9dbbe6b3f97ce29',
  'survey.ps1': '1f0734d30fbdd59b',
}

test('the scripts are those that were read, and no others', async () => {
  const files = (await readdir(SCRIPTS_FOLDER)).toSorted()
  assert.deepEqual(files, [...SCRIPTS, 'common'].map((name) => `${name}.ps1`).toSorted())
  const digests = await Promise.all(files.map(async (file) => [file, createHash('sha256')
    .update(await readFile(new URL(file, SCRIPTS_FOLDER))).digest('hex').slice(0, 16)] as const))
  assert.deepEqual(Object.fromEntries(digests), READ)
})

test('no script makes a command of what it is told, or needs more than both PowerShells have',
  async () => {
    for (const name of SCRIPTS) {
      const text = await readFile(new URL(`${name}.ps1`, SCRIPTS_FOLDER), 'utf8')
      assert.match(text, /^# In: .*\. Out: .*\n(?:#.*\n)*\. "\$PSScriptRoot\\common\.ps1"\n/, name)
      assert.doesNotMatch(text,
        /Invoke-Expression|\biex\b|Get-WmiObject|\[wmi|Add-Type|&\s*\(|\?\?|\?\.|&&|\|\|/i, name)
      // In a string that is expanded there is no request.
      assert.doesNotMatch(text, /"[^"\n]*\$\(?\$?request/, name)
      for (const line of text.split('\n')) assert.ok(line.length <= 100, `${name}: ${line}`)
      assert.match(text, /^[\x20-\x7e\n]*$/, `${name} is not ASCII`)
      assert.equal(balance(text), 0, `${name}: brackets`)
    }
  })

/** Of brackets outside of strings. */
function balance(text: string): number {
  const bare = text.replaceAll(/'[^'\n]*'|"[^"\n]*"|#.*$/gm, '')
  const count = (brackets: RegExp): number => bare.match(brackets)?.length ?? 0
  return count(/[({[]/g) - count(/[)}\]]/g)
}
