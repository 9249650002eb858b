/** What `status` finds and says. */

import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { Fault } from '../../base/fault.ts'
import type { ApplicationHost, DiscoveredApplication } from '../../consistency/mod.ts'
import { agentStatus, isWell, type StatusParts } from './agent-status.ts'
import { placesIn } from './places.ts'
import { statusLines } from './verbs.ts'

const never = new AbortController().signal
let root = ''
before(async () => { root = await mkdtemp(join(tmpdir(), 'sp-')) })
after(() => rm(root, { recursive: true }))

const FOUND: readonly DiscoveredApplication[] = [
  { name: 'postgres 5432', kind: 'protected', recovery: 'self', data: { state: 'located',
    places: [{ path: '/srv', mountpoint: '/srv', type: 'ext4' }] } },
  { name: 'etcd', kind: 'incidental', recovery: 'unknown', data: { state: 'located', places: [] } },
  { name: 'mariadb', kind: 'protected', recovery: 'self',
    data: { state: 'unknown', detail: 'access denied\u001b[1m' } },
]

function hostWith(found: readonly DiscoveredApplication[]): ApplicationHost {
  return {
    agent: 'a test', discover: async () => found, prepare: async () => undefined,
    [Symbol.asyncDispose]: async () => {},
  }
}

test('says what is there, what is missing, and what is wrong', async () => {
  const places = await placesIn(root)
  const executable = join(root, 'agent')
  writeFileSync(executable, 'x', { mode: 0o755 })
  const parts: StatusParts = {
    places, executable, port: 'a.port', procRoot: join(root, 'proc'),
    findPort: () => { throw new Fault('not-found', 'no port') },
    loadConfig: async () => ({}), openHost: () => hostWith([]),
  }
  const nothing = await agentStatus(parts, never)
  assert.equal(isWell(nothing), false)
  assert.deepEqual(statusLines(nothing, places, 'a.port'), [
    'executable     not installed',
    'running        no',
    'port           the machine has none named a.port',
    `configuration  good (${places.config}, or none)`,
    'applications   none found',
  ])

  mkdirSync(dirname(places.executable), { recursive: true })
  writeFileSync(places.executable, 'x', { mode: 0o755 })
  mkdirSync(join(root, 'proc/12'), { recursive: true })
  symlinkSync(places.executable, join(root, 'proc/12/exe'))
  const all = await agentStatus({
    ...parts, findPort: () => '/dev/vport0p1', openHost: () => hostWith(FOUND) }, never)
  assert.equal(isWell(all), true)
  assert.deepEqual(statusLines(all, places, 'a.port'), [
    `executable     ${places.executable}`,
    'running        yes',
    'port           a.port is /dev/vport0p1',
    `configuration  good (${places.config}, or none)`,
    'applications',
    '               postgres 5432: can be held',
    '               etcd: cannot be held',
    '               mariadb: access denied\\x1b[1m',
  ])

  // Without the port, a hook that is run leads to it as well.
  mkdirSync(join(root, 'proc/13'))
  symlinkSync('/usr/sbin/qemu-ga', join(root, 'proc/13/exe'))
  writeFileSync(join(root, 'proc/13/cmdline'), 'qemu-ga\0')
  const ignored = await agentStatus(parts, never)
  assert.equal(isWell(ignored), false)
  assert.equal(statusLines(ignored, places, 'a.port')[3],
    'hooks          qemu-ga runs without -F: hooks are ignored; run install')
  writeFileSync(join(root, 'proc/13/cmdline'), 'qemu-ga\0-F/hook\0')
  writeFileSync(join(root, 'hook'), 'stillpoint-agent hook $1')
  const heard = await agentStatus(parts, never)
  assert.equal(isWell(heard), true)
  assert.equal(statusLines(heard, places, 'a.port')[3], 'hooks          qemu-ga runs the hook')

  writeFileSync(places.executable, 'y')
  const wrong = await agentStatus({ ...parts,
    loadConfig: async () => { throw new Fault('config-invalid', 'line 1: no') } }, never)
  assert.deepEqual(
    [wrong.executable, wrong.configurationFault, wrong.applications],
    ['other', 'line 1: no', null])
})
