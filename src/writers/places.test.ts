import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { listeningSockets } from './listening.ts'
import { locatePlaces, MAX_PLACES } from './places.ts'
import { readSmallFile } from './small-file.ts'
import { FakeHost } from './testing/fake-process.ts'

const PID = 7

async function hostWithServer(): Promise<FakeHost> {
  const host = await FakeHost.make()
  await host.add({ pid: PID, program: 'server', cwd: `${host.path}/data` })
  return host
}

test('places are resolved, each once, with the mount that they lie on', async () => {
  await using host = await hostWithServer()
  const { path, procRoot } = host
  await mkdir(`${path}/other/real`, { recursive: true })
  await symlink(`${path}/other/real`, `${path}/data/link`)
  await host.mount(
    `1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 /a\\040b ${path}/other rw - nfs4 nas:/x rw\n`)
  const found = await locatePlaces(
    [`${path}/data`, `${path}/data/link`, `${path}/other/real`], PID, procRoot)
  assert.deepEqual(found, { state: 'located', places: [
    { path: `${path}/data`, mountpoint: '/', type: 'ext4' },
    { path: `${path}/other/real`, mountpoint: `${path}/other`, type: 'nfs4', root: '/a b' },
  ] })
})

test('what cannot be followed is unknown: gone, too many, none, another file in a container',
  async () => {
    await using host = await hostWithServer()
    const { path, procRoot } = host
    const stateOf = async (paths: readonly string[]): Promise<string> => {
      const found = await locatePlaces(paths, PID, procRoot)
      return found.state === 'unknown' ? found.detail : found.state
    }
    assert.match(await stateOf([`${path}/nowhere`]), /cannot be followed \(ENOENT\)/)
    assert.match(await stateOf([]), /no place was named/)
    assert.match(await stateOf(Array.from({ length: MAX_PLACES + 1 }, () => path)), /more than/)
    assert.equal(await stateOf([`${path}/data`]), 'located')
    // What the process calls by that path is another folder.
    await mkdir(`${path}/its${path}/data`, { recursive: true })
    await rm(`${procRoot}/${PID}/root`)
    await symlink(`${path}/its`, `${procRoot}/${PID}/root`)
    assert.match(await stateOf([`${path}/data`]), /may run in a container/)
  })

test('only sockets that the process listens on, and that have a path, are found', async () => {
  await using host = await hostWithServer()
  const folder = `${host.procRoot}/${PID}`
  for (const name of ['fd', 'net']) await mkdir(`${folder}/${name}`)
  for (const inode of [1, 2, 3, 4]) await symlink(`socket:[${inode}]`, `${folder}/fd/${inode}`)
  await symlink('/dev/null', `${folder}/fd/9`)
  const line = (flags: string, inode: number, path: string): string =>
    `0000000000000000: 00000002 00000000 ${flags} 0001 01 ${inode} ${path}\n`
  await writeFile(`${folder}/net/unix`, 'Num RefCount Protocol Flags Type St Inode Path\n' +
    line('00010000', 1, '/run/a b.sock') + line('00010000', 2, 'relative.sock') +
    line('00000000', 3, '/run/connected.sock') + line('00010000', 4, '@abstract') +
    line('00010000', 5, '/run/of-others.sock') + 'nonsense\n')
  assert.deepEqual(await listeningSockets(host.procRoot, PID, '/srv'), [
    '/run/a b.sock', '/srv/relative.sock'])
})

test('a pipe in the place of a file is refused at once, and so is a large file', async () => {
  await using host = await hostWithServer()
  execFileSync('mkfifo', [`${host.path}/pipe`])
  await writeFile(`${host.path}/large`, 'x'.repeat(101))
  await assert.rejects(readSmallFile(`${host.path}/pipe`, 100), { code: 'writer-failed' })
  await assert.rejects(readSmallFile(`${host.path}/large`, 100), { code: 'writer-failed' })
  assert.equal(await readSmallFile(`${host.path}/large`, 101), 'x'.repeat(101))
})
