/** Chains of VHDX as `dissect.hypervisor` reads them, with what libvhdi gets wrong. */

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkPattern, DiskPeer, pattern } from '../interop/virtual-disks.ts'
import { testFolder } from '../system/rig.ts'

const FOLDER = fileURLToPath(new URL('../../.cache/peers/dissect/', import.meta.url))
const PATTERNS = 100

/** It finds the parents itself. */
const DISSECT = `
import hashlib, json, sys
from pathlib import Path
from dissect.hypervisor.disk.vhdx import VHDX
for line in sys.stdin:
    asked = json.loads(line)
    disk = VHDX(Path(asked['paths'][0]))
    told = hashlib.sha256()
    for offset, length in asked['ranges']:
        disk.seek(offset)
        told.update(disk.read(length))
    print(told.hexdigest(), flush=True)
`

test(`${PATTERNS} patterns of writes to VHDX are read as dissect.hypervisor reads them`,
  async (t) => {
    if (!existsSync(FOLDER)) return t.skip('dissect.hypervisor is missing')
    const folder = await testFolder(t)
    await using dissect = new DiskPeer('dissect.hypervisor', () => true,
      ['python3', '-c', DISSECT], { PYTHONPATH: FOLDER })
    await fc.assert(fc.asyncProperty(
      pattern.map((it) => ({ ...it, format: 'vhdx' as const })),
      (it) => checkPattern(it, folder, 'disk', dissect)), { numRuns: PATTERNS })
  })
