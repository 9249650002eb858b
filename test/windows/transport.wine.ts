/** The contracts of transports and of sessions, over vssapi.dll. */

import { systemClock as clock } from '../../src/base/clock.ts'
import {
  vssSessionContract, vssTransportContract, type OpenVssBench,
} from '../../src/providers/testing/mod.ts'
import { KoffiTransport } from '../../src/providers/vss/native/koffi-transport.ts'
import { contractLines, startTestHost } from './test-host.ts'

const open: OpenVssBench = async (scenario) => {
  const host = await startTestHost(scenario)
  return {
    transport: new KoffiTransport({ clock }),
    journal: async () => contractLines(await host.journal()),
    [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
  }
}

vssTransportContract('koffi', open)
vssSessionContract('koffi', open)
