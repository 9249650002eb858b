/**
 * Debian with data on a network file system of the kernel's own (NFS 4.2 from its own server), and
 * with an agent that is not root.
 */

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

/** Another one of its kind, of an account that the agent will not be: a copy of the first. */
const ANOTHER = `
bin=/usr/lib/postgresql/15/bin
mkdir -m 777 /tmp/theirs
/usr/bin/setpriv --reuid=postgres --regid=postgres --init-groups \\
  $bin/pg_basebackup -h /run/postgresql -c fast -D /tmp/theirs/data
echo 'local all all peer' >/tmp/theirs/data/hba
: >/tmp/theirs/data/ident
chown -R nobody /tmp/theirs/data
/usr/bin/setpriv --reuid=nobody --regid=nogroup --clear-groups \\
  $bin/postgres -D /tmp/theirs/data -c config_file=/etc/postgresql/guest.conf -p 5999 \\
  -c hba_file=/tmp/theirs/data/hba -c ident_file=/tmp/theirs/data/ident \\
  -k /tmp/theirs >/tmp/theirs/log 2>&1 </dev/null &
tries=0
until $bin/pg_isready -q -h /tmp/theirs -p 5999; do
  tries=$((tries + 1))
  [ $tries -lt 90 ] || { cat /tmp/theirs/log; exit 1; }
  sleep 1
done`

/** From now on it is the account of PostgreSQL that the agent runs as. */
const AS_POSTGRES = `
before=$(busybox pidof stillpoint-agent)
mv /usr/local/bin/stillpoint-agent /usr/local/bin/real-agent
cat >/usr/local/bin/stillpoint-agent <<'END'
#!/bin/sh
exec /usr/bin/setpriv --reuid=postgres --regid=postgres --init-groups /usr/local/bin/real-agent
END
chmod 755 /usr/local/bin/stillpoint-agent
for port in /sys/class/virtio-ports/*; do
  [ "$(cat $port/name)" != org.stillpoint.agent.0 ] || chown postgres /dev/\${port##*/}
done
kill $before
while [ -e /proc/$before ]; do sleep 1; done
tries=0
until now=$(busybox pidof real-agent) && ls -l /proc/$now/fd | grep -q vport; do
  tries=$((tries + 1))
  [ $tries -lt 60 ] || { cat /run/stillpoint-agent.log; exit 1; }
  sleep 1
done
grep ^Uid: /proc/$now/status`

async function backedUp(
  t: TestContext, guest: RunningGuest, repositoryPath: string): ReturnType<typeof backupAll> {
  const summary = await backupAll(t, { guest, repositoryPath, settings, exclude: ['virtio-extra'] })
  for (const { sentence } of summary.result.reasons) t.diagnostic(sentence)
  await moreOfEach(guest, 1, t) // nothing stays held
  return summary
}

test('data elsewhere, and servers of others', { timeout: 900_000, skip }, async (t) => {
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

  const asPostgres = 'an agent that is not root asks the server of its account alone'
  await t.test(asPostgres, LIMITS, async (t) => {
    await inGuest(guest, ANOTHER, t)
    assert.match(await inGuest(guest, AS_POSTGRES, t), /^Uid:\s+(?!0\s)(\d+)\s+\1\s/)
    const { result, evidence } = await backedUp(t, guest, repositoryPath)
    const { discovery } = evidence.applications
    assert.ok(discovery.state === 'done')
    for (const { name, kind, data } of discovery.applications) {
      t.diagnostic(`${name}: ${kind}, ${data.state}`)
    }
    assert.equal(result.grade, 'filesystem')
    const graded = new Map(result.applications.map((it) => [it.name, it.grade]))
    assert.equal(graded.get('postgres 15 in /disks/data/main'), 'application')
    for (const one of [
      /^postgres process \d+$/, /^mariadb: not known/, /^redis: not known/,
      /^sqlite in processes of others$/,
    ]) {
      const [name] = [...graded.keys()].filter((it) => one.test(it))
      assert.ok(name !== undefined && graded.get(name) !== 'application', one.source)
    }
  })
})
