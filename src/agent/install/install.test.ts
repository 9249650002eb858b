/** Installing and taking out, as often as one likes, and killed at each step. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync,
} from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { afterBoot, fakeSystemctl, readState } from '../testing/fake-systemctl.ts'
import { installAgent, uninstallAgent, type InstallParts, type Step } from './install.ts'
import { placesIn, systemdIn } from './places.ts'
import { SERVICE_UNIT } from './service-unit.ts'

const KILL_AT = fileURLToPath(new URL('../testing/kill-at.ts', import.meta.url))
const never = new AbortController().signal
const OLD = 'the old program\n'
/** More than one part of a copy. */
const NEW = 'the new program\n'.repeat(160_000)

let root = ''
const at = (name: string): string => join(root, name)
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sp-'))
  writeFileSync(at('old'), OLD)
  writeFileSync(at('new'), NEW)
})
afterEach(() => rm(root, { recursive: true }))

async function partsOf(systemd: InstallParts['systemd'] = 'runs'): Promise<InstallParts> {
  return {
    places: await placesIn(root), systemd: systemd ?? 'runs', systemctl: fakeSystemctl(root),
    procRoot: at('proc'),
  }
}

/** All files but the test's own, by their paths. */
function filesOf(): readonly string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && entry.parentPath !== root)
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length)).toSorted()
}

const INSTALLED = [
  '/etc/systemd/system/multi-user.target.wants/stillpoint-agent.service',
  '/etc/systemd/system/stillpoint-agent.service',
  '/usr/local/bin/stillpoint-agent',
]

suite('install', () => {
  test('copies itself, writes the unit, and lets systemd run it; once', async () => {
    const first = await installAgent(at('new'), await partsOf(), never)
    assert.equal(first.isNew, true)
    assert.deepEqual(filesOf(), INSTALLED)
    assert.equal(statSync(at('usr/local/bin/stillpoint-agent')).mode & 0o777, 0o755)
    assert.equal(readState(root).running, NEW)
    assert.equal(afterBoot(root), NEW)
    const again = await installAgent(at('new'), await partsOf(), never)
    assert.equal(again.isNew, false)
    assert.deepEqual(readState(root).journal, ['daemon-reload', 'restart', 'daemon-reload'])
  })

  test('replaces an older one, and a unit that was changed, and restarts what runs', async () => {
    await installAgent(at('old'), await partsOf(), never)
    await installAgent(at('new'), await partsOf(), never)
    assert.equal(readState(root).running, NEW)
    writeFileSync(at(INSTALLED[1] ?? ''), '[Service]\nExecStart=/bin/false\n')
    assert.equal((await installAgent(at('new'), await partsOf(), never)).isNew, true)
    assert.equal(readFileSync(at(INSTALLED[1] ?? ''), 'utf8'), SERVICE_UNIT)
  })

  test('restarts an agent whose file was replaced by a run that was killed before', async () => {
    await installAgent(at('new'), await partsOf(), never)
    mkdirSync(at('proc/7'), { recursive: true })
    const { places } = await partsOf()
    symlinkSync(`${places.executable} (deleted)`, at('proc/7/exe'))
    await installAgent(at('new'), await partsOf(), never)
    assert.equal(readState(root).journal.at(-1), 'restart')
  })

  test('starts nothing in the root folder of another system, and no unit without systemd',
    async () => {
      assert.equal(await systemdIn(root), 'none')
      await installAgent(at('new'), await partsOf('none'), never)
      assert.deepEqual(filesOf(), INSTALLED.slice(2))
      mkdirSync(at('usr/lib/systemd'), { recursive: true })
      writeFileSync(at('usr/lib/systemd/systemd'), '')
      assert.equal(await systemdIn(root), 'there')
      await installAgent(at('new'), await partsOf('there'), never)
      assert.equal(afterBoot(root), NEW)
      assert.deepEqual(readState(root).journal, [])
    })

  test('does not follow a link out of the root folder', async () => {
    mkdirSync(at('inner/usr'), { recursive: true })
    symlinkSync('/tmp', at('inner/usr/local'))
    const parts = { ...await partsOf('none'), places: await placesIn(at('inner')) }
    await assert.rejects(installAgent(at('new'), parts, never), { code: 'unsupported' })
    assert.equal(existsSync('/tmp/bin/stillpoint-agent'), false)
  })
})

const HOOK = '/etc/qemu/fsfreeze-hook.d/stillpoint'
const CONFIG = '/etc/qemu/qemu-ga.conf'

/** As Debian's package of qemu-ga leaves it. */
function withGuestAgent(): void {
  mkdirSync(at('etc/qemu/fsfreeze-hook.d'), { recursive: true })
  writeFileSync(at('etc/qemu/fsfreeze-hook'), 'exit 0\n')
}

suite('hooks', () => {
  test('are written where there is a use for them, and turned on; once', async () => {
    withGuestAgent()
    mkdirSync(at('etc/vmware-tools'))
    const first = await installAgent(at('new'), await partsOf(), never)
    assert.deepEqual([first.isNew, first.hooksLeft], [true, []])
    for (const path of [HOOK, '/etc/vmware-tools/backupScripts.d/stillpoint']) {
      assert.equal(statSync(at(path)).mode & 0o777, 0o755)
      assert.match(readFileSync(at(path), 'utf8'), /^exec \S+\/stillpoint-agent hook "\$1"$/m)
    }
    assert.match(readFileSync(at(CONFIG), 'utf8'), /^fsfreeze-hook = \/etc\/qemu\/fsfreeze-hook$/m)
    assert.equal((await installAgent(at('new'), await partsOf(), never)).isNew, false)
    await uninstallAgent(await partsOf(), never)
    assert.deepEqual(filesOf(), ['/etc/qemu/fsfreeze-hook'])
  })

  test('are laid beside the dispatcher of RHEL, which turns them on itself', async () => {
    mkdirSync(at('etc/qemu-ga'), { recursive: true })
    writeFileSync(at('etc/qemu-ga/fsfreeze-hook'), 'exit 0\n')
    await installAgent(at('new'), await partsOf('none'), never)
    assert.deepEqual(filesOf().filter((path) => path.startsWith('/etc')),
      ['/etc/qemu-ga/fsfreeze-hook', '/etc/qemu-ga/fsfreeze-hook.d/stillpoint'])
  })

  test('leave a configuration of the operator as it is, and say what to add', async () => {
    withGuestAgent()
    writeFileSync(at(CONFIG), '[general]\nverbose = true\n')
    const { hooksLeft } = await installAgent(at('new'), await partsOf(), never)
    assert.match(hooksLeft.join(), /add to .*qemu-ga.conf.*fsfreeze-hook = /)
    await uninstallAgent(await partsOf(), never)
    assert.equal(readFileSync(at(CONFIG), 'utf8'), '[general]\nverbose = true\n')
    writeFileSync(at(CONFIG), '[general]\nfsfreeze-hook=/opt/hook\n')
    assert.deepEqual((await installAgent(at('new'), await partsOf(), never)).hooksLeft, [])
  })

  test('are never there without an agent behind them, wherever a run is killed', async () => {
    withGuestAgent()
    const isSound = (): boolean => !existsSync(at(HOOK)) || afterBoot(root) === NEW
    for (const [step, count] of KILLS) {
      killAt('install', step, count)
      assert.ok(isSound(), step)
    }
    assert.equal(existsSync(at(HOOK)), true)
    for (const step of UNDONE) {
      await installAgent(at('new'), await partsOf(), never)
      killAt('uninstall', step)
      assert.ok(isSound(), step)
    }
  })
})

function killAt(verb: string, step: Step, count = 1): void {
  const { signal, stderr } = spawnSync(process.execPath,
    [KILL_AT, verb, root, at('new'), step, String(count)], { encoding: 'utf8' })
  assert.equal(signal, 'SIGKILL', stderr)
}

const KILLS: readonly (readonly [Step, number])[] = [
  ['folders', 1], ['part', 1], ['part', 2], ['executable', 1], ['unit', 1], ['wanted', 1],
  ['loaded', 1], ['started', 1], ['hooks', 1],
]
const UNDONE = ['no-hooks', 'stopped', 'unwanted', 'no-unit', 'no-executable'] as const

suite('install, killed', () => {
  for (const [step, count] of KILLS) {
    test(`at "${step}" ${count}, leaves none or one that works, and the next run is whole`,
      async () => {
        killAt('install', step, count)
        // Nothing half: what would run is the program as a whole, or nothing.
        assert.ok([null, NEW].includes(afterBoot(root)))
        assert.ok([null, NEW].includes(readState(root).running))
        await installAgent(at('new'), await partsOf(), never)
        assert.deepEqual(filesOf(), INSTALLED)
        assert.equal(readState(root).running, NEW)
      })

    test(`over an older one, at "${step}" ${count}, leaves the older or the new one`, async () => {
      await installAgent(at('old'), await partsOf(), never)
      killAt('install', step, count)
      assert.ok([OLD, NEW].includes(afterBoot(root) ?? ''))
      assert.ok([OLD, NEW].includes(readState(root).running ?? ''))
    })
  }
})

suite('uninstall', () => {
  test('leaves the configuration, and nothing else; once', async () => {
    mkdirSync(at('etc/stillpoint'), { recursive: true })
    writeFileSync(at('etc/stillpoint/agent.yaml'), '')
    await installAgent(at('new'), await partsOf(), never)
    assert.deepEqual(await uninstallAgent(await partsOf(), never), { isNew: true, pids: [] })
    assert.deepEqual(filesOf(), ['/etc/stillpoint/agent.yaml'])
    assert.equal(readState(root).running, null)
    assert.deepEqual(await uninstallAgent(await partsOf(), never), { isNew: false, pids: [] })
  })

  test('names the agents that systemd did not start, and leaves them alone', async () => {
    mkdirSync(at('proc/7'), { recursive: true })
    const parts = await partsOf('none')
    symlinkSync(parts.places.executable, at('proc/7/exe'))
    assert.deepEqual((await uninstallAgent(parts, never)).pids, [7])
  })

  for (const step of UNDONE) {
    test(`killed at "${step}", leaves one that works or none, and the next run is whole`,
      async () => {
        await installAgent(at('new'), await partsOf(), never)
        killAt('uninstall', step)
        assert.ok([null, NEW].includes(afterBoot(root)))
        await uninstallAgent(await partsOf(), never)
        assert.deepEqual(filesOf(), [])
        assert.equal(readState(root).running, null)
      })
  }
})

test('systemd finds nothing wrong with the unit', (t) => {
  if (spawnSync('systemd-analyze', ['--version']).status !== 0) {
    return t.skip('systemd-analyze is not installed')
  }
  mkdirSync(at('usr/local/bin'), { recursive: true })
  const unit = SERVICE_UNIT.replaceAll('/usr/local/bin/stillpoint-agent', '/bin/true')
  writeFileSync(at('stillpoint-agent.service'), unit)
  const { status, stderr } = spawnSync('systemd-analyze',
    ['verify', '--man=no', at('stillpoint-agent.service')], { encoding: 'utf8' })
  assert.deepEqual([status, stderr], [0, ''])
})
