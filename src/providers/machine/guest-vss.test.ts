/** The type of a Windows' shadow copies, read before it is frozen. Its answers are made by us. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Freezing, GuestExit, GuestFileSystem } from '../../consistency/mod.ts'
import { FakeGuestAgent, temporaryFolder } from '../testing/mod.ts'
import { surveyAgent } from './ask-agent.ts'
import { guestVss, MAKE_COPY, type GuestVss } from './guest-vss.ts'

const signal = new AbortController().signal

const mounted = (mountpoint: string, type: string): GuestFileSystem =>
  ({ mountpoint, type, device: '', diskIds: [] })
const WINDOWS = [mounted('System Reserved', 'NTFS'), mounted('C:\\', 'NTFS')]
const LINUX = [mounted('/', 'ext4'), mounted('/mnt/c:', 'ntfs3')]

/** As reg.exe prints it. */
const printed = (type: string): GuestExit => ({
  code: 0, stderr: '', stdout: '\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\' +
    `QEMU Guest Agent VSS Provider\r\n    VssOption    REG_DWORD    ${type}\r\n\r\n` })
const NONE: GuestExit = { code: 1, stdout: '', stderr: 'ERROR: The system was unable to find …' }

const CASES: readonly [
  name: string, version: string, answer: GuestExit | Fault, fileSystems: typeof WINDOWS | undefined,
  accepts: boolean, kind: GuestVss['kind'], words: RegExp][] = [
  ['COPY is set', '8.2.0', printed('0x5'), WINDOWS, false, 'fine', /COPY$/],
  ['COPY is set, for virtio-win', '107.0.1', printed('0x5'), WINDOWS, false, 'fine', /COPY/],
  ['FULL is set', '8.2.0', printed('0x1'), WINDOWS, false, 'refused', /the VSS type is FULL: run/],
  ['a differential one', '8.2.0', printed('0x3'), WINDOWS, false, 'refused', /DIFFERENTIAL/],
  ['nothing is set', '8.2.0', NONE, WINDOWS, false, 'refused', /no VSS type is set, which means/],
  ['nonsense is set', '8.2.0', printed('0x99'), WINDOWS, false, 'refused', /is none/],
  ['COPY is set, which an old agent does not ask', '7.2.22', printed('0x5'), WINDOWS, false,
    'refused', /always asks for FULL/],
  ['the same of virtio-win', '105.0.2', printed('0x5'), WINDOWS, false, 'refused', /always/],
  ['a version that is none', 'x', printed('0x5'), WINDOWS, false, 'refused', /always/],
  ['programs may not be started', '8.2.0', new Fault('agent-refused', 'not allowed'), WINDOWS,
    false, 'refused', /cannot be read \(not allowed\)/],
  ['FULL, and the operator accepts it', '8.2.0', NONE, WINDOWS, true, 'fine', /FULL, which the op/],
  ['a Linux', '7.2.22', new Fault('agent-refused', 'not to be asked'), LINUX, false, 'none', /^$/],
  ['no list, and no such program', '7.2.22', new Fault('agent-refused', 'no such file'), undefined,
    false, 'none', /^$/],
  ['no list, and nothing may be started', '8.2.0',
    new Fault('agent-refused', 'Command guest-exec has been disabled'), undefined, false,
    'refused', /cannot be read \(Command guest-exec has been disabled\)/],
  ['no list, and a Windows', '8.2.0', NONE, undefined, false, 'refused', /means FULL/],
]

for (const [name, agentVersion, answer, fileSystems, acceptsTruncation, kind, words] of CASES) {
  test(`${name}: ${kind}`, async () => {
    const programs = {
      run: async () => {
        if (answer instanceof Fault) throw answer
        return answer
      },
      read: () => assert.fail(),
    }
    const found = await guestVss(
      { agentVersion, fileSystems, programs, acceptsTruncation }, signal)
    assert.equal(found.kind, kind)
    assert.match(found.kind === 'fine' ? found.words
      : found.kind === 'refused' ? found.missing.detail : '', words)
    if (found.kind === 'refused') assert.ok(found.missing.detail.endsWith(MAKE_COPY))
  })
}

test('a freeze of a Windows whose type is not COPY is not promised', async () => {
  await using folder = await temporaryFolder()
  await using agent = await FakeGuestAgent.start(join(folder.path, 'qga'))
  agent.behaviour.fsinfo = [
    { name: '\\\\?\\Volume{x}\\', mountpoint: 'C:\\', type: 'NTFS', disk: [] }]
  const asked: unknown[] = []
  agent.behaviour.commands.set('guest-exec', (args) => {
    asked.push(args['path'])
    return { pid: 7 }
  })
  agent.behaviour.commands.set('guest-exec-status', () => ({ exited: true, exitcode: 1 }))
  const survey = (accepts: boolean): Promise<Freezing> =>
    surveyAgent(agent.path, [], accepts, systemClock, signal)
  const refused = await survey(false)
  assert.equal('missing' in refused && refused.missing, 'would-truncate-logs')
  const accepted = await survey(true)
  assert.ok('by' in accepted && accepted.by === 'agent')
  assert.match(accepted.agent, /^qemu-ga 7\.2\.22, VSS type FULL, which the operator accepts$/)
  assert.deepEqual(asked, Array(2).fill('C:\\Windows\\System32\\reg.exe'))
  assert.ok(!agent.journal.some((line) => line.startsWith('freeze')))
})
