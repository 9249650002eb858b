/** Debian with data on a network file system: the kernel's own NFS 4.2, from its own server. */

import assert from 'node:assert/strict'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { runProgram } from '../../src/base/program.ts'
import {
  buildFullGuest, defaultCacheDir, hasFullGuest, type RunningGuest,
} from '../../src/demo/mod.ts'
import { dependencyOf, unpackPackages } from '../../src/demo/debian-packages.ts'
import { findModules, loadOrder } from '../../src/demo/kernel.ts'
import { ADMINISTRATOR, backupAll, inGuest, moreOfEach } from '../system/full-guest.ts'
import { newRepository, readyGuest, testFolder } from '../system/rig.ts'

const { postgres } = ADMINISTRATOR
const LIMITS = { timeout: 150_000 }
/** Judged before anything is read, and not stored. */
const settings = { require: 'application', onWeaker: 'fail' } as const
const skip = process.getuid?.() === 0 || hasFullGuest(defaultCacheDir())
  ? false : 'the full guest can only be built by root'

/** A disk with the modules of the guest's kernel for both ends of NFS, and their order. */
async function moduleDisk(t: TestContext): Promise<string> {
  const folder = await testFolder(t)
  const kernel = await dependencyOf(
    'linux-image-cloud-amd64', /^linux-image-\d.*-cloud-amd64$/, t.signal)
  const modules = await findModules(join(await unpackPackages([kernel], folder, t.signal), 'lib'))
  const content = join(folder, 'content')
  await mkdir(content)
  const order = loadOrder(['nfsd', 'nfsv4'], modules)
  for (const name of order) await copyFile(modules.get(name) ?? '', join(content, `${name}.ko`))
  await writeFile(join(content, 'order'), `${order.join('\n')}\n`)
  const path = join(folder, 'modules.raw')
  await runProgram('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', content, path, '64m'],
    { signal: t.signal })
  return path
}

/**
 * The server's caches are filled by hand, as mountd would: who 127.0.0.1 is, what is exported
 * (root is root, number 0, which is the root of NFS 4), and by which number it is asked for.
 */
const SERVE = `
for disk in /sys/block/vd*; do
  [ "$(cat $disk/serial)" != extra ] || mount -t ext4 -o ro /dev/\${disk##*/} /mnt
done
for module in $(cat /mnt/order); do
  grep -q "^$module " /proc/modules || busybox insmod /mnt/$module.ko
done
umount /mnt
mkdir -p /srv/export /far
mount -t tmpfs export /srv/export
chmod 755 /srv/export
mount -t nfsd nfsd /proc/fs/nfsd
cd /proc/net/rpc
echo 'nfsd 127.0.0.1 2147483647 here' >auth.unix.ip/channel
echo 'here /srv/export 2147483647 9234 65534 65534 0' >nfsd.export/channel
echo 'here 1 \\x00000000 2147483647 /srv/export' >nfsd.fh/channel
cd /proc/fs/nfsd
echo '-2 -3 +4 +4.1 +4.2' >versions
echo 10 >nfsv4leasetime
echo 10 >nfsv4gracetime
echo 'tcp 2049' >portlist
echo 2 >threads
/bin/mount -i -t nfs4 -o addr=127.0.0.1,clientaddr=127.0.0.1,vers=4.2,sec=sys 127.0.0.1:/ /far
mkdir /far/space
chown postgres: /far/space
grep ' /far ' /proc/self/mountinfo`

async function backedUp(
  t: TestContext, guest: RunningGuest, repositoryPath: string): ReturnType<typeof backupAll> {
  const summary = await backupAll(t, { guest, repositoryPath, settings, exclude: ['virtio-extra'] })
  for (const { sentence } of summary.result.reasons) t.diagnostic(sentence)
  await moreOfEach(guest, 1, t) // nothing stays held
  return summary
}

test('data elsewhere', { timeout: 900_000, skip }, async (t) => {
  const disks = await buildFullGuest(defaultCacheDir(), t.signal)
  const guest = await readyGuest(t, {
    kind: 'full', disks: [...disks, { id: 'extra', format: 'raw', path: await moduleDisk(t) }] })
  const repositoryPath = await newRepository(t)

  const onNfs = 'a tablespace on NFS is on no disk of the machine: not covered'
  await t.test(onNfs, LIMITS, async (t) => {
    t.diagnostic(await inGuest(guest, SERVE, t))
    await inGuest(guest, [
      postgres("CREATE TABLESPACE far LOCATION '/far/space'"),
      postgres('CREATE TABLE far_away (n int) TABLESPACE far'),
      postgres('INSERT INTO far_away SELECT generate_series(1, 1000)'),
      postgres('CHECKPOINT'), 'ls /srv/export/space/PG_15_*/*'].join('\n'), t)
    const { result, stored, evidence } = await backedUp(t, guest, repositoryPath)
    assert.deepEqual(stored, { not: 'weaker-than-required' })
    assert.equal(result.grade, 'filesystem')
    const [reason] = result.reasons.filter(({ code }) => code === 'application-not-covered')
    assert.match(reason?.subject ?? '', /^postgres /)
    const { discovery } = evidence.applications
    assert.ok(discovery.state === 'done')
    const server = discovery.applications.find(({ name }) => name.startsWith('postgres '))
    assert.deepEqual(server?.data, { state: 'outside', detail: '/far/space is on nfs4' })
    assert.ok(!result.fileSystems.some(({ name }) => name.includes('/far')), 'it is none of ours')
    await inGuest(guest, [postgres('DROP TABLE far_away'), postgres('DROP TABLESPACE far'),
      'umount -l /far'].join('\n'), t)
  })
})
