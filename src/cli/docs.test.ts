/** Documents that must not lag behind the program. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { DEFAULT_LIMITS, parseConfig } from '../engine/mod.ts'
import { createBench } from './testing/bench.ts'

const read = (name: string): string =>
  readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

test('docs/command-line.md names every command and option there is, and no others', async () => {
  const bench = createBench()
  const text = read('command-line.md')
  const { stdout } = await bench.run('--help')
  const listed = /^Commands:\n((?: {2}.*\n)+)/m.exec(stdout)?.[1] ?? ''
  const commands = [...listed.matchAll(/^ {2}([a-z]+(?:-[a-z]+)*)/gm)].map(([, name = '']) => name)
  assert.ok(commands.length >= 8)
  const documented = [...text.matchAll(/^\| `([a-z]+(?:-[a-z]+)*)/gm)].map(([, name]) => name)
  assert.deepEqual(documented, commands)
  const options = new Set<string>()
  for (const name of commands) {
    const help = (await bench.run(name, '--help')).stdout
    for (const [, option = ''] of help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)) options.add(option)
  }
  const unknown = [...text.matchAll(/--[a-z]+(?:-[a-z]+)*/g)]
    .map(([option]) => option).filter((option) => !options.has(option))
  assert.deepEqual(unknown, [])
  assert.deepEqual([...options].filter((option) => !text.includes(option)), [])
})

test('the example of docs/configuration.md is valid and has the defaults that it claims', () => {
  const text = read('configuration.md')
  const example = /```yaml\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
  const config = parseConfig(example, '/etc/stillpoint/stillpoint.yaml')
  assert.deepEqual(config.limits, DEFAULT_LIMITS)
  assert.equal(config.machines.get('web1')?.require, 'filesystem')
  for (const [key, ms] of Object.entries(DEFAULT_LIMITS)) {
    assert.match(text, new RegExp(`^\\| \`limits\\.${key}\` \\| ${ms} \\|`, 'm'))
  }
})

test('docs/json-output.md names every key that the summaries carry', async () => {
  const bench = createBench()
  const text = read('json-output.md')
  const on = ['--on', 'qemu:qmp=/run/qmp']
  const commands = [['init'], ['machines', ...on], ['doctor', ...on], ['backup', ...on], ['points'],
    ['show', 'latest'], ['check'], ['unlock'], ['forget', '--keep-last', '1'], ['prune'],
    ['show', 'ffff']]
  for (const args of commands) {
    const { lines } = await bench.runJson(...args)
    for (const key of lines.flatMap((line) => Object.keys(line))) {
      assert.match(text, new RegExp(`\`${key}\``), `${key} of ${args[0]}`)
    }
  }
})
