import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { isFault } from '../base/fault.ts'
import { loadAgentConfig } from './agent-config.ts'

let folder = ''
before(async () => { folder = await mkdtemp(join(tmpdir(), 'sp-')) })
after(() => rm(folder, { recursive: true }))

function file(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

const load = (text: string): ReturnType<typeof loadAgentConfig> =>
  loadAgentConfig(file('agent.yaml', text), file('passwd', 'root:x:0:0\nbackup:x:34:34\n'))

suite('the configuration of the agent', () => {
  test('may be missing where it was not named', async () => {
    assert.deepEqual(await load(''), {})
    await assert.rejects(loadAgentConfig(join(folder, 'none')), { code: 'not-found' })
  })

  test('names accounts, databases, scripts and limits', async () => {
    const password = file('password', 'secret\n')
    const config = await load(`
postgres: { role: stillpoint, limits: { checkpointMs: 600000 } }
mariadb: { user: stillpoint, account: backup, lock: read-lock }
redis:
  passwordFile: ${password}
  servers:
    redis 6380: { user: stillpoint, passwordFile: ${password} }
    redis 6381: {}
sqlserver: { user: stillpoint, passwordFile: ${password}, port: 1444, limits: { askMs: 7 } }
sqlite: { databases: [/srv/app/app.db], limits: { quickCheckBytes: 0 } }
scripts:
  - { name: shop, preFreeze: [/bin/true, a b], postThaw: [/bin/true], data: [/srv/shop] }
`)
    assert.deepEqual(config.postgres, { role: 'stillpoint', limits: { checkpointMs: 600_000 } })
    assert.deepEqual(config.mariadb, { user: { name: 'stillpoint', uid: 34 }, lock: 'read-lock' })
    assert.deepEqual([config.sqlserver?.port, config.sqlserver?.limits], [1444, { askMs: 7 }])
    assert.equal(config.sqlserver?.login.password.reveal(), 'secret')
    assert.equal(JSON.stringify(config.sqlserver.login), '{"user":"stillpoint","password":"***"}')
    assert.deepEqual(config.sqlite?.databases, ['/srv/app/app.db'])
    assert.deepEqual(config.scripts?.[0]?.preFreeze, ['/bin/true', 'a b'])
    const logins = ['redis 1', 'redis 6380', 'redis 6381'].map((it) => config.redis?.loginOf(it))
    assert.deepEqual(logins.map((it) => it?.user), [undefined, 'stillpoint', undefined])
    assert.deepEqual(logins.map((it) => it?.password.reveal()), ['secret', 'secret', undefined])
    assert.equal(JSON.stringify(config.redis?.loginOf('redis 1')), '{"password":"***"}')
  })

  const SCRIPT = 'preFreeze: [/a], postThaw: [/a], data: [/a]'
  const wrong: readonly (readonly [string, RegExp, RegExp?])[] = [
    ['postgre: {}', /line 1: unknown key "postgre"/, /Did you mean "postgres"/],
    ['\nmariadb:\n  limits: { freezems: 1 }', /line 3: .*unknown key "freezems"/, /"freezeMs"/],
    [`scripts: [{ name: a, ${SCRIPT}, tada: 1 }]`, /scripts.0: unknown key "tada"/, /"data"/],
    ['postgres: { limits: { holdMs: 99999999 } }', /holdMs/],
    ['sqlite: { databases: [app.db] }', /databases.0: is no absolute path/],
    ['scripts: [{ name: a, preFreeze: [cd], postThaw: [/a], data: [/a] }]', /absolute/],
    ['scripts: [{ name: a, preFreeze: [], postThaw: [/a], data: [/a] }]', /is empty/],
    [`scripts: [{ name: a, ${SCRIPT} }, { name: a, ${SCRIPT} }]`, /two of them have one name/],
    ['mariadb: { user: nobody-here }', /there is no account nobody-here/, /useradd/],
    ['redis: { user: a }', /has no passwordFile/],
    ['sqlserver: { user: a }', /passwordFile/],
    ['redis: { passwordFile: /none/there }', /is not there/],
    ['applications: none', /unknown key "applications"/],
    ['"\\e[2J": 1', /\\x1b/],
    ['a: [', /line 1/],
  ]
  for (const [text, message, advice] of wrong) {
    test(`refuses ${JSON.stringify(text)}`, async () => {
      await assert.rejects(load(text), (error) => {
        assert.ok(isFault(error, 'config-invalid'))
        assert.match(error.message, message)
        if (advice !== undefined) assert.match(error.advice ?? '', advice)
        return true
      })
    })
  }

  test('is nobody else\'s to change, and its passwords nobody else\'s to read', async () => {
    await assert.rejects(loadAgentConfig(file('shared.yaml', '', 0o666)), /changed by others/)
    const password = file('shown', 'secret', 0o644)
    await assert.rejects(load(`redis: { passwordFile: ${password} }`), /others may read/)
  })
})
