/** What an NTFS uses, told from volumes that ntfs-3g filled and emptied again. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import {
  dataRanges, NtfsFileSystem, readNtfsUse, totalLength, usedSource, windowOf, type BlockSource,
  type KnownUse, type NtfsUse,
} from '../../src/disk/mod.ts'
import { filesThatFit } from '../../src/disk/files/ntfs-match.ts'
import { ntfsRuns } from '../../src/disk/probe/ntfs-record.ts'
import { memorySource } from '../../src/disk/testing/mod.ts'
import { commitSet } from '../../src/consistency/testing/mod.ts'
import { HostBench } from '../../src/providers/testing/mod.ts'
import { HostProvider } from '../../src/providers/vss/host-provider.ts'
import { Dice } from '../hostile/mutate.ts'
import { testFolder } from '../system/rig.ts'
import { cannotMountNtfs as skip, insideNtfs, makeNtfs, runNtfs } from './mounted-ntfs.ts'

const MIB = 2 ** 20
/** Bytes at one place. */
const MOST_DAMAGE = 8
const PAGE_FILES = ['pagefile.sys', 'hiberfil.sys', 'swapfile.sys']

/** Nearly full, then half of it deleted: small files, some large ones, a page file are left. */
async function filled(t: TestContext, sizeMiB: number, options: readonly string[] = []):
  Promise<string> {
  const path = join(await testFolder(t), 'image')
  const random = seededRandom(3)
  await makeNtfs(path, sizeMiB, options)
  await insideNtfs(path, async (root) => {
    await mkdir(join(root, 'a'))
    for (let n = 0; n < 8; n++) {
      await writeFile(join(root, `big ${n}`), random(Math.floor((sizeMiB - 8) * MIB / 10)))
      for (let i = 0; i < 10; i++) await writeFile(join(root, 'a', `${n} ${i}`), random(i * 700))
    }
    await writeFile(join(root, 'PageFile.sys'), random(sizeMiB * MIB / 16))
    for (let n = 4; n < 8; n++) await rm(join(root, `big ${n}`))
    for (let i = 0; i < 10; i += 3) await rm(join(root, 'a', `2 ${i}`))
  })
  return path
}

async function digests(path: string): Promise<ReadonlyMap<string, string>> {
  return insideNtfs(path, async (root) => {
    const found = new Map<string, string>()
    for (const name of await readdir(root, { recursive: true, withFileTypes: true })) {
      const at = join(name.parentPath, name.name)
      if (name.isFile()) {
        const digest = createHash('sha256').update(await readFile(at)).digest('hex')
        found.set(at.slice(root.length), digest)
      }
    }
    return found
  }, ',ro')
}

function known(use: NtfsUse): KnownUse {
  return use.state === 'known' ? use : assert.fail(use.reason)
}

/** As a backup does: data alone, and what it says of the rest. */
async function throughMap(
  source: BlockSource, use: KnownUse, t: TestContext): Promise<{ copy: Buffer; read: number }> {
  let read = 0
  const counting: BlockSource = {
    ...source, read: (offset, length, signal) => {
      read += length
      return source.read(offset, length, signal)
    } }
  const used = usedSource(counting, use)
  const copy = Buffer.alloc(source.sizeBytes)
  const everything = { offset: 0, length: source.sizeBytes }
  for await (const { offset, length } of dataRanges(used.extents?.(everything, t.signal) ?? [])) {
    copy.set(await used.read(offset, length, t.signal), offset)
  }
  const readOnce = read
  for (let at = 0; at < copy.length; at += 3 * MIB + 512) {
    const length = Math.min(3 * MIB + 512, copy.length - at)
    const bytes = await used.read(at, length, t.signal)
    assert.ok(copy.subarray(at, at + length).equals(bytes), `read at ${at}`)
  }
  return { copy, read: readOnce }
}

for (const options of [[], ['-c', '512'], ['-s', '4096', '-c', '65536']]) {
  test(`an NTFS ${options.join(' ')} without its free clusters has all of its files`, { skip },
    async (t) => {
      const path = await filled(t, 48, options)
      const before = await digests(path)
      const image = await readFile(path)
      const source = memorySource(image, { extentBytes: 'none' })
      const use = known(await readNtfsUse(source, { files: [] }, t.signal))
      const { copy, read } = await throughMap(source, use, t)
      const tree = await NtfsFileSystem.open(windowOf(source, 0, image.length, t.signal))
      const ranges = await Array.fromAsync(tree.used())
      const behind = image.length - tree.clusters * tree.clusterBytes
      assert.equal(read, totalLength(ranges) + behind)
      assert.equal(use.keptClusters * tree.clusterBytes, totalLength(ranges))
      t.diagnostic(`${read} of ${image.length} bytes are read, ${
        Math.round(100 * read / image.length)} %`)
      await writeFile(path, copy)
      await runNtfs('ntfsfix', '-n', path)
      await runNtfs('ntfsinfo', '-m', path)
      assert.deepEqual(await digests(path), before)
    })
}

test('page files are left out when that is asked for, and told with their bytes', { skip },
  async (t) => {
    const path = await filled(t, 48)
    const before = await digests(path)
    const image = await readFile(path)
    const source = memorySource(image, { extentBytes: 'none' })
    const use = known(await readNtfsUse(source, { files: [...PAGE_FILES, 'a\\nothing'] }, t.signal))
    assert.deepEqual(use.leftOut, [{ path: 'pagefile.sys', bytes: 3 * MIB }])
    assert.equal(use.keptClusters, use.kept.count(0, use.kept.clusters))
    await writeFile(path, (await throughMap(source, use, t)).copy)
    await runNtfs('ntfsfix', '-n', path)
    const after = await digests(path)
    const zeros = createHash('sha256').update(Buffer.alloc(3 * MIB)).digest('hex')
    assert.deepEqual(after, new Map([...before, ['/PageFile.sys', zeros]]))
    const folder = known(
      await readNtfsUse(source, { files: ['a', '$Bitmap', '\\A\\7 9'] }, t.signal))
    assert.deepEqual(folder.leftOut, [{ path: '\\A\\7 9', bytes: 8192 }])
  })

interface OwnedRuns {
  readonly number: number
  readonly at: number
  readonly runs: readonly { readonly offset: number; readonly end: number }[]
}

interface Owners {
  readonly owners: readonly OwnedRuns[]
  readonly bitmapAt: number
  readonly recordBytes: number
  /** The number of its record. */
  readonly pageFile: number
}

async function ownersOf(image: Buffer, t: TestContext): Promise<Owners> {
  const tree = await NtfsFileSystem.open(
    windowOf(memorySource(image), 0, image.length, t.signal))
  const { records, clusterBytes, recordBytes } = tree
  const table = await records.contentRuns({ number: 0, sequence: 0 })
  const placeOf = (number: number): number => {
    const vcn = Math.floor(number * recordBytes / clusterBytes)
    const run = table.find((it) => vcn < it.vcn + it.clusters) ?? assert.fail()
    return ((run.lcn ?? 0) - run.vcn) * clusterBytes + number * recordBytes
  }
  const owners: OwnedRuns[] = []
  for await (const { number, attributes } of records.inUse()) {
    const runs = attributes.flatMap(({ place }) => 'value' in place ? []
      : ntfsRuns(place.extent) ?? assert.fail()).flatMap(({ lcn, clusters }) =>
      lcn === undefined ? []
        : [{ offset: lcn * clusterBytes, end: (lcn + clusters) * clusterBytes }])
    owners.push({ number, at: placeOf(number), runs })
  }
  const names = await tree.list(await tree.inode(tree.root))
  const pageFile = names.find(({ name }) => name === 'PageFile.sys')?.inode ?? assert.fail()
  const [bitmap] = await records.contentRuns({ number: 6, sequence: 0 })
  return {
    owners, bitmapAt: (bitmap?.lcn ?? 0) * clusterBytes, recordBytes,
    pageFile: pageFile % 2 ** 32 }
}

test('a page file that shares a cluster with another file leaves nothing out', { skip },
  async (t) => {
    const image = await readFile(await filled(t, 16))
    const { owners, recordBytes, pageFile } = await ownersOf(image, t)
    const shared = owners.find(({ number }) => number === pageFile)?.runs[0] ?? assert.fail()
    const other = owners.findLast(({ runs: [run] }) =>
      run !== undefined && run.end - run.offset === 8192) ?? assert.fail()
    const pairs = (lcn: number): Buffer => Buffer.from([0x21, 2, lcn & 0xff, lcn >> 8, 0])
    const record = image.subarray(other.at, other.at + recordBytes)
    const at = record.indexOf(pairs((other.runs[0]?.offset ?? 0) / 4096))
    assert.ok(at > 0)
    record.set(pairs(shared.offset / 4096), at)
    const use = await readNtfsUse(memorySource(image), { files: PAGE_FILES }, t.signal)
    assert.match(use.state === 'known' ? '' : use.reason, /free, or another file's$/)
    known(await readNtfsUse(memorySource(image), { files: [] }, t.signal))
  })

test('of a shadow copy what is used is read, and the point says what is not', { skip },
  async (t) => {
    const path = await filled(t, 48)
    const image = await readFile(path)
    const bench = new HostBench({}, () => image)
    let read = 0
    const provider = new HostProvider({
      ...bench.ports, openDevice: async (device, sizeBytes, signal) => {
        const source = await bench.ports.openDevice(device, sizeBytes, signal)
        return { ...source, read: (offset, length, running) => {
          read += length
          return source.read(offset, length, running)
        } }
      } }, { backupType: 'copy', leaveOut: ['D:\\a\\7 9', 'C:\\a\\7 8'] })
    await using set = await provider.prepare({ pointId: 'x', exclude: ['c'] }, t.signal)
    const committed = await commitSet(set, t.signal)
    await using disk = await committed.open('d', t.signal)
    const looked = read
    const copy = Buffer.alloc(image.length)
    const whole = { offset: 0, length: image.length }
    for await (const { offset, length } of dataRanges(disk.extents?.(whole, t.signal) ?? [])) {
      copy.set(await disk.read(offset, length, t.signal), offset)
    }
    t.diagnostic(`${looked} bytes looked at, ${read - looked} of ${image.length} read, ${
      Math.round(100 * read / image.length)} %`)
    assert.ok(read < image.length / 2)
    const before = await digests(path)
    await writeFile(path, copy)
    const after = await digests(path)
    const changed = [...before].flatMap(([name, is]) => after.get(name) === is ? [] : [name])
    assert.deepEqual(changed.toSorted(), ['/PageFile.sys', '/a/7 9'])
    const text = committed.documents?.find(({ name }) => name === 'vss-not-read.json')?.text ?? ''
    assert.match(text,
      /"filesAsZeros":\[\{"path":"pagefile.sys","bytes":3145728\},.*a.*7 9/)
  })

test('what fits a list of Windows is left out, but what a writer names or has another name',
  { skip }, async (t) => {
    const path = join(await testFolder(t), 'image')
    await makeNtfs(path, 48, [])
    const random = seededRandom(5)
    const outlook = 'Users/u/AppData/Local/Microsoft/Outlook'
    await insideNtfs(path, async (root) => {
      for (const name of ['scratch/deep/x.tmp', 'scratch/y.TMP', 'scratch/y.txt', 'sql/z.tmp',
        `${outlook}/u.ost`, `${outlook}/u.pst`, 'scratch/linked.tmp']) {
        await mkdir(join(root, name, '..'), { recursive: true })
        await writeFile(join(root, name), random(20_000))
      }
      await link(join(root, 'scratch/linked.tmp'), join(root, 'kept.txt'))
    })
    const image = await readFile(path)
    const tree = await NtfsFileSystem.open(
      windowOf(memorySource(image), 0, image.length, t.signal))
    const everyTmp = [{ entry: 'x', folders: [], name: '*.tmp', recursive: true }]
    const roomy = { folders: 100, files: 100, indexBytes: 2 ** 20, depth: 100 }
    for (const [limits, count, isCut] of [
      [roomy, 4, false], [{ ...roomy, folders: 1 }, 0, true], [{ ...roomy, files: 2 }, 2, true],
      [{ ...roomy, indexBytes: -1 }, 0, true], [{ ...roomy, depth: 1 }, 3, true]] as const) {
      const found = await filesThatFit(tree, everyTmp, limits)
      assert.deepEqual([found.files.length, found.isCut], [count, isCut], JSON.stringify(limits))
    }
    const bench = new HostBench({}, () => image)
    const key = 'HKLM\\SYSTEM\\CurrentControlSet\\Control\\BackupRestore\\FilesNotTo'
    const value = { key: '', type: 'REG_MULTI_SZ', separator: '|' }
    bench.registry.set(`${key}Snapshot`, [
      { ...value, name: 'OutlookOST',
        text: '$UserProfile$\\AppData\\Local\\Microsoft\\Outlook\\*.ost' },
      { ...value, name: 'Mine', text: '$AllVolumes$\\*.tmp /s|%NOBODY%\\*' }])
    bench.registry.set('HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList', [
      { ...value, name: 'ProfileImagePath', type: 'REG_EXPAND_SZ', text: 'D:\\Users\\u' }])
    const provider = new HostProvider(
      bench.ports, { backupType: 'copy', leaveOut: ['files-not-to-snapshot'] })
    await using set = await provider.prepare({ pointId: 'x', exclude: ['c'] }, t.signal)
    const committed = await commitSet(set, t.signal)
    await using disk = await committed.open('d', t.signal)
    const before = await digests(path)
    const copy = Buffer.alloc(image.length)
    const whole = { offset: 0, length: image.length }
    for await (const { offset, length } of dataRanges(disk.extents?.(whole, t.signal) ?? [])) {
      copy.set(await disk.read(offset, length, t.signal), offset)
    }
    await writeFile(path, copy)
    const after = await digests(path)
    const changed = [...before].flatMap(([name, is]) => after.get(name) === is ? [] : [name])
    assert.deepEqual(changed.toSorted(),
      [`/${outlook}/u.ost`, '/scratch/deep/x.tmp', '/scratch/y.TMP'])
    assert.deepEqual(committed.filesAsZeros?.('d'), { files: 3, bytes: 3 * 20_480 })
    const { text } = committed.documents?.find(({ name }) => name === 'vss-not-read.json') ??
      assert.fail('no document')
    const { notUnderstood, disks: [told] } = JSON.parse(text) as {
      notUnderstood: object[]; disks: { filesAsZeros: { path: string; because: string }[] }[] }
    assert.deepEqual(notUnderstood,
      [{ entry: '%NOBODY%\\*', why: 'a variable in it is not known' }])
    assert.ok(told?.filesAsZeros.some(({ path: is, because }) =>
      is === 'scratch\\deep\\x.tmp' && because === '$AllVolumes$\\*.tmp /s'), text)
  })

test('a damaged map or table never hides a cluster of a file whose record is whole', { skip },
  async (t) => {
    const whole = await readFile(await filled(t, 16))
    const { owners, bitmapAt, recordBytes, pageFile } = await ownersOf(whole, t)
    const bitmapBytes = Math.ceil(whole.length / 4096 / 8)
    const image = Buffer.from(whole)
    const tally = { known: 0, unknown: new Map<string, number>() }
    for (let seed = 0; seed < 400; seed++) {
      const dice = new Dice(seed)
      const places = Array.from({ length: 1 + dice.below(4) }, () => damage(dice, seed % 3))
      const use = await readNtfsUse(memorySource(image), { files: PAGE_FILES }, t.signal)
      if (use.state === 'known') checkKept(use, seed)
      for (const at of places) whole.copy(image, at, at, at + MOST_DAMAGE)
      if (use.state === 'unknown') {
        const kind = use.reason.replaceAll(/\d+/g, 'N')
        tally.unknown.set(kind, (tally.unknown.get(kind) ?? 0) + 1)
      } else tally.known += 1
    }
    t.diagnostic(JSON.stringify([tally.known, [...tally.unknown]]))
    assert.ok(tally.known > 50 && tally.unknown.size > 5)

    /** Of $Bitmap, of a record, or of the boot sector; where. */
    function damage(dice: Dice, what: number): number {
      const owner = dice.pick(owners)
      const [from, length] = what === 0 ? [bitmapAt, bitmapBytes]
        : what === 1 ? [owner.at, recordBytes] : [0, 512]
      const at = from + dice.below(length)
      const end = at + 1 + dice.below(MOST_DAMAGE)
      if (dice.below(3) === 0) image.fill(dice.pick([0, 0xff]), at, end)
      else image.writeUInt8((image[at] ?? 0) ^ 1 << dice.below(8), at)
      return at
    }

    function checkKept(use: KnownUse, seed: number): void {
      const isWhole = ({ at }: OwnedRuns): boolean =>
        image.compare(whole, at, at + recordBytes, at, at + recordBytes) === 0
      for (const owner of owners.filter(isWhole)) {
        if (owner.number === pageFile && use.leftOut.length > 0) continue
        for (const { offset, end } of owner.runs) {
          assert.ok(use.kept.hasAll(offset / use.clusterBytes, end / use.clusterBytes),
            `seed ${seed}: record ${owner.number}`)
        }
      }
    }
  })
