import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { systemRandom } from '../base/random.ts'
import { NO_CONFIG, parseConfig, type Config } from './config.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { findMachine, platformPlaces } from './find-machine.ts'
import { nearest } from '../base/nearest.ts'
import { localPath, parsePlatform, systemRegistry } from './registry.ts'
import { findLocation, findPassword } from './repository-secret.ts'
import { splitCommand } from './split-command.ts'

function context(changes: Partial<EngineContext> = {}): EngineContext {
  return {
    clock: systemClock, random: systemRandom, log: silentLog, registry: systemRegistry,
    config: NO_CONFIG, environment: {}, workingDir: '/work', hostname: 'h', username: 'u',
    version: '0', askPassword: undefined, ...changes,
  }
}

const NOTHING = { repo: undefined, passwordFile: undefined, passwordCommand: undefined }

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-engine-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('--on is read strictly, commas in values written twice', () => {
  assert.deepEqual(parsePlatform('qemu:qmp=/a,,b,agent=/c:d,name=web1'),
    { type: 'qemu', options: { qmp: '/a,b', agent: '/c:d', name: 'web1' } })
  for (const text of ['', 'qemu', 'qemu:', 'qemu:/a', 'qemu:qmp=', 'qemu:qmp=/a,qmp=/b', 'web1',
    'qemu:qmp=/a,agnt=/b', 'QEMU:qmp=/a', 'qemu:agent=/a', 'docker:x', 'host', 'host:c']) {
    assert.throws(() => parsePlatform(text), { code: 'usage' }, text)
  }
  assert.deepEqual(parsePlatform('host:'), { type: 'host', options: {} })
})

test('--on libvirt: takes a URI of QEMU machines that needs no more than virsh', () => {
  assert.deepEqual(parsePlatform('libvirt:qemu:///system'),
    { type: 'libvirt', options: { uri: 'qemu:///system' } })
  assert.deepEqual(
    parsePlatform('libvirt:qemu+ssh://root@[fd00::1]:22/system?a=b,,c=d,scratch=/s,sockets=/k'),
    { type: 'libvirt', options: { uri: 'qemu+ssh://root@[fd00::1]:22/system?a=b,c=d',
      scratchDir: '/s', socketDir: '/k' } })
  for (const uri of ['', 'qemu', 'xen:///system', 'test:///default', 'qemu:///system list',
    'qemu:///system\nlist', '-c', 'qemu+ext:///system?command=/bin/sh', 'qemu:///other',
    'qemu:///system,x=y', 'qemu:///system,scratch=', 'qemu:///system,scratch=/a,scratch=/b',
    `qemu:///system?${'x'.repeat(2000)}`]) {
    assert.throws(() => parsePlatform(`libvirt:${uri}`), { code: 'usage' }, uri)
  }
})

test('a vSphere is named by its URL, who logs in, and a pin', () => {
  const pin = 'ab'.repeat(32)
  assert.deepEqual(
    parsePlatform(`vsphere:https://vc.example:8443,user=a@b,,c,password-file=/p,fingerprint=${
      pin.toUpperCase().replaceAll(/..(?=.)/g, '$&:')}`),
    { type: 'vsphere', options: {
      url: 'https://vc.example:8443/sdk', user: 'a@b,c', passwordFile: '/p', fingerprint: pin } })
  const rest = 'user=u,password-file=/p'
  for (const text of ['vsphere:', 'vsphere:https://vc', 'vsphere:https://vc,user=u',
    `vsphere:http://vc/sdk,${rest}`, `vsphere:https://u:p@vc/sdk,${rest}`, `vsphere:vc,${rest}`,
    `vsphere:https://vc/sdk?x=y,${rest}`, `vsphere:https://vc,${rest},user=v`,
    `vsphere:https://vc,${rest},fingerprint=12`, `vsphere:https://vc,${rest},password=p`]) {
    assert.throws(() => parsePlatform(text), { code: 'usage' }, text)
  }
  const { target, machineName } = findMachine(
    { on: `vsphere:https://vc,user=u,password-file=p`, machine: 'DB 1' }, context())
  assert.ok(target.type === 'vsphere')
  assert.deepEqual([target.options.passwordFile, machineName], ['/work/p', 'DB 1'])
})

test('local repositories are opened, other stores of restic are named and refused', () => {
  assert.equal(localPath('/srv/backup'), '/srv/backup')
  assert.equal(localPath('local:/srv/backup'), '/srv/backup')
  assert.equal(localPath('back:up'), 'back:up')
  for (const location of ['s3:s3.amazonaws.com/x', 'sftp:host:/x', 'rest:https://h/', 'rclone:a:b',
    'b2:x', 'azure:x:/', 'gs:x:/', 'swift:x:/']) {
    assert.throws(() => localPath(location), { code: 'unsupported' }, location)
  }
  assert.throws(() => localPath(''), { code: 'usage' })
  assert.throws(() => localPath('local:'), { code: 'usage' })
})

const TWO_MACHINES = parseConfig(`
platforms:
  one: { type: qemu, qmp: /run/one }
  two: { type: qemu, qmp: /run/two }
machines:
  db1: { platform: one, require: crash }
`, '/etc/stillpoint.yaml')

test('a machine is found by its name, by its platform, and alone without any', () => {
  const choose = (machine: string | undefined, config: Config = TWO_MACHINES) =>
    findMachine({ on: undefined, machine }, context({ config }))
  assert.equal(choose('db1').platformName, 'one')
  assert.equal(choose('db1').settings?.require, 'crash')
  assert.deepEqual(choose('two').target.options, { qmp: '/run/two', name: 'two' })
  assert.equal(choose('two/db2').machineName, 'db2')
  assert.throws(() => choose('db2'), { code: 'machine-not-found', advice: 'Did you mean "db1"?' })
  assert.throws(() => choose('elsewhere'),
    { code: 'machine-not-found', advice: /knows: db1, one, two/ })
  assert.throws(() => choose(undefined), { code: 'usage', advice: 'Name one of: db1, two.' })
  const single = parseConfig('platforms: { one: { type: qemu, qmp: /q } }', '/x.yaml')
  assert.equal(choose(undefined, single).machineName, 'one')
  assert.throws(() => platformPlaces(undefined, context()), { code: 'usage' })
})

test('a vSphere has many machines, each found by its own name', () => {
  const config = parseConfig(`
platforms:
  vc: { type: vsphere, url: 'https://vc.example/', user: u, passwordFile: p }
machines:
  db1: { platform: vc, require: crash }
  db2: { platform: vc }
`, '/etc/stillpoint.yaml')
  const choose = (machine: string | undefined) =>
    findMachine({ on: undefined, machine }, context({ config }))
  assert.deepEqual(choose('db1').target, { type: 'vsphere', options: {
    url: 'https://vc.example/sdk', user: 'u', passwordFile: '/etc/p' } })
  assert.equal(choose('db1').settings?.require, 'crash')
  assert.equal(choose('db2').machineName, 'db2')
  assert.equal(choose('vc/any name').machineName, 'any name')
  assert.equal(choose(undefined).machineName, undefined)
  assert.equal(platformPlaces(undefined, context({ config })).length, 1)
})

test('sockets that --on names are made absolute: the guardian runs elsewhere', () => {
  const { target, machineName } = findMachine(
    { on: 'qemu:qmp=a/qmp,agent=a/ga,scratch=s', machine: 'm' }, context())
  assert.deepEqual(target.options,
    { qmp: '/work/a/qmp', agent: '/work/a/ga', scratchDir: '/work/s' })
  assert.equal(machineName, 'm')
})

test('the location comes from option, environment, its file, configuration', async (t) => {
  const folder = await folderOf(t)
  await writeFile(join(folder, 'where'), '/from/file\n')
  const config = parseConfig('repository: { path: /from/config }', '/x.yaml')
  const all = { RESTIC_REPOSITORY: '/from/env' }
  assert.equal(await findLocation({ ...NOTHING, repo: '/o' }, context({ environment: all })), '/o')
  assert.equal(await findLocation(NOTHING, context({ environment: all, config })), '/from/env')
  const file = { RESTIC_REPOSITORY: '', RESTIC_REPOSITORY_FILE: 'where' }
  assert.equal(await findLocation(NOTHING, context({ environment: file, workingDir: folder })),
    '/from/file')
  assert.equal(await findLocation(NOTHING, context({ config })), '/from/config')
  await assert.rejects(findLocation(NOTHING, context()), { code: 'usage' })
  const both = { RESTIC_REPOSITORY: '/a', RESTIC_REPOSITORY_FILE: 'b' }
  await assert.rejects(findLocation(NOTHING, context({ environment: both })), { code: 'usage' })
})

test('the password comes from the first place that has one', async (t) => {
  const folder = await folderOf(t)
  await writeFile(join(folder, 'pw'), '  from file \r\n')
  await writeFile(join(folder, 'empty'), '\n')
  await writeFile(join(folder, 'binary'), new Uint8Array([0xff, 0xfe]))
  const find = async (
    options: Partial<RepositoryOptions>, changes: Partial<EngineContext> = {}) =>
    (await findPassword({ ...NOTHING, ...options }, context({ workingDir: folder, ...changes }),
      'once', t.signal)).reveal()
  const everywhere = {
    RESTIC_PASSWORD: ' from env ', RESTIC_PASSWORD_COMMAND: '/bin/echo from "the command"',
  }
  const config = parseConfig('repository: { passwordFile: pw }', join(folder, 'x.yaml'))
  assert.equal(await find({ passwordFile: 'pw' }, { environment: everywhere }), 'from file')
  assert.equal(await find({}, { environment: everywhere }), 'from the command')
  assert.equal(await find({}, { environment: { RESTIC_PASSWORD: ' from env ' }, config }),
    ' from env ')
  assert.equal(await find({}, { config }), 'from file')
  await assert.rejects(find({}), { code: 'usage' })
  await assert.rejects(find({ passwordFile: 'empty' }), { code: 'usage' })
  await assert.rejects(find({ passwordFile: 'binary' }), { code: 'io-error' })
  await assert.rejects(find({ passwordFile: 'none' }), { code: 'io-error' })
  await assert.rejects(find({ passwordCommand: '/bin/false' }), { code: 'program-failed' })
  await assert.rejects(find({ passwordCommand: ' ' }), { code: 'usage' })
  await assert.rejects(find({ passwordCommand: 'a', passwordFile: 'pw' }),
    { code: 'usage' })
})

test('a command is cut into words as a shell would, and nothing is expanded', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['pass show backup', ['pass', 'show', 'backup']],
    [`  sh -c 'echo "$HOME" \\n'  `, ['sh', '-c', 'echo "$HOME" \\n']],
    [`a "b c"d ''`, ['a', 'b cd', '']],
    [`a\\ b "c\\"d\\e"`, ['a b', 'c"d\\e']],
    ['', []],
  ]
  for (const [text, words] of cases) assert.deepEqual(splitCommand(text), words, text)
  assert.throws(() => splitCommand('a "b'), { code: 'usage' })
})

test('the nearest word is near, and a far one is none', () => {
  const known = ['require', 'exclude', 'platform']
  assert.equal(nearest('requires', known), 'require')
  assert.equal(nearest('Exclude', known), 'exclude')
  assert.equal(nearest('plattfrom', known), 'platform')
  assert.equal(nearest('zzz', known), undefined)
  assert.equal(nearest('x'.repeat(1e6), known), undefined)
})
