/** A backup that reads through nbdkit and is killed: what it started ends, what it made goes. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { leftBehind, VddkRound, vddkSkip as skip } from '../system/vddk-round.ts'
import { until } from '../system/vsphere-round.ts'

/** A backup that was killed while its nbdkit had not begun, or was in a read that does not end. */
class KilledBackup implements AsyncDisposable {
  readonly vddk: VddkRound
  readonly nbdkit: string
  readonly folder: string

  private constructor(vddk: VddkRound, nbdkit: string, folder: string) {
    this.vddk = vddk
    this.nbdkit = nbdkit
    this.folder = folder
  }

  static async make(at: 'start' | 'read'): Promise<KilledBackup> {
    await using stack = new AsyncDisposableStack()
    const vddk = stack.use(await VddkRound.start())
    await vddk.unpackLibrary()
    await vddk.stub()
    const { bench } = vddk.round
    const hold = join(bench.folder, at === 'read' ? 'hold' : 'hold-start')
    await writeFile(hold, '')
    const before = await leftBehind()
    const program = vddk.round.spawn('backup', bench.machine)
    await until(`a ${at}`, () => existsSync(join(bench.folder, 'held')))
    const [name = '', ...others] = (await leftBehind()).filter((it) => !before.includes(it))
    assert.deepEqual(others, [])
    const folder = join(tmpdir(), name)
    const files = await readdir(folder) // no password among them
    assert.deepEqual(files.toSorted(), at === 'read' ? ['nbd.sock', 'pid'] : [])
    const nbdkit = at === 'read' ? await readFile(join(folder, 'pid'), 'utf8')
      : await vddk.read('held')
    program.kill('SIGKILL')
    await until('the end of the program', () => program.signalCode === 'SIGKILL')
    await rm(hold, { force: true })
    assert.equal((await bench.read()).snapshots.length, 1)
    stack.move()
    return new KilledBackup(vddk, nbdkit.trim(), folder)
  }

  get isServed(): boolean {
    return isAlive(this.nbdkit)
  }

  /** Ends the reads that do not come back. */
  async endReads(): Promise<void> {
    const held = (await this.vddk.read('held')).match(/\d+/g) ?? []
    for (const pid of held.filter(isAlive)) process.kill(Number(pid), 'SIGKILL')
  }

  /** The next run makes a point of all, and leaves nothing. Resolves with what it said. */
  async next(): Promise<string> {
    const { round } = this.vddk
    const backup = await round.backup()
    assert.deepEqual([backup.code, backup.stored], [0, true], backup.stderr)
    assert.ok(Buffer.compare(await round.restored('out'), round.image) === 0)
    assert.deepEqual((await round.bench.read()).snapshots, [])
    assert.ok(!existsSync(this.folder))
    return backup.stderr
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endReads()
    await this.vddk[Symbol.asyncDispose]()
  }
}

suite('[stub in place of VDDK] a backup that is killed before nbdkit serves', { skip }, () => {
  test('one that never begins is ended by the next run', async () => {
    await using killed = await KilledBackup.make('start')
    assert.ok(killed.isServed)
    await killed.next()
    await until('the end of nbdkit', () => !killed.isServed)
  })

  test('one that begins behind the death of its parent, and serves nobody, is ended too',
    async () => {
      await using killed = await KilledBackup.make('start')
      await rm(join(killed.vddk.round.bench.folder, 'held-start'))
      await until('nbdkit', () => existsSync(join(killed.folder, 'pid')))
      assert.ok(killed.isServed)
      await killed.next()
      await until('the end of nbdkit', () => !killed.isServed)
    })
})

suite('[stub in place of VDDK] a backup that is killed while nbdkit reads', { skip }, () => {
  test('nbdkit ends with the read, and the next run takes away the snapshot and the folder',
    async () => {
      await using killed = await KilledBackup.make('read')
      await killed.endReads()
      await until('the end of nbdkit', () => !killed.isServed)
      await killed.next()
    })

  test('an nbdkit whose read does not come back is ended by the next run', async () => {
    await using killed = await KilledBackup.make('read')
    assert.ok(killed.isServed)
    await killed.next()
    await until('the end of nbdkit', () => !killed.isServed)
  })

  test('recover does so too, and says what it took away', async () => {
    await using killed = await KilledBackup.make('read')
    const { round } = killed.vddk
    const { code, stdout, stderr } = await round.run('recover', round.bench.machine)
    assert.equal(code, 0, stderr)
    assert.match(stdout + stderr, /stillpoint-vddk-\S+ and ended its nbdkit, which a run/)
    assert.ok(!existsSync(killed.folder))
    assert.deepEqual((await round.bench.read()).snapshots, [])
    await until('the end of nbdkit', () => !killed.isServed)
  })
})

function isAlive(pid: string): boolean {
  try {
    process.kill(Number(pid), 0)
    return true
  } catch {
    return false
  }
}
