/** The real executable is brought into Debian by its qemu-ga, runs there, and finds the servers. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import { runProgram } from '../../src/base/program.ts'
import { startGuest } from '../../src/demo/mod.ts'
import { PROGRAM } from '../system/program.ts'
import { testFolder } from '../system/rig.ts'


test('the agent is taken out of Debian and brought there again', { timeout: 900_000 },
  async (t) => {
    const guest = await startGuest(
      { kind: 'full', folder: await testFolder(t), load: false }, clock, t.signal)
    t.after(() => guest[Symbol.asyncDispose]())
    await guest.waitUntilReady(t.signal)
    const on = `qemu:qmp=${guest.qmpSocket},agent=${guest.agentSocket ?? ''},` +
      `channel=${guest.channelSocket ?? ''}`
    const run = async (...args: readonly string[]): Promise<readonly [number, string]> => {
      const startedMs = performance.now()
      const { code, stdout, stderr } = await runProgram(PROGRAM, [...args, '--on', on],
        { signal: t.signal, okCodes: [0, 1, 3] })
      const said = `${Buffer.from(stdout).toString()}${stderr}`
      t.diagnostic(`${args.join(' ')}: ${code} in ${
        Math.round(performance.now() - startedMs)} ms\n${said}`)
      return [code, said]
    }
    assert.match((await run('agent', 'status'))[1], /postgres[^]*can be held/)
    // Debian's own init is not what runs here: the script that started the agent is named.
    assert.match((await run('agent', 'uninstall'))[1], /still running/)
    assert.deepEqual(await run('agent', 'status'), [3, 'not installed\n'])
    const [code, said] = await run('agent', 'install')
    assert.equal(code, 3)
    assert.match(said, /^copied into the machine\ninstalled: \/usr\/local\/bin\/stillpoint-agent\n/)
    assert.match((await run('agent', 'install'))[1], /^not copied/)
    const [, standing] = await run('agent', 'status')
    assert.match(standing, /^executable +\/usr\/local\/bin\/stillpoint-agent$/m)
    assert.match(standing, /^running +yes, one that was replaced/m)
    assert.match(standing, /^port +org\.stillpoint\.agent\.0 is \/dev\/vport/m)
    for (const name of ['postgres', 'mariadb', 'redis']) {
      assert.match(standing, new RegExp(`^ +${name}.*: can be held$`, 'm'))
    }
  })
