import assert from 'node:assert/strict'
import {
  chmodSync, chownSync, lchownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { checkTrustedFile } from './trusted-file.ts'

const NOBODY = 65_534
const asRoot = { skip: process.geteuid?.() === 0 ? false : 'only root can give files away' }

let folder = ''
const at = (name: string): string => join(folder, name)
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'sp-')) // itself in a folder of all, with the sticky bit
  mkdirSync(at('in'))
  writeFileSync(at('in/file'), '')
  symlinkSync('in/../in/file', at('link'))
  symlinkSync('in', at('way'))
  symlinkSync('circle', at('circle'))
})
after(() => rmSync(folder, { recursive: true }))

suite('a file that only root can change', () => {
  test('is trusted, also by links', async () => {
    for (const path of ['in/file', 'link', 'way/file', 'way/../in//file']) {
      await checkTrustedFile(at(path))
    }
  })

  test('is the one that the kernel would take', async () => {
    mkdirSync(at('other/deep'), { recursive: true })
    writeFileSync(at('other/file'), '', { mode: 0o666 })
    chmodSync(at('other/file'), 0o666)
    symlinkSync('../other/deep', at('in/deep'))
    await assert.rejects(checkTrustedFile(`${folder}/in/deep/../file`), /may be changed by others/)
  })

  test('is no other thing', async () => {
    for (const path of [at('in'), at('none'), at('circle'), at('in/file/x'), 'in/file', '/', '']) {
      await assert.rejects(checkTrustedFile(path), { code: 'config-invalid' }, path)
    }
  })

  test('cannot be written by others, nor any folder on its way', async () => {
    for (const [path, mode] of [['in/file', 0o620], ['in/file', 0o602], ['in', 0o770]] as const) {
      chmodSync(at(path), mode)
      await assert.rejects(checkTrustedFile(at('link')), /may be changed by others/)
      await assert.rejects(checkTrustedFile(at('way/file')), /may be changed by others/)
      chmodSync(at(path), 0o700)
    }
    await checkTrustedFile(at('link'))
  })

  test('belongs to nobody else, nor does any folder or link on its way', asRoot, async () => {
    for (const [path, asked] of [
      ['in/file', 'in/file'], ['in', 'in/file'], ['link', 'link'], ['way', 'way/file'],
    ] as const) {
      lchownSync(at(path), NOBODY, NOBODY)
      await assert.rejects(checkTrustedFile(at(asked)), /may be changed by others/, path)
      lchownSync(at(path), 0, 0)
    }
    chownSync(at('in/file'), 0, NOBODY) // its group may read it
    await checkTrustedFile(at('way/file'))
  })
})
