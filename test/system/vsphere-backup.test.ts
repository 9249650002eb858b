/** Backups of a machine on vcsim by the program itself: graded, killed, restored. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { makeZip, vcsimMissing, type VsphereBench } from '../../src/providers/testing/mod.ts'
import { codes, leavingManifest, Round, until } from './vsphere-round.ts'

const skip = vcsimMissing() ?? false
const LINUX_MANIFEST = '<quiesceManifest>\n   <productVersion>12352</productVersion>\n' +
  '   <providerName>fifreeze</providerName>\n</quiesceManifest>\n'

/** A point, and restores of it as machines of vcsim; the writing of their disks can be held. */
class Restores implements AsyncDisposable {
  readonly round: Round
  readonly bench: VsphereBench
  readonly #puts: { areHeld: boolean }

  private constructor(round: Round, puts: { areHeld: boolean }) {
    this.round = round
    this.bench = round.bench
    this.#puts = puts
  }

  static async start(): Promise<Restores> {
    const puts = { areHeld: false }
    const round = await Round.start(async ({ path, headers }) => {
      const isPut = path.startsWith('/folder/') && Number(headers['content-length']) > 0
      if (isPut && puts.areHeld) await new Promise(() => {}) // until its connection is closed
      return false
    })
    const file = join(round.bench.folder, 'stillpoint.yaml')
    await writeFile(file,
      (await readFile(file, 'utf8')).replace('    user: u', '    user: u\n    cluster: DC0_C0'))
    assert.equal((await round.backup()).code, 0)
    return new Restores(round, puts)
  }

  as(name: string, ...options: readonly string[]): ReturnType<Round['run']> {
    return this.round.run('restore', 'latest', '--as', `vc/${name}`, '-v', ...options)
  }

  /** A restore over what is there, ended while it writes; its exit code. */
  async killed(name: string, by: NodeJS.Signals): Promise<number | null> {
    this.#puts.areHeld = true
    const child = this.round.spawn('restore', 'latest', '--as', `vc/${name}`, '--replace')
    await until('the machine', async () =>
      (await this.bench.names()).some((it) => it.startsWith(`${name} (unfinished`)))
    child.kill(by)
    const [code] = await once(child, 'close') as [number | null]
    this.#puts.areHeld = false
    return code
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.round[Symbol.asyncDispose]()
  }
}

suite('backups of a machine on vcsim', { skip }, () => {
  test('a running machine without Tools is crash, restores to the byte, and keeps no snapshot',
    async () => {
      await using round = await Round.start()
      const { bench } = round
      const backup = await round.backup()
      assert.deepEqual([backup.code, backup.grade, backup.stored, backup.method],
        [0, 'crash', true, 'vsphere-snapshot'])
      assert.deepEqual(codes(backup).slice(0, 1), ['platform-held-nothing'])
      assert.deepEqual((await bench.read()).snapshots, [])
      assert.ok(Buffer.compare(await round.restored('out'), round.image) === 0)
    })

  test('a machine that is off is graded from its image, whatever "quiesced" says', async () => {
    await using round = await Round.start()
    const { bench } = round
    await bench.task('PowerOffVM_Task', bench.ref, '')
    const clean = await round.backup()
    assert.deepEqual([clean.code, clean.grade], [0, 'application'], clean.stderr)
    assert.ok(codes(clean).includes('clean-image'))
    const dirty = join(bench.folder, 'image')
    execFileSync('debugfs', ['-w', '-R', 'feature needs_recovery', dirty], { stdio: 'ignore' })
    await bench.fillDisk(readFileSync(dirty))
    const weak = await round.backup()
    assert.deepEqual([weak.code, weak.grade, codes(weak)[0]], [3, 'crash', 'image-not-clean'])
  })

  test('a manifest of Linux whose provider froze is filesystem, and is kept', async () => {
    await using round: Round = await Round.start(leavingManifest(
      () => round, 'quiesce_manifest.xml', Buffer.from(LINUX_MANIFEST)))
    await round.stageTools()
    const backup = await round.backup()
    assert.deepEqual([backup.code, backup.grade], [0, 'filesystem'], backup.stderr)
    const { stdout } = await round.run('show', 'latest', '--json')
    assert.ok(stdout.includes('fifreeze'))
    // The next one has no manifest, and only the flag: that is noticed.
    const bare = await round.backup()
    assert.deepEqual([bare.code, bare.grade, codes(bare)[0]],
      [3, 'crash', 'platform-claim-unproven'])
    assert.deepEqual((await round.bench.read()).snapshots, [])
  })

  test('a manifest of Windows with a writer and its components is application', async () => {
    const writer = '{a65faa63-5ea8-4ebc-9dbd-a0c4db26912a}'
    const manifest = makeZip([
      ['backup.xml', Buffer.from('<BACKUP_COMPONENTS backupType="copy"><WRITER_COMPONENTS ' +
        `writerId="${writer}" instanceId="{1}"><COMPONENT componentName="db"/>` +
        '</WRITER_COMPONENTS></BACKUP_COMPONENTS>')],
      ['writer1.xml', Buffer.from('<WRITER_METADATA><IDENTIFICATION instanceId="{1}" ' +
        `writerId="${writer}" friendlyName="SqlServerWriter"/></WRITER_METADATA>`)]])
    await using round: Round = await Round.start(
      leavingManifest(() => round, 'backup.zip', manifest))
    await round.stageTools()
    await round.bench.stage({ 'config.guestId': 'windows2019srv_64Guest' })
    const backup = await round.backup()
    assert.deepEqual([backup.code, backup.grade], [0, 'application'], backup.stderr)
    assert.deepEqual(backup.applications.map(({ name, contract }) => [name, contract]),
      [['SqlServerWriter', 'platform-stated']])
    const { stdout } = await round.run('show', 'latest')
    assert.match(stdout, /SqlServerWriter[\s\S]*the platform states "stable"/)
  })

  test('a disk that snapshots leave out is told of, and is exit code 3', async () => {
    await using round = await Round.start()
    await round.bench.task('ReconfigVM_Task', round.bench.ref,
      '<spec><deviceChange><operation>add</operation><fileOperation>create</fileOperation>' +
      '<device xsi:type="VirtualDisk"><key>-1</key>' +
      '<backing xsi:type="VirtualDiskFlatVer2BackingInfo"><fileName>[LocalDS_0] </fileName>' +
      '<diskMode>independent_persistent</diskMode></backing><controllerKey>202</controllerKey>' +
      '<unitNumber>5</unitNumber><capacityInKB>1024</capacityInKB></device></deviceChange></spec>')
    const backup = await round.backup()
    assert.deepEqual([backup.code, backup.coverage.kind, backup.stored], [3, 'partial', true])
    assert.deepEqual(backup.coverage.leftOut.map(({ reason }) => reason), ['independent'])
  })

  test('a point becomes a new machine, off, with the same bytes; one that exists is left alone',
    async () => {
      await using restores = await Restores.start()
      const { round, bench } = restores
      const taken = await restores.as(bench.machine)
      assert.match(taken.stderr, /there is a machine DC0_H0_VM0 already \(already-exists\)/)
      const made = await restores.as('back again')
      assert.equal(made.code, 0, made.stderr)
      assert.match(made.stdout, /^made back again, which is off and has no network/)
      const { stdout } = await round.run('machines')
      assert.match(stdout, /^back again +vc +off +.*scsi0-0 16 MiB$/m)
      assert.ok(Buffer.compare(await bench.diskOf('back again'), round.image) === 0)
      assert.equal((await restores.as('back again')).code, 1)
      // Nor is one that runs replaced, whatever is said; one that is off is, at the end.
      const running = await restores.as(bench.machine, '--replace')
      assert.match(running.stderr, /DC0_H0_VM0 is not off \(machine-not-ready\)/)
      await writeFile(await bench.fileOfDisk('back again'), 'what was there before')
      const replaced = await restores.as('back again', '--replace')
      assert.equal(replaced.code, 0, replaced.stderr)
      assert.ok(Buffer.compare(await bench.diskOf('back again'), round.image) === 0)
      assert.equal((await bench.names()).filter((name) => name.startsWith('back')).length, 1)
    })

  test('a restore that is killed or interrupted leaves nothing that looks complete', async () => {
    await using restores = await Restores.start()
    const { round, bench } = restores
    assert.equal((await restores.as('old')).code, 0)
    // Killed while it writes: what is there says that it is not finished.
    await restores.killed('old', 'SIGKILL')
    assert.ok((await bench.names()).some((name) => name.startsWith('old (unfinished ')))
    const again = await restores.as('old', '--replace')
    assert.equal(again.code, 0, again.stderr)
    assert.match(again.stderr, /deleted old \(unfinished \w{8}\), .*vsphere.swept/)
    assert.deepEqual((await bench.names()).filter((name) => name.startsWith('old')), ['old'])
    assert.ok(Buffer.compare(await bench.diskOf('old'), round.image) === 0)
    // Interrupted, it is removed, and what was to be replaced is what it was.
    const before = await bench.idOf('old')
    assert.equal(await restores.killed('old', 'SIGINT'), 130)
    assert.deepEqual((await bench.names()).filter((it) => it.startsWith('old')), ['old'])
    assert.equal(await bench.idOf('old'), before)
  })

  test('a backup that is killed while it reads leaves a snapshot, which the next one removes',
    async () => {
      let isHeld = true
      let reads = 0
      await using round = await Round.start(async ({ path }) => {
        if (path.startsWith('/folder/') && isHeld) {
          reads++
          await until('the end of the kill', () => !isHeld)
        }
        return false
      })
      const { bench } = round
      await bench.snapshot('of a user')
      const child = round.spawn('backup', bench.machine, '--quiet')
      await until('a read', () => reads > 0)
      assert.equal((await bench.read()).snapshots.length, 2)
      child.kill('SIGKILL')
      await once(child, 'close')
      isHeld = false
      const orphans = (await bench.read()).snapshots.map(({ name }) => name)
      assert.match(orphans[1] ?? '', /^Stillpoint /)
      const backup = await round.backup()
      assert.deepEqual([backup.code, backup.grade], [0, 'crash'], backup.stderr)
      assert.deepEqual((await bench.read()).snapshots.map(({ name }) => name), ['of a user'])
    })

  test('a backup that is interrupted while it reads removes its snapshot itself', async () => {
    let reads = 0
    await using round = await Round.start(async ({ path }) => {
      if (path.startsWith('/folder/')) {
        reads++
        await new Promise(() => {}) // until its connection is closed
      }
      return false
    })
    const child = round.spawn('backup', round.bench.machine, '--quiet')
    await until('a read', () => reads > 0)
    child.kill('SIGINT')
    const [code] = await once(child, 'close') as [number | null]
    assert.equal(code, 130)
    assert.deepEqual((await round.bench.read()).snapshots, [])
  })
})
