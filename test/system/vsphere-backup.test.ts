/** Backups of a machine on vcsim by the program itself: graded, killed, restored. */

import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/base/clock.ts'
import { quietEnvironment } from '../../src/base/program.ts'
import {
  makeZip, soapAnswer, vcsimMissing, VsphereBench, type FrontHandler,
} from '../../src/providers/testing/mod.ts'

const PROGRAM = fileURLToPath(new URL('../../bin/stillpoint', import.meta.url))
const skip = vcsimMissing() ?? false
const MIB = 2 ** 20
const DISK_BYTES = 16 * MIB
const LINUX_MANIFEST = '<quiesceManifest>\n   <productVersion>12352</productVersion>\n' +
  '   <providerName>fifreeze</providerName>\n</quiesceManifest>\n'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The program, its repository, and a machine on vcsim whose disk holds an ext4 file system. */
class Round implements AsyncDisposable {
  readonly bench: VsphereBench
  readonly image: Buffer

  private constructor(bench: VsphereBench, image: Buffer) {
    this.bench = bench
    this.image = image
  }

  static async start(handler: FrontHandler = () => false): Promise<Round> {
    const bench = await VsphereBench.start(handler)
    const { folder, options, machine } = bench
    await mkdir(join(folder, 'files'))
    writeFileSync(join(folder, 'files', 'hello.txt'), 'hello from the machine\n')
    const image = join(folder, 'image')
    execFileSync('truncate', ['-s', String(DISK_BYTES), image])
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', join(folder, 'files'), image])
    await bench.changeDisk(DISK_BYTES)
    await bench.fillDisk(readFileSync(image))
    await writeFile(join(folder, 'stillpoint.yaml'), [
      'repository: { path: repo, passwordFile: password }', 'evidence: { key: key }',
      'platforms:', '  vc:', '    type: vsphere', `    url: ${options.url}`, '    user: u',
      '    passwordFile: password', '    stateDir: state',
      `    fingerprint: ${options.fingerprint ?? ''}`,
      'machines:', `  ${machine}: { platform: vc }`, ''].join('\n'))
    const round = new Round(bench, readFileSync(image))
    assert.equal((await round.run('init')).code, 0)
    return round
  }

  spawn(...args: readonly string[]): ChildProcess {
    return spawn(PROGRAM, args, {
      cwd: this.bench.folder, stdio: ['ignore', 'pipe', 'pipe'], env: quietEnvironment() })
  }

  async run(...args: readonly string[]): Promise<Ended> {
    const child = this.spawn(...args)
    let [stdout, stderr] = ['', '']
    child.stdout?.on('data', (data: Buffer) => { stdout += data.toString() })
    child.stderr?.on('data', (data: Buffer) => { stderr += data.toString() })
    const [code] = await once(child, 'close') as [number | null]
    return { code, stdout, stderr }
  }

  /** The summary of a backup. */
  async backup(...args: readonly string[]): Promise<Backup> {
    const { code, stdout, stderr } = await this.run(
      'backup', this.bench.machine, '--json', '--quiet', ...args)
    const last: unknown = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
    return { stderr, ...last as Omit<Backup, 'code' | 'stderr'>, code }
  }

  /** The disk of the newest point, restored into a folder of that name. */
  async restored(name: string): Promise<Buffer> {
    const { code, stderr } = await this.run('restore', 'latest', '--to', name)
    assert.equal(code, 0, stderr)
    const file = execFileSync('find', [name, '-type', 'f', '-name', 'scsi0-0*'],
      { cwd: this.bench.folder, encoding: 'utf8' }).trim()
    return readFile(join(this.bench.folder, file))
  }

  /** Tools run, and whatever snapshot is made next leaves this manifest. */
  async stageTools(): Promise<void> {
    await this.bench.stage({
      'guest.toolsRunningStatus': 'guestToolsRunning', 'guest.toolsStatus': 'toolsOk' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bench[Symbol.asyncDispose]()
  }
}

interface Backup {
  readonly code: number | null
  readonly stderr: string
  readonly grade: string
  readonly stored: boolean
  readonly method: string
  readonly reasons: readonly { readonly code: string }[]
  readonly bytesRead: number
  readonly mode: string
  readonly reason: string
  readonly applications: readonly { readonly name: string; readonly contract: string }[]
  readonly coverage: { readonly kind: string; readonly leftOut: readonly { reason: string }[] }
}

const codes = ({ reasons }: Backup): readonly string[] => reasons.map(({ code }) => code)

/** Stages a manifest once the snapshot of the program is there, before it looks at it. */
function leavingManifest(of: () => Round, name: string, bytes: Uint8Array): FrontHandler {
  let isStaged = false
  return async ({ method, body }) => {
    const isLook = method === 'RetrievePropertiesEx' && body.includes('config.hardware')
    if (!isLook || isStaged || !body.includes('VirtualMachineSnapshot')) return false
    isStaged = true
    await of().bench.put(name, bytes)
    await of().bench.stageManifest(name)
    return false
  }
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const { signal } = new AbortController()
  for (let n = 0; n < 1200; n++) {
    if (await isSo()) return
    await systemClock.sleep(50, signal)
  }
  assert.fail(`${what} did not come`)
}

async function names({ bench }: Round): Promise<readonly string[]> {
  await using platform = await bench.open()
  return (await platform.machines(new AbortController().signal)).map(({ name }) => name)
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
      let isHeld = false
      await using round = await Round.start(async ({ path, headers }) => {
        const isPut = path.startsWith('/folder/') && Number(headers['content-length']) > 0
        if (isPut && isHeld) await new Promise(() => {}) // until its connection is closed
        return false
      })
      const { bench } = round
      assert.equal((await round.backup()).code, 0)
      const where = ['--config', 'stillpoint.yaml']
      await writeFile(join(bench.folder, 'stillpoint.yaml'),
        (await readFile(join(bench.folder, 'stillpoint.yaml'), 'utf8'))
          .replace('    user: u', '    user: u\n    cluster: DC0_C0'))
      const taken = await round.run('restore', 'latest', '--as', `vc/${bench.machine}`, ...where)
      assert.match(taken.stderr, /there is a machine DC0_H0_VM0 already \(already-exists\)/)
      const made = await round.run('restore', 'latest', '--as', 'vc/back again', ...where)
      assert.equal(made.code, 0, made.stderr)
      assert.match(made.stdout, /^made back again, which is off and has no network/)
      const { stdout } = await round.run('machines', ...where)
      assert.match(stdout, /^back again +vc +off +.*scsi0-0 16 MiB$/m)
      assert.ok(Buffer.compare(await bench.diskOf('back again'), round.image) === 0)
      // Killed while it writes: what is there says that it is not finished.
      isHeld = true
      const child = round.spawn('restore', 'latest', '--as', 'vc/third', ...where)
      await until('the machine', async () => (await names(round)).includes('third (unfinished)'))
      child.kill('SIGKILL')
      await once(child, 'close')
      assert.ok(!(await names(round)).includes('third'))
      // Interrupted, it is removed.
      const other = round.spawn('restore', 'latest', '--as', 'vc/fourth', ...where)
      await until('the machine', async () => (await names(round)).includes('fourth (unfinished)'))
      other.kill('SIGINT')
      const [code] = await once(other, 'close') as [number | null]
      assert.equal(code, 130)
      assert.ok((await names(round)).every((name) => !name.startsWith('fourth')))
    })

  test('[front of ours] increments read what changed alone, and a lie about it is caught',
    async () => {
      let told: readonly (readonly [number, number])[] = []
      await using round = await Round.start(({ method }, response) => {
        if (method !== 'QueryChangedDiskAreas') return false
        const areas = told.map(([start, length]) => '<changedArea>' +
          `<start>${start}</start><length>${length}</length></changedArea>`)
        response.end(soapAnswer(method, '<returnval><startOffset>0</startOffset>' +
          `<length>${DISK_BYTES}</length>${areas.join('')}</returnval>`))
        return true
      })
      const { bench } = round
      await bench.task('ReconfigVM_Task', bench.ref,
        '<spec><changeTrackingEnabled>true</changeTrackingEnabled></spec>')
      const moveOn = (count: number): Promise<void> => bench.changeDisk(DISK_BYTES,
        `<diskMode>persistent</diskMode><uuid>u</uuid><changeId>52 d3/${count}</changeId>`)
      await moveOn(1)
      const first = await round.backup()
      assert.deepEqual([first.mode, first.bytesRead], ['full', DISK_BYTES])
      const changed = Buffer.from(round.image)
      changed.fill('new', 3 * MIB, 3 * MIB + 100)
      changed.fill('new', DISK_BYTES - 4096)
      told = [[3 * MIB, 65_536], [DISK_BYTES - 65_536, 65_536]]
      await bench.fillDisk(changed)
      await moveOn(2)
      const second = await round.backup()
      assert.deepEqual([second.mode, second.bytesRead], ['incremental', MIB], second.stderr)
      assert.ok(Buffer.compare(await round.restored('second'), changed) === 0)
      told = []
      const lied = Buffer.alloc(DISK_BYTES, 'what nobody was told of')
      await bench.fillDisk(lied)
      await moveOn(3)
      const third = await round.backup()
      assert.deepEqual([third.mode, third.bytesRead], ['full', DISK_BYTES])
      assert.match(third.reason, /a sample showed changes/)
      assert.match(third.stderr, /backup\.audit-failed/)
      assert.ok(Buffer.compare(await round.restored('third'), lied) === 0)
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
