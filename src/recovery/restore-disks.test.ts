import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { runProgram } from '../base/program.ts'
import { parseStoredMachine } from '../catalog/mod.ts'
import { openVirtualDisk } from '../disk/mod.ts'
import { missingProgram } from '../disk/testing/mod.ts'
import { checkFreeSpace } from './free-space.ts'
import { restoreDisks, type RestoreProgress } from './restore-disks.ts'
import { samplePoint } from './testing/sample-point.ts'

const signal = new AbortController().signal
const noQemu = missingProgram('qemu-img', 'qemu-nbd')

async function folderFor(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-restore-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

for (const format of ['raw', 'qcow2', 'vmdk', 'vhdx'] as const) {
  const skip = format === 'raw' ? false : noQemu
  test(`disks are restored as ${format}, sparse, and all else`, { skip }, async (context) => {
    const folder = join(await folderFor(context), 'new', 'folder')
    const { repository, point, contents } = await samplePoint(signal)
    const progress: RestoreProgress[] = []
    const restored = await restoreDisks(
      { repository, point, folder, format }, (step) => progress.push(step), systemClock, signal)

    assert.deepEqual((await readdir(folder)).toSorted(),
      ['machine.json', 'platform', `vda.${format}`, `vdb.${format}`])
    for (const { id, path, sizeBytes } of restored.disks) {
      const raw = format === 'raw' ? path : `${path}.check`
      if (format !== 'raw') {
        await runProgram(
          'qemu-img', ['check', '-q', '-f', format, path], { signal, okCodes: [0, 63] })
        await runProgram('qemu-img', ['convert', '-f', format, '-O', 'raw', path, raw], { signal })
      }
      const content = contents.get(id) ?? assert.fail()
      assert.equal(sizeBytes, content.length)
      const bytes = await readFile(raw)
      assert.equal(bytes.length, content.length)
      assert.ok(bytes.equals(content), `${id} differs`)
      if (format === 'vhdx') {
        await using disk = await openVirtualDisk(path, format, [], signal)
        assert.ok(Buffer.from(await disk.read(0, disk.sizeBytes, signal)).equals(content))
      }
      assert.equal((await stat(path)).mode & 0o077, 0)
    }
    const sparse = await stat(join(folder, `vdb.${format}`))
    assert.ok(sparse.blocks * 512 < 9 * 2 ** 20, `${sparse.blocks * 512} bytes are allocated`)

    const machine = parseStoredMachine(await readFile(restored.machinePath), 'machine.json')
    assert.deepEqual(machine, point.machine)
    assert.deepEqual(restored.documentPaths, [join(folder, 'platform', 'domain.xml')])
    assert.equal(await readFile(join(folder, 'platform', 'domain.xml'), 'utf8'), '<domain/>')
    const last = progress.at(-1) ?? assert.fail()
    assert.equal(last.doneBytes, last.totalBytes)
    assert.equal(last.totalBytes, restored.writtenBytes)
    assert.ok(last.totalBytes < 6 * 2 ** 20)
  })
}

test('one disk can be chosen, and one that is not there is not found', async (context) => {
  const folder = await folderFor(context)
  const { repository, point } = await samplePoint(signal)
  const request = { repository, point, folder, format: 'raw' } as const
  await assert.rejects(
    restoreDisks({ ...request, disks: ['vda', 'sdz'] }, () => {}, systemClock, signal),
    { code: 'not-found', advice: /vda, vdb/ })
  const { disks } = await restoreDisks(
    { ...request, disks: ['vdb'] }, () => {}, systemClock, signal)
  assert.deepEqual(disks.map(({ id }) => id), ['vdb'])
  assert.deepEqual((await readdir(folder)).toSorted(), ['machine.json', 'platform', 'vdb.raw'])
})

for (const taken of ['vdb.raw', 'machine.json', 'platform/domain.xml']) {
  test(`nothing is written where ${taken} exists already`, async (context) => {
    const folder = await folderFor(context)
    await mkdir(join(folder, 'platform'))
    await writeFile(join(folder, taken), 'mine')
    const before = await readdir(folder, { recursive: true })
    const { repository, point } = await samplePoint(signal)
    await assert.rejects(
      restoreDisks({ repository, point, folder, format: 'raw' }, () => {}, systemClock, signal),
      { code: 'already-exists' })
    assert.deepEqual(await readdir(folder, { recursive: true }), before)
    assert.equal(await readFile(join(folder, taken), 'utf8'), 'mine')
  })
}

for (const format of ['raw', 'qcow2'] as const) {
  const skip = format === 'raw' ? false : noQemu
  test(`an abort while ${format} is written leaves nothing`, { skip }, async (context) => {
    const parent = await folderFor(context)
    const folder = join(parent, 'made')
    const { repository, point } = await samplePoint(signal)
    const abort = new AbortController()
    const restoring = restoreDisks(
      { repository, point, folder, format },
      ({ diskId }) => diskId === 'vdb' && abort.abort(), systemClock, abort.signal)
    await assert.rejects(restoring, { code: 'interrupted' })
    assert.deepEqual(await readdir(parent), [])
  })

  test(`a damaged blob ends ${format} with nothing left`, { skip }, async (context) => {
    const folder = await folderFor(context)
    const sample = await samplePoint(signal)
    await sample.damage()
    const { repository, point } = sample
    await assert.rejects(
      restoreDisks({ repository, point, folder, format }, () => {}, systemClock, signal),
      { code: 'repository-damaged' })
    assert.deepEqual(await readdir(folder), [])
  })

  test(`a kill while ${format} is written leaves nothing false`, { skip }, async (context) => {
    const folder = await folderFor(context)
    const program = join(import.meta.dirname, 'testing', 'restore-until-killed.ts')
    const child = spawn(process.execPath, [program, folder, format], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, TMPDIR: await folderFor(context) }, // a kill leaves what is in there
    })
    await once(child.stdout, 'data') // it says so when it is in the midst of the second disk
    child.kill('SIGKILL')
    await once(child, 'close')
    const left = (await readdir(folder)).toSorted()
    assert.deepEqual(left, [`vda.${format}`, `vdb.${format}.partial`])
    assert.equal((await stat(join(folder, `vda.${format}`))).isFile(), true)
  })
}

test('too little space is found before anything is written, in numbers', async (context) => {
  const folder = await folderFor(context)
  await checkFreeSpace(folder, 4096)
  await assert.rejects(checkFreeSpace(folder, 2 ** 60), {
    code: 'no-space', message: /needs room for 1024 PiB, .* are available/ })
})

const noTmpfs = process.getuid?.() === 0 ? missingProgram('mount', 'umount')
  : 'only root can mount a small file system'

/** A file system of its own of 12 MiB. */
async function smallFileSystem(context: TestContext): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-small-'))
  const isMounted = await runProgram(
    'mount', ['-t', 'tmpfs', '-o', 'size=12M', 'tmpfs', folder], { signal })
    .then(() => true, () => false)
  context.after(async () => {
    if (isMounted) await runProgram('umount', ['-l', folder], { signal })
    await rm(folder, { recursive: true, force: true })
  })
  if (isMounted) return folder
  context.skip('a tmpfs cannot be mounted here')
  return undefined
}

for (const format of ['raw', 'qcow2'] as const) {
  const skip = noTmpfs || (format === 'raw' ? false : noQemu)
  test(`${format} on a file system that is too small is no-space`, { skip }, async (context) => {
    const folder = await smallFileSystem(context)
    if (folder === undefined) return
    const { repository, point } = await samplePoint(signal, { vdaBytes: 24 * 2 ** 20 })
    const request = { repository, point, folder, format }
    await assert.rejects(restoreDisks(request, () => {}, systemClock, signal), { code: 'no-space' })
    assert.deepEqual(await readdir(folder), [])
    await assert.rejects(
      restoreDisks({ ...request, checkSpace: async () => {} }, () => {}, systemClock, signal),
      { code: 'no-space', message: /full|NBD_ENOSPC/ })
    assert.deepEqual(await readdir(folder), [])
  })
}
