/**
 * The agent is brought into a real guest by its qemu-ga; a script of two mebibytes stands in
 * for the executable (test/long/agent-install.long.ts brings the real one).
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { runProgram } from '../../src/base/program.ts'
import type { RunningGuest } from '../../src/demo/mod.ts'
import { PROGRAM } from './program.ts'
import { readyGuest, testFolder } from './rig.ts'

const limits = { timeout: 240_000 }

function standIn(path: string): void {
  writeFileSync(path, `#!/bin/sh
target=/usr/local/bin/stillpoint-agent
case $1 in
  install)
    [ "$0" = $target ] || { cp "$0" $target.new && mv $target.new $target; }
    echo "installed: $0"; ls -A /usr/local/bin ;;
  status) echo standing; exit 3 ;;
  uninstall) rm -f $target; echo removed ;;
esac
exit $?
${randomBytes(1_500_000).toString('base64')}
`, { mode: 0o755 })
}

function argsOf(guest: RunningGuest, ...args: readonly string[]): readonly string[] {
  return ['agent', ...args, '--on', `qemu:qmp=${guest.qmpSocket},agent=${guest.agentSocket ?? ''}`]
}

test('the agent is installed, found installed, asked and taken out', limits, async (t) => {
  const guest = await readyGuest(t, { load: false })
  const executable = join(await testFolder(t), 'agent')
  standIn(executable)
  const run = async (...args: readonly string[]): Promise<readonly [number, string]> => {
    const { code, stdout, stderr } = await runProgram(PROGRAM, argsOf(guest, ...args),
      { signal: t.signal, okCodes: [0, 1, 3] })
    return [code, `${Buffer.from(stdout).toString()}${stderr}`]
  }
  assert.deepEqual(await run('status'), [3, 'not installed\n'])

  // Killed while it copies: nothing is installed, and the next run begins again.
  const killed = spawn(PROGRAM, ['--json', ...argsOf(guest, 'install'),
    '--executable', executable], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  killed.stdout.on('data', (part: Buffer) => {
    said += part.toString()
    if (said.includes('"status"')) killed.kill('SIGKILL')
  })
  await once(killed, 'close')
  assert.equal(killed.signalCode, 'SIGKILL', said)

  const startedMs = performance.now()
  assert.deepEqual(await run('install', '--executable', executable), [0,
    'copied into the machine\ninstalled: /usr/local/bin/.stillpoint-upload/stillpoint-agent\n' +
    '.stillpoint-upload\nstillpoint-agent\n'])
  t.diagnostic(`copied and installed in ${Math.round(performance.now() - startedMs)} ms`)
  assert.deepEqual(await run('install', '--executable', executable), [0,
    'not copied: the same one is there\ninstalled: /usr/local/bin/stillpoint-agent\n' +
    'stillpoint-agent\n'])
  assert.deepEqual(await run('status'), [3, 'standing\n'])
  assert.deepEqual(await run('uninstall'), [0, 'removed\n'])
  assert.deepEqual(await run('uninstall'), [0, 'not installed\n'])
})
