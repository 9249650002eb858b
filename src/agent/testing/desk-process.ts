/**
 * The resident agent's desk with one script and nothing else: `desk-process.ts ROOT PRE POST`. The
 * agent as a whole would hold all servers of the machine that the test runs on.
 */

import { systemClock as clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { systemRandom as random } from '../../base/random.ts'
import { scriptWriter, writerSet } from '../../writers/mod.ts'
import { serveDesk } from '../hook/serve-desk.ts'

const [, , root = '', pre = '', post = ''] = process.argv
const over = new AbortController()
process.once('SIGTERM', () => over.abort(new Fault('interrupted', 'ended by SIGTERM')))
const host = writerSet({ agent: 'stillpoint-agent test', finders: [], writers: [scriptWriter({
  clock, random, scripts: [{
    name: 'it', preFreeze: [pre], postThaw: [post], data: [root],
    limits: { freezeMs: 60_000, holdMs: 60_000, thawMs: 60_000 } }] })] })
await serveDesk({ root, host, clock, holds: new Set() }, over.signal)
process.exit(0)
