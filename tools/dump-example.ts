/**
 * Prints the annotated example of docs/repository-format.md, from a repository made by a seed:
 * `tools/node tools/dump-example.ts`. A test holds the page against it.
 */

import { ManualClock } from '../src/base/testing/manual-clock.ts'
import { silentLog } from '../src/base/log.ts'
import { seededRandom } from '../src/base/random.ts'
import { Secret } from '../src/base/secret.ts'
import {
  beginWrite, dirNode, fileNode, goTime, initRepository, openRepository, type Repository,
  type StoredSnapshot,
} from '../src/repository/mod.ts'
import { readPackHeader } from '../src/repository/format/pack.ts'
import { zstdDecompress } from '../src/repository/format/zstd.ts'
import { openMemoryStorage } from '../src/storage/testing/mod.ts'

const signal = new AbortController().signal
const CHUNK_BYTES = 512 * 1024

/** The example's text, Markdown. */
export async function exampleDump(): Promise<string> {
  const repository = await makeExample()
  const [point] = await repository.snapshots(signal)
  if (point === undefined) throw new Error('the example has no snapshot')
  const sections = [
    await sealedFile(repository, point), await treeOf(repository, point),
    await packHeader(repository),
  ]
  return sections.join('\n')
}

/** One disk of one segment: a chunk of zeros, one of text. */
async function makeExample(): Promise<Repository> {
  const storage = openMemoryStorage()
  const context = {
    password: new Secret('example'), hostname: 'vault', username: 'root',
    clock: new ManualClock(Date.parse('2026-11-24T02:31:07Z')), random: seededRandom(1),
    log: silentLog,
  }
  await initRepository(storage, { ...context, scryptCost: { N: 2, r: 1, p: 1 } }, signal)
  const repository = await openRepository(storage, context, signal)
  await using session = await beginWrite(repository, {}, signal)
  const zeros = await session.saveData(new Uint8Array(CHUNK_BYTES))
  const text = await session.saveData(new Uint8Array(CHUNK_BYTES).map((_, n) => n % 251))
  const seg = fileNode('seg', 2 * CHUNK_BYTES, [zeros, text])
  let tree = await session.saveTree({ nodes: [seg] })
  for (const name of ['00', '0000', 'vda', 'disks']) {
    tree = await session.saveTree({ nodes: [dirNode(name, tree)] })
  }
  await session.flush(signal)
  await session.saveSnapshot({
    time: goTime(context.clock.nowMs()), tree, paths: ['/stillpoint'], hostname: 'web1',
    username: 'stillpoint', tags: ['stillpoint', 'grade=filesystem'],
    programVersion: 'stillpoint 0.1.0',
  }, signal)
  await repository.loadIndex(signal)
  return repository
}

async function sealedFile(repository: Repository, { id }: StoredSnapshot): Promise<string> {
  const { storage, masterKey } = repository
  const file = await storage.get({ kind: 'snapshots', name: id }, {}, signal)
  const opened = masterKey.open(file, 'the example')
  const text = Buffer.from(zstdDecompress(opened.subarray(1), 65_536, 'the example')).toString()
  const end = file.length - 16
  return [
    '### A sealed file: the snapshot', '',
    `\`snapshots/${id}\`,`, `${file.length} bytes; its name is its SHA-256.`, '', '```text',
    ...hex(file, 0, 16, 'IV: 16 random bytes, never all zero'),
    ...hex(file, 16, end, 'AES-256-CTR of the plaintext below', 2),
    ...hex(file, end, file.length, 'MAC: Poly1305-AES over the ciphertext'),
    '', `plaintext, ${opened.length} bytes:`,
    ...hex(opened, 0, 1, 'compressed: zstd follows. { or [ would be plain JSON'),
    ...hex(opened, 1, 5, 'magic number of zstd, RFC 8878'),
    ...hex(opened, 5, opened.length, 'the rest of the frame', 1), '```', '',
    'Decompressed (one line; wrapped here):', '', '```json',
    text.replaceAll(/,"(?=[a-z_]+":)/g, ',\n  "'), '```', '',
  ].join('\n')
}

async function treeOf(repository: Repository, { snapshot }: StoredSnapshot): Promise<string> {
  let id = snapshot.tree
  const path: string[] = []
  for (;;) {
    const [node] = (await repository.readTree(id, signal)).nodes
    if (node?.type !== 'dir') break
    path.push(node.name)
    id = node.subtree
  }
  const json = Buffer.from(await repository.readBlob('tree', id, signal)).toString()
  return [
    '### A tree: the folder of a segment', '',
    `\`/${path.join('/')}\`, the tree \`${id}\`:`,
    `that is the SHA-256 of these ${json.length} bytes, one line and a line feed (wrapped here).`,
    '', '```text',
    json.trimEnd().replaceAll(/,"(?=[a-z]+":)/g, ',\n  "'), '```', '',
  ].join('\n')
}

async function packHeader(repository: Repository): Promise<string> {
  const { storage, masterKey, index } = repository
  const name = [...index].find(({ kind }) => kind === 'data')?.packId ?? ''
  const pack = await storage.get({ kind: 'data', name }, {}, signal)
  const field = pack.length - 4
  const sealedBytes = new DataView(pack.buffer, field, 4).getUint32(0, true)
  const begin = field - sealedBytes
  const header = masterKey.open(pack.subarray(begin, field), 'the example')
  const lines = readPackHeader(pack, masterKey, 'the example').flatMap((blob, n) => {
    const at = n * 41
    return [
      ...hex(header, at, at + 1, `type 2: ${blob.kind}, compressed`),
      ...hex(header, at + 1, at + 5, `${blob.length} bytes as stored, sealed, from ${blob.offset}`),
      ...hex(header, at + 5, at + 9, `${blob.uncompressedLength} bytes of plaintext`),
      ...hex(header, at + 9, at + 41, 'id: SHA-256 of the plaintext', 2),
    ]
  })
  return [
    '### A pack and its header', '',
    `\`data/${name.slice(0, 2)}/${name}\`,`, `${pack.length} bytes.`, '', '```text',
    ...hex(pack, 0, begin, 'blobs, each sealed: IV, ciphertext, MAC', 1),
    ...hex(pack, begin, field, `the header, sealed, ${sealedBytes} bytes`, 1),
    ...hex(pack, field, pack.length, `length of the sealed header: ${sealedBytes}`),
    '', `the header's plaintext, ${header.length} bytes:`, ...lines, '```', '',
  ].join('\n')
}

/** Lines of 16 bytes, the first with a note; `limit` lines at most. */
function hex(
  bytes: Uint8Array, from: number, to: number, note: string, limit = Infinity): readonly string[] {
  const lines: string[] = []
  for (let at = from; at < to && lines.length < limit; at += 16) {
    const part = Buffer.from(bytes.subarray(at, Math.min(to, at + 16))).toString('hex')
    const spaced = part.replaceAll(/../g, '$& ').trimEnd().padEnd(47)
    lines.push(`${at.toString(16).padStart(5, '0')}  ${spaced}  ${lines.length === 0 ? note : ''}`)
  }
  const left = to - from - lines.length * 16
  if (left > 0) lines.push(`       … ${left} more bytes`)
  return lines.map((line) => line.trimEnd())
}

if (process.argv[1] === import.meta.filename) process.stdout.write(await exampleDump())
