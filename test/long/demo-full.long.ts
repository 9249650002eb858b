import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { test } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import { systemRandom as random } from '../../src/base/random.ts'
import { runDemo } from '../../src/demo/mod.ts'

test('the demonstration holds with Debian and four databases', { timeout: 900_000 }, async (t) => {
  let story = ''
  const write = (text: string): void => { story += text }
  try {
    await runDemo({ guest: 'full', write }, { clock, random }, t.signal)
  } finally {
    t.diagnostic(story)
    const folder = /\$ cd (\S*stillpoint-demo-\S+)/.exec(story)?.[1]
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }
  for (const table of ['orders', 'payments', 'events']) {
    assert.match(story, new RegExp(`^ {3}ok {6}Table ${table}: no row acknowledged`, 'm'))
  }
  assert.match(story, /^ {3}Grade +application$/m)
  assert.doesNotMatch(story, /FAILED/)
})
