import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../base/testing/manual-clock.ts'
import { Story } from './story.ts'

function toldBy(tell: (story: Story, clock: ManualClock) => void | Promise<void>): {
  readonly told: () => string; readonly done: Promise<void> } {
  let text = ''
  const clock = new ManualClock()
  const story = new Story((more) => { text += more }, clock)
  return { told: () => text, done: Promise.resolve(tell(story, clock)) }
}

test('figures are aligned, and long ones wrapped under their own column', () => {
  const long = Array.from({ length: 20 }, () => 'sentence').join(' ')
  const { told } = toldBy((story) => story.figures([['Held', '7.1 ms'], ['Why not higher', long]]))
  const lines = told().trimEnd().split('\n')
  assert.equal(lines[0], '   Held            7.1 ms')
  assert.match(lines[1] ?? '', /^ {3}Why not higher {2}sentence/)
  assert.match(lines[2] ?? '', /^ {19}sentence/)
  assert.ok(lines.every((line) => line.length <= 100))
})

test('a step says how long it took, or that it failed', async () => {
  const { told, done } = toldBy(async (story, clock) => {
    await story.step('Booting', async () => { clock.advance(3200) })
    await assert.rejects(story.step('Killing', () => Promise.reject(new Error('no'))))
  })
  await done
  assert.equal(told(), '   Booting … 3.2 s\n   Killing … failed\n')
})

test('what a command prints cannot act on the terminal', () => {
  const { told } = toldBy((story) => story.quote('\u001b[2Jgone'))
  assert.equal(told(), '   | \\x1b[2Jgone\n')
})
