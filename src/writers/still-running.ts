/** Between discovery and preparation a server may end. */

import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import type { DiscoveredApplication } from '../consistency/mod.ts'

/** `server`, as it was found again for `application`. Fault: `writer-failed` if it was not. */
export function stillRunning<Server>(
  server: Server | undefined, { name }: DiscoveredApplication): Server {
  if (server !== undefined) return server
  throw new Fault('writer-failed', `${printable(name)} does not run any more`)
}
