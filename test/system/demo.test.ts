import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFile, readdir, rename, rm } from 'node:fs/promises'
import { test, type TestContext } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import { systemRandom as random } from '../../src/base/random.ts'
import { runDemo } from '../../src/demo/mod.ts'
import { PROGRAM } from './program.ts'
import { readyGuest } from './rig.ts'

const LIMITS = { timeout: 240_000 }

/** The folder that the story names, removed when the test is over. */
function folderOf(story: string, t: TestContext): string {
  const folder = /\$ cd (\S*stillpoint-demo-\S+)/.exec(story)?.[1]
  assert.ok(folder !== undefined, story)
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Command lines of running QEMU processes that use `folder`. */
async function guestsIn(folder: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines: string[] = []
  for (const pid of pids) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (line.startsWith('qemu-system') && line.includes(folder)) lines.push(line)
  }
  return lines
}

interface Told {
  readonly story: string
  readonly stderr: string
  readonly code: number | null
}

/** Runs `stillpoint demo` as a person would; `onStory` sees the story so far. */
function tell(onStory: (story: string, interrupt: () => void) => void): Promise<Told> {
  const child = spawn(PROGRAM, ['demo'], { stdio: ['ignore', 'pipe', 'pipe'] })
  let story = ''
  let stderr = ''
  let isInterrupted = false
  const interrupt = (): void => { // once: a second Ctrl-C ends the program the hard way
    if (!isInterrupted) child.kill('SIGINT')
    isInterrupted = true
  }
  child.stdout.on('data', (text: Buffer) => {
    story += text.toString()
    onStory(story, interrupt)
  })
  child.stderr.on('data', (text: Buffer) => { stderr += text.toString() })
  return new Promise((resolve) => {
    child.once('close', (code) => resolve({ story, stderr, code }))
  })
}

test('the demonstration shows what it promises and leaves a repository and nothing else',
  LIMITS, async (t) => {
    const { story, stderr, code } = await tell(() => {})
    const folder = folderOf(story, t)
    assert.equal(code, 0, story + stderr)
    assert.match(story, /^ {3}ok {6}Table rows: no row acknowledged/m)
    assert.doesNotMatch(story, /FAILED/)
    assert.match(story, /^ {3}Grade +filesystem$/m)
    assert.match(story, /no errors were found/)
    assert.deepEqual(await guestsIn(folder), [])
    const left = (await readdir(folder)).filter((name) => !['config', 'state'].includes(name))
    assert.deepEqual(left.toSorted(), ['password', 'repository'])
  })

test('interrupted, the demonstration leaves no machine running', LIMITS, async (t) => {
  const { story, code } = await tell((story, interrupt) => {
    if (story.includes('so far')) interrupt()
  })
  const folder = folderOf(story, t)
  assert.equal(code, 130)
  assert.deepEqual(await guestsIn(folder), [])
})

test('a stale disk in the restored machine fails the demonstration', LIMITS, async (t) => {
  let story = ''
  const told = runDemo({
    guest: 'tiny',
    write: (text) => { story += text },
    spoil: async ([first]) => {
      assert.ok(first?.path !== undefined)
      await rename(await staleDisk(t), first.path)
    },
  }, { clock, random }, t.signal)
  await assert.rejects(told, { code: 'demo-failed' })
  const folder = folderOf(story, t)
  assert.match(story, /^ {3}FAILED {2}Table rows: no row acknowledged/m)
  assert.match(story, /^ {3}FAILED {2}Both disks show the same instant/m)
  assert.deepEqual(await guestsIn(folder), [])
})

/** The first disk of a guest that was killed after its first rows. */
async function staleDisk(t: TestContext): Promise<string> {
  const guest = await readyGuest(t)
  await guest.witness.until('two rows', (witness) =>
    (witness.lastAcknowledged('rows')?.id ?? 0) >= 2, t.signal)
  await guest.kill()
  return guest.disks[0]?.path ?? ''
}
