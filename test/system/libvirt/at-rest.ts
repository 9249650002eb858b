/** Machines of libvirt that do not run: their images are read as they lie. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { systemClock as clock } from '../../../src/base/clock.ts'
import { runProgram } from '../../../src/base/program.ts'
import { systemRandom as random, uuid } from '../../../src/base/random.ts'
import { makeDisk } from '../../../src/demo/mod.ts'
import { verdictOn } from '../prove-applications.ts'
import { changeCommitted, newRepository, pointsOf } from '../rig.ts'
import { backupDomain, digestOf, digestsOf, restorePoint } from './backups.ts'
import { makeScene, run } from './killed.ts'
import { checkpoints, type Libvirt } from './rig.ts'

const LIMITS = { timeout: 120_000 }
const DISK_BYTES = 48 * 1024 * 1024

/** `start` says which libvirt; no guest is booted. */
export function libvirtAtRest(start: () => Promise<Libvirt>): void {
  suite('a machine that is off', () => {
    test('is captured whole, through its chains, and its disks show that it was shut down', LIMITS,
      async (t) => {
        const machine = await withRepository(t, await start(), 'resting')
        const summary = await backupDomain(t, machine)
        const { result, method, pointId } = summary
        assert.deepEqual([result.grade, method], ['application', 'at-rest'])
        assert.deepEqual(result.reasons.map(({ code }) => code), ['clean-image'])
        assert.equal(result.coverage.kind, 'whole')
        const restored = await restorePoint(t, machine, pointId, 'raw')
        assert.deepEqual(await digestsOf(restored), await diskDigests(t, machine))
        assert.deepEqual(await leftIn(machine), [])
        const [point] = await pointsOf(machine.repositoryPath, t)
        assert.ok(point?.state === 'readable')
        const { verdict, grade } = await verdictOn(t, machine.repositoryPath, point)
        assert.deepEqual([verdict, grade], ['proven', 'application'])
      })

    test('is read as far as it changed since it ran, and then again', LIMITS, async (t) => {
      const machine = await withRepository(t, await start(), 'tracked')
      const { libvirt, guest } = machine
      await libvirt.virsh('start', guest.name)
      const running = await backupDomain(t, machine)
      assert.equal(running.method, 'libvirt-backup')
      await libvirt.virsh('qemu-monitor-command', guest.name, '--hmp',
        'qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend "write -P 9 41M 64k"')
      await libvirt.virsh('destroy', guest.name, '--graceful')
      for (const _ of ['once', 'again']) {
        const { method, bytesRead, pointId, evidence } = await backupDomain(t, machine)
        assert.equal(method, 'at-rest')
        assert.ok(evidence.reading.state === 'finished')
        assert.deepEqual(evidence.reading.disks.map(({ base }) => base),
          [{ since: running.pointId }, { full: 'not-tracked' }])
        assert.ok(bytesRead < DISK_BYTES + 1024 * 1024, `${bytesRead}`)
        const restored = await restorePoint(t, machine, pointId, 'raw')
        assert.deepEqual(await digestsOf(restored), await diskDigests(t, machine))
      }
      assert.deepEqual(await checkpoints(libvirt, guest), // what the next run of it begins at
        (await checkpoints(libvirt, guest)).filter((it) => it.endsWith(running.pointId)))
    })

    test('is a crash if its file system was in use', LIMITS, async (t) => {
      const machine = await withRepository(t, await start(), 'cut')
      // As a kernel marks it when it mounts it.
      await runProgram('debugfs', ['-w', '-R', 'feature needs_recovery', machine.raw],
        { signal: t.signal })
      const { result } = await backupDomain(t, machine)
      assert.deepEqual([result.grade, result.reasons[0]?.code], ['crash', 'image-not-clean'])
    })

    test('is a crash if its memory is saved: it goes on from there', LIMITS, async (t) => {
      const machine = await withRepository(t, await start(), 'kept')
      const { libvirt, guest } = machine
      await libvirt.virsh('start', guest.name)
      await libvirt.virsh('managedsave', guest.name)
      await using platform = await libvirt.open()
      assert.deepEqual((await platform.machines(t.signal)).map(({ name, power }) => [name, power])
        .filter(([name]) => name === guest.name), [[guest.name, 'saved']])
      const { result } = await backupDomain(t, machine)
      assert.deepEqual([result.grade, result.reasons[0]?.code], ['crash', 'saved'])
      await libvirt.virsh('managedsave-remove', guest.name)
    })

    test('is torn if anything wrote to it meanwhile, and if it was started, which it can be',
      LIMITS, async (t) => {
        const machine = await defineResting(t, await start(), 'woken')
        const { libvirt, guest } = machine
        const repositoryPath = await newRepository(t)
        const backupWhile = (happens: () => Promise<unknown>): ReturnType<typeof backupDomain> =>
          backupDomain(t, { ...machine, repositoryPath, wrap: (platform) =>
            changeCommitted(platform, async (committed) => ({ ...committed,
              stillIntact: async (signal) => {
                await happens()
                return committed.stillIntact(signal)
              } })) })
        const touched = await backupWhile(() => utimes(machine.base, 1, new Date()))
        assert.deepEqual([touched.result.grade, touched.stored], ['torn', { not: 'torn' }])
        assert.match(JSON.stringify(touched.result.reasons), /disk vda was written to/)
        const woken = await backupWhile(() => libvirt.virsh('start', guest.name))
        assert.deepEqual([woken.result.grade, woken.stored], ['torn', { not: 'torn' }])
        assert.equal((await libvirt.virsh('domstate', guest.name)).trim(), 'running')
      })

    test('is busy while another program has an image open for writing', LIMITS, async (t) => {
      const machine = await defineResting(t, await start(), 'shared')
      await using platform = await machine.libvirt.open()
      for (const image of [machine.raw, machine.base]) {
        using _ = await held(image, t.signal)
        await assert.rejects(platform.provider(machine.guest.name)
          .prepare({ pointId: uuid(random), exclude: [] }, t.signal), { code: 'machine-busy' })
      }
    })

    test('has disks that only a machine that runs has, each named with its reason', LIMITS,
      async (t) => {
        const machine = await defineResting(t, await start(), 'partly')
        await runProgram('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b',
          'nbd://127.0.0.1:1/x', machine.top], { signal: t.signal })
        await using platform = await machine.libvirt.open()
        const { disks, leftOut, remarks } = await platform.provider(machine.guest.name)
          .survey([], t.signal)
        assert.deepEqual(disks.map(({ id }) => id), ['vdb'])
        assert.deepEqual(leftOut.map(({ id, reason }) => [id, reason]), [['vda', 'unsupported']])
        assert.match(leftOut[0]?.detail ?? '', /no file of this host/)
        assert.match(JSON.stringify(remarks), /read as they lie/)
      })

    test('can be started once the program was killed, and the next run leaves nothing', LIMITS,
      async (t) => {
        const machine = await defineResting(t, await start(), 'killed')
        const { libvirt, guest } = machine
        const scene = await makeScene(t, machine, 'at-rest')
        const killed = await run(t, scene, { name: 'in capture', printed: '"phase":"reading"' })
        assert.equal(killed.code, null, killed.output)
        while ((await serversOf(machine)).length > 0) await clock.sleep(50, t.signal)
        await libvirt.virsh('start', guest.name)
        await libvirt.virsh('destroy', guest.name)
        const next = await run(t, scene)
        assert.equal(next.code, 0, next.output)
        assert.match(next.output, /"grade":"application"/)
        assert.deepEqual(await leftIn(machine), [])
      })
  })
}

/** Defined and never booted: `vda` is a chain of two, `vdb` raw; a file system on each. */
interface Machine {
  readonly libvirt: Libvirt
  readonly guest: { readonly name: string }
  readonly base: string
  readonly top: string
  readonly raw: string
}

export async function defineResting(
  t: TestContext, libvirt: Libvirt, name: string): Promise<Machine> {
  const { folder } = libvirt
  const sizeBytes = DISK_BYTES
  const { path: base } = await makeDisk({ id: `${name}a`, sizeBytes }, folder, t.signal)
  const { path: raw } = await makeDisk(
    { id: `${name}b`, sizeBytes, format: 'raw' }, folder, t.signal)
  const top = join(folder, `${name}.qcow2`)
  await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', base, top],
    { signal: t.signal })
  // Far from what the file system uses; in the overlay alone.
  await runProgram('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 40M 64k', top],
    { signal: t.signal })
  const xml = join(folder, `${name}.xml`)
  await writeFile(xml, `<domain type='qemu'><name>${name}</name><memory unit='MiB'>64</memory>
    <os><type arch='x86_64' machine='q35'>hvm</type></os><devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${top}'/>
    <target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${raw}'/>
    <target dev='vdb' bus='virtio'/></disk><memballoon model='none'/></devices></domain>`)
  await libvirt.virsh('define', xml)
  t.after(async () => {
    await libvirt.virsh('destroy', name).catch(() => {})
    await libvirt.virsh('undefine', name, '--checkpoints-metadata').catch(() => {})
  })
  return { libvirt, guest: { name }, base, top, raw }
}

async function withRepository(
  t: TestContext, libvirt: Libvirt, name: string,
): Promise<Machine & { readonly repositoryPath: string }> {
  return { ...await defineResting(t, libvirt, name), repositoryPath: await newRepository(t) }
}

/** As `qemu-img` reads the disks. */
async function diskDigests(
  t: TestContext, { libvirt, top, raw }: Machine): Promise<readonly string[]> {
  const copy = join(libvirt.folder, 'copy.raw')
  await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', top, copy],
    { signal: t.signal })
  return [await digestOf(copy), await digestOf(raw)]
}

/** What is left in the folder for sockets. */
async function leftIn({ libvirt }: Machine): Promise<readonly string[]> {
  return (await readdir(libvirt.runDir)).filter((name) => name.startsWith('stillpoint'))
}

/** Another program that writes to an image. */
async function held(image: string, signal: AbortSignal): Promise<Disposable> {
  const format = image.endsWith('.raw') ? 'raw' : 'qcow2'
  const child = spawn('qemu-io', ['-f', format, image], { stdio: ['pipe', 'pipe', 'ignore'] })
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve())
    child.once('exit', () => reject(new Error('qemu-io ended')))
    signal.addEventListener('abort', () => child.kill('SIGKILL'), { once: true })
  })
  return { [Symbol.dispose]: () => { child.kill('SIGKILL') } }
}

/** Processes of qemu-nbd that serve one of the machine's images. */
async function serversOf({ top, raw }: Machine): Promise<readonly string[]> {
  const found: string[] = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (words.startsWith('qemu-nbd') && (words.includes(top) || words.includes(raw))) {
      found.push(pid)
    }
  }
  return found
}
