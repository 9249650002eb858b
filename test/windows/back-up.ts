/** A program that makes one whole backup: for a test that kills it. */

import { systemClock as clock } from '../../src/base/clock.ts'
import { KoffiTransport } from '../../src/providers/vss/native/koffi-transport.ts'
import { wholeBackup } from './backup-steps.ts'

await wholeBackup(new KoffiTransport({ clock }), new AbortController().signal)
