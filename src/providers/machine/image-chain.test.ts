import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock as clock } from '../../base/clock.ts'
import { readChain, stampOf } from './image-chain.ts'

const missing = ['qemu-img', 'qemu-io']
  .filter((program) => spawnSync(program, ['--version']).status !== 0)
const skip = missing.length > 0 && `${missing.join(', ')} missing`

/** Makes images with qemu-img in a folder of the test's own, of 1 MiB or as large as the base. */
async function images(t: TestContext): Promise<{
  readonly make: (name: string, ...words: readonly string[]) => string
  readonly path: (name: string) => string
}> {
  const folder = await mkdtemp(join(tmpdir(), 'chain-'))
  t.after(() => rm(folder, { recursive: true }))
  const path = (name: string): string => join(folder, name)
  return { path, make: (name, ...words) => {
    const size = words.includes('-b') && !words.includes('-u') ? [] : ['1M']
    const done = spawnSync('qemu-img',
      ['create', '-q', '-f', 'qcow2', ...words, path(name), ...size], { cwd: folder })
    assert.equal(done.status, 0, done.stderr.toString())
    return path(name)
  } }
}

test('a chain is followed by what each image says of the one below', { skip }, async (t) => {
  const { make, path } = await images(t)
  await writeFile(path('c.raw'), Buffer.alloc(1000))
  make('b.qcow2', '-b', 'c.raw', '-F', 'raw')
  const top = make('a.qcow2', '-b', 'b.qcow2', '-F', 'qcow2')
  assert.deepEqual(await readChain(top, 'qcow2', t.signal), {
    chain: [{ path: top, format: 'qcow2' }, { path: path('b.qcow2'), format: 'qcow2' },
      { path: path('c.raw'), format: 'raw' }],
    sizeBytes: 1024, bitmaps: new Map() })
  // What the definition calls raw is read as it is, whatever it looks like.
  const raw = await readChain(top, 'raw', t.signal)
  assert.ok('chain' in raw)
  assert.deepEqual(raw.chain, [{ path: top, format: 'raw' }])
})

test('a chain that leads elsewhere, or nowhere, is not read', { skip }, async (t) => {
  const { make, path } = await images(t)
  const cases: readonly (readonly [string, RegExp])[] = [
    [make('elsewhere', '-u', '-b', 'nbd://h/x', '-F', 'raw'), /no file of this host/],
    [make('json', '-u', '-b', 'json:{"driver":"null-co"}', '-F', 'raw'), /no file of this/],
    [make('gone', '-u', '-b', 'nothing', '-F', 'raw'), /nothing: it is not there/],
    [make('device', '-u', '-b', '/dev/null', '-F', 'raw'), /it is no file/],
    [make('vmdk', '-u', '-b', 'gone', '-F', 'vmdk'), /of the format vmdk/],
    [make('loop', '-u', '-b', 'loop', '-F', 'qcow2'), /no end/],
    [make('data', '-o', `data_file=${path('d')}`), /data lies in another file/],
    // AES, as making a key for LUKS fails now and then on a busy host.
    [make('aes', '--object', 'secret,id=s,data=x', '-o',
      'encrypt.format=aes,encrypt.key-secret=s'), /encrypted/],
  ]
  for (const [top, why] of cases) {
    const found = await readChain(top, 'qcow2', t.signal)
    assert.match('why' in found ? found.why : 'it is read', why)
  }
  const unknown = await readChain(path('gone'), 'vdi', t.signal)
  assert.match('why' in unknown ? unknown.why : '', /of the format vdi/)
})

test('a bitmap is whole if it was saved, and lies in the image on top alone', { skip },
  async (t) => {
    const { make, path } = await images(t)
    const add = (image: string, name: string): void => {
      assert.equal(spawnSync('qemu-img', ['bitmap', '--add', image, name]).status, 0)
    }
    add(make('base'), 'in-both')
    const top = make('top', '-b', 'base', '-F', 'qcow2')
    for (const name of ['in-both', 'on-top']) add(top, name)
    const bitmaps = async (): Promise<readonly (readonly [string, boolean])[]> => {
      const found = await readChain(path('top'), 'qcow2', t.signal)
      return 'bitmaps' in found ? [...found.bitmaps] : []
    }
    assert.deepEqual(await bitmaps(), [['in-both', false], ['on-top', true]])
    // Killed while it was open for writing.
    spawnSync('timeout', ['-s', 'KILL', '0.5', 'qemu-io', '-f', 'qcow2', top],
      { input: 'write 0 64k\nsleep 9000\n' })
    while ((await bitmaps())[1]?.[1] === true) await clock.sleep(20, t.signal)
  })

test('an image without the format of the one below is not read', { skip }, async (t) => {
  const { make, path } = await images(t)
  make('below')
  const top = make('top', '-b', 'below', '-F', 'qcow2')
  assert.equal(spawnSync('qemu-img', ['amend', '-f', 'qcow2', '-o', 'compat=1.1', top]).status, 0)
  // The header extension "backing file format" (0xe2792aca) becomes one that nobody knows.
  const bytes = await readFile(top)
  const at = bytes.indexOf(Buffer.from('e2792aca', 'hex'))
  assert.ok(at > 0)
  bytes.writeUInt32BE(0x12345678, at)
  await writeFile(top, bytes)
  const found = await readChain(path('top'), 'qcow2', t.signal)
  assert.match('why' in found ? found.why : '', /of what format/)
})

test('a stamp changes with a write to any image of the chain', { skip }, async (t) => {
  const { make } = await images(t)
  const base = make('base')
  const chain = [{ path: make('top', '-b', 'base', '-F', 'qcow2'), format: 'qcow2' } as const,
    { path: base, format: 'qcow2' } as const]
  const before = await stampOf({ chain })
  assert.equal(await stampOf({ chain }), before)
  while (await stampOf({ chain }) === before) { // file times go by ticks
    assert.equal(spawnSync('qemu-io', ['-f', 'qcow2', '-c', 'write 0 64k', base]).status, 0)
  }
})
