/** Restores a sample point and stands still in the midst of its second disk, to be killed. */

import { systemClock } from '../../base/clock.ts'
import { restoreDisks } from '../restore-disks.ts'
import { samplePoint } from './sample-point.ts'

const [folder = '', format = ''] = process.argv.slice(2)
const { signal } = new AbortController()
const { repository, point } = await samplePoint(signal)
await restoreDisks(
  { repository, point, folder, format: format === 'qcow2' ? 'qcow2' : 'raw' },
  ({ diskId }) => {
    if (diskId !== 'vdb') return
    process.stdout.write('midway\n')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000)
  },
  systemClock, signal)
