import assert from 'node:assert/strict'
import { mkdir, readdir, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { processMark } from '../../machine/process-mark.ts'
import { temporaryFolder } from '../../testing/temporary-folder.ts'
import { makeVddkFolder, sweepVddkFolders } from './vddk-folder.ts'

test('only folders whose process is known to be gone are swept', async () => {
  await using own = await temporaryFolder()
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = own.path
  try {
    assert.equal(tmpdir(), own.path)
    const [here = '', pid = '', start = ''] = processMark().split('-')
    const { path } = await makeVddkFolder()
    const elsewhere = `stillpoint-vddk-${here === '00000000' ? '11111111' : '00000000'}-1-1-abcdef`
    const reused = `stillpoint-vddk-${here}-${pid}-${start}1-abcdef` // another had that number
    const link = `stillpoint-vddk-${here}-${pid}-${start}2-abcdef`
    for (const name of [elsewhere, reused, 'stillpoint-vddk-abcdef']) {
      await mkdir(join(own.path, name))
    }
    await symlink('/', join(own.path, link))
    assert.deepEqual(await sweepVddkFolders(), [
      `removed ${join(own.path, reused)}, which a run that was killed had left`])
    const left = new Set(await readdir(own.path))
    assert.deepEqual(left, new Set([
      path.slice(own.path.length + 1), elsewhere, link, 'stillpoint-vddk-abcdef']))
  } finally {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  }
})
