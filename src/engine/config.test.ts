import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadConfig } from './config-file.ts'
import { DEFAULT_LIMITS, NO_CONFIG, parseConfig } from './config.ts'

const FILE = '/etc/stillpoint/stillpoint.yaml'

const WHOLE = `# a comment
repository:
  path: backup
  passwordFile: password
platforms:
  web: { type: qemu, qmp: run/qmp.sock, agent: /run/agent.sock }
machines:
  web1:
    platform: web
    require: filesystem
    onWeaker: fail
    exclude: [vdc]
    applications: none
    limits: { holdMs: 500 }
limits:
  freezeMs: 60000
`

test('the Windows that this runs on has a type and nothing else', () => {
  const config = parseConfig('platforms: { here: { type: host } }', FILE)
  assert.deepEqual(config.platforms.get('here'), { type: 'host' })
  assert.throws(() => parseConfig('platforms: { here: { type: host, stateDir: x } }', FILE),
    { code: 'config-invalid' })
})

test('a whole configuration is read, with paths from its own folder and defaults filled in', () => {
  const config = parseConfig(WHOLE, FILE)
  assert.equal(config.file, FILE)
  assert.equal(config.repository.path, '/etc/stillpoint/backup')
  assert.equal(config.repository.passwordFile, '/etc/stillpoint/password')
  const web = config.platforms.get('web')
  assert.ok(web?.type === 'qemu')
  assert.equal(web.qmp, '/etc/stillpoint/run/qmp.sock')
  assert.equal(web.agent, '/run/agent.sock')
  const machine = config.machines.get('web1')
  assert.deepEqual(machine, {
    platform: 'web', require: 'filesystem', onWeaker: 'fail', exclude: ['vdc'],
    applications: 'none',
    limits: { ...DEFAULT_LIMITS, freezeMs: 60_000, holdMs: 500 },
  })
  assert.ok(Object.isFrozen(config) && Object.isFrozen(machine) && Object.isFrozen(config.limits))
})

test('one libvirt is the platform of many machines', () => {
  const config = parseConfig(`
platforms:
  kvm: { type: libvirt, uri: 'qemu:///system', scratchDir: scratch }
machines:
  db1: { platform: kvm }
  db2: { platform: kvm }
`, FILE)
  assert.deepEqual(config.platforms.get('kvm'),
    { type: 'libvirt', uri: 'qemu:///system', scratchDir: '/etc/stillpoint/scratch' })
  for (const platform of ['{ type: libvirt }', '{ type: libvirt, uri: "test:///default" }',
    '{ type: libvirt, uri: "qemu:///system", qmp: /x }', '{ type: xen }']) {
    assert.throws(() => parseConfig(`platforms: { kvm: ${platform} }`, FILE),
      { code: 'config-invalid' }, platform)
  }
})

test('a host may say how far its volumes are looked through, and what is left out', () => {
  const lists = parseConfig(
    'platforms: { here: { type: host, leaveOut: [files-not-to-backup] } }', FILE)
  assert.deepEqual(lists.platforms.get('here'),
    { type: 'host', leaveOut: ['files-not-to-backup'] })
  assert.throws(() => parseConfig('platforms: { here: { type: host, leaveOut: [tmp] } }', FILE),
    { code: 'config-invalid', message: /leaveOut.*neither files-not-to-snapshot/ })
  const { platforms } = parseConfig(
    'platforms: { here: { type: host, files: { limits: { lookMs: 60000 } } } }', FILE)
  assert.deepEqual(platforms.get('here'),
    { type: 'host', files: { limits: { lookMs: 60_000 } } })
  assert.throws(() => parseConfig(
    'platforms: { here: { type: host, files: { limits: { entries: 0 } } } }', FILE),
  { code: 'config-invalid' })
})

test('an empty file is a configuration that says nothing', () => {
  const config = parseConfig('# nothing yet\n', FILE)
  assert.deepEqual({ ...config, file: undefined }, { ...NO_CONFIG })
})

test('what is wrong is told with its line, its key and what was probably meant', () => {
  const cases: readonly (readonly [string, RegExp, RegExp?])[] = [
    ['machnes: {}', /line 1: unknown key "machnes"$/, /^Did you mean "machines"\?$/],
    [WHOLE.replace('require:', 'requires:'),
      /line 10: machines\.web1: unknown key "requires"$/, /^Did you mean "require"\?$/],
    [WHOLE.replace('onWeaker: fail', 'zzz: fail'), /line 11: .*"zzz"$/, /^Known here: platform, /],
    [WHOLE.replace('holdMs', 'holdms'), /line 14: machines\.web1\.limits: unknown key "holdms"$/],
    [WHOLE.replace('filesystem', 'gold'), /line 10: machines\.web1\.require: Invalid option/],
    [WHOLE.replace('platform: web\n', 'platform: wbe\n'),
      /line 9: machine web1 names platform "wbe"/, /^Did you mean "web"\?$/],
    [WHOLE.replace('limits:\n', '  web2: { platform: web }\nlimits:\n'),
      /line 15: machines web1 and web2 both name platform web/],
    [WHOLE.replace('type: qemu', 'type: xen'), /platforms\.web\.type: must be qemu/],
    ['platforms: { vc: { type: vsphere, url: "http://vc/sdk", user: u, passwordFile: p } }',
      /line 1: platforms\.vc\.url: must begin with https/],
    ['platforms: { vc: { type: vsphere, url: "https://u:p@vc/sdk", user: u, passwordFile: p } }',
      /platforms\.vc\.url: may not hold a user/],
    ['platforms: { vc: { type: vsphere, url: "https://vc", user: u, password: p } }',
      /unknown key "password"|passwordFile/],
    [WHOLE.replace('  web1:', '  "../web1":'), /line 8: "\.\.\/web1" is no name/],
    ['limits: { holdMs: 0 }', /limits\.holdMs: /],
    ['limits: { holdMs: 61000 }', /limits\.holdMs: /],
    ['limits: [1]', /line 1: limits: /],
    ['repository: { passwordFile: a, passwordCommand: b }', /cannot both be given/],
    ['a: 1\na: 2', /line 2: Map keys must be unique/],
    ['repository: {', /line 1: /],
    ['just text', /: Invalid input/],
  ]
  for (const [text, message, advice] of cases) {
    assert.throws(() => parseConfig(text, FILE),
      { code: 'config-invalid', message, ...advice === undefined ? {} : { advice } }, text)
  }
})

test('a configuration that grows when it is read is refused', () => {
  const levels = Array.from({ length: 12 }, (_, at) =>
    `l${at + 1}: &l${at + 1} [${Array(9).fill(`*l${at}`).join(', ')}]`)
  const bomb = `l0: &l0 [x]\n${levels.join('\n')}\n`
  assert.throws(() => parseConfig(bomb, FILE), { code: 'config-invalid', message: /alias/ })
})

test('the file is named or found in the working folder; others may not write it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-config-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'stillpoint.yaml')
  const places = {
    named: undefined, fromEnvironment: undefined, workingDir: folder, system: '/nowhere' }
  await writeFile(path, 'limits: { holdMs: 123 }\n', { mode: 0o600 })
  assert.equal((await loadConfig(places)).limits.holdMs, 123)
  assert.equal((await loadConfig({ ...places, workingDir: '/', named: path })).file, path)
  assert.equal((await loadConfig({ ...places, workingDir: '/', fromEnvironment: path })).file, path)
  assert.equal((await loadConfig({ ...places, workingDir: '/', system: folder })).file, path)
  await assert.rejects(loadConfig({ ...places, named: 'other.yaml' }), { code: 'not-found' })
  await chmod(path, 0o602)
  await assert.rejects(loadConfig(places), { code: 'config-invalid', message: /every user/ })
})
