import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mountOf, parseMounts } from './mounts.ts'

const LINES = `
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:2 / /srv rw shared:2 - xfs /dev/sda2 rw
31 30 0:44 / /srv/db rw - nfs4 nas:/db rw
32 30 8:3 / /srv/with\\040blank rw - ext4 /dev/sda3 rw
40 22 8:4 / /mnt rw - ext4 /dev/sda4 rw
41 40 8:5 / /mnt/deep rw - ext4 /dev/sda5 rw
42 40 8:6 / /mnt rw - btrfs /dev/sda6 rw
43 42 8:7 / /mnt rw - tmpfs tmpfs rw
`

test('a path lies on the mount that the kernel would reach it by', () => {
  const mounts = parseMounts(LINES)
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['/', 'ext4'], ['/etc', 'ext4'], ['/srv', 'xfs'], ['/srvx', 'ext4'], ['/srv/x', 'xfs'],
    ['/srv/db', 'nfs4'], ['/srv/db/base/1', 'nfs4'], ['/srv/with blank/x', 'ext4'],
    ['/mnt/deep/x', 'tmpfs'], // covered: the mount at /mnt/deep is not reached any more
  ]
  for (const [path, type] of rows) assert.equal(mountOf(path, mounts)?.type, type, path)
})

test('lines that are none, and mounts in a circle, give no mount and no hang', () => {
  assert.deepEqual(parseMounts('\n \nx - y\n1 2 3 4 relative rw - ext4 x\n5 6 7:8 / / rw\n'), [])
  const circle = parseMounts('1 2 8:1 / /a rw - ext4 x rw\n2 1 8:1 / /a rw - ext4 x rw\n')
  assert.equal(mountOf('/a', circle), undefined)
  const own = parseMounts('1 1 8:1 / / rw - rootfs x rw\n2 1 8:1 / / rw - ext4 x rw\n')
  assert.equal(mountOf('/a', own)?.type, 'ext4')
})
