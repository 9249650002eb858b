/** Makes a set through the stub of diskshadow and holds it until it is killed. */

import { readFileSync } from 'node:fs'
import { systemClock } from '../../../base/clock.ts'
import { silentLog } from '../../../base/log.ts'
import { siblingModule } from '../../../base/worker.ts'
import type { Command } from '../../vss/diskshadow/held-script.ts'
import { DiskshadowTransport } from '../../vss/diskshadow/transport.ts'
import { VssSession } from '../../vss/session/session.ts'
import { sampleRequest } from './session-contract.ts'

const [, , file = ''] = process.argv
const { diskshadow, folder } =
  JSON.parse(readFileSync(file, 'utf8')) as { diskshadow: Command; folder: string }
const transport = new DiskshadowTransport({
  diskshadow, folder,
  expand: { program: process.execPath, args: [siblingModule('./expand-stub', import.meta)] } })
const request = sampleRequest()
const session = await VssSession.make(
  { ...request, setup: { ...request.setup, backupType: 'full' } },
  { transport, clock: systemClock, log: silentLog }, new AbortController().signal)
process.stdout.write(`${session.snapshots.length} held\n`)
setInterval(() => {}, 1000)
