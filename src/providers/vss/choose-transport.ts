/** Which way to VSS: Windows' own interface, or diskshadow where koffi cannot be loaded. */

import { access } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import type { Clock } from '../../base/clock.ts'
import { causesOf, Fault } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import { printable } from '../../base/text.ts'
import { DiskshadowTransport } from './diskshadow/transport.ts'
import { KoffiTransport } from './native/koffi-transport.ts'
import type { VssTransport } from './session/transport.ts'

/** What is looked at; tests hand in another. */
export interface TransportPlaces {
  readonly clock: Clock
  /** Told how long the turns of a requestor's event loop were. */
  readonly log: Log
  /** `C:\Windows\System32` */
  readonly systemFolder: string
  readonly temporaryFolder?: string
  readonly loadKoffi?: () => Promise<unknown>
  readonly isThere?: (path: string) => Promise<boolean>
}

export interface ChosenTransport {
  readonly transport: VssTransport
  /** Why it is diskshadow; undefined where it is not. */
  readonly because: string | undefined
}

/** Fault: `program-missing`, where neither is there. */
export async function chooseTransport({
  clock, log, systemFolder, temporaryFolder = tmpdir(), loadKoffi = () => import('koffi'),
  isThere = fileIsThere,
}: TransportPlaces): Promise<ChosenTransport> {
  let cause: unknown
  try {
    await loadKoffi()
    const transport = new KoffiTransport({
      clock, onReleased: (turn) => log.debug('vss.requestor-turns', { ...turn }) })
    return { transport, because: undefined }
  } catch (error) {
    cause = error
  }
  const why = `koffi cannot be loaded: ${printable(causesOf(cause).join(': '), 300)}`
  const programIn = (name: string): string => `${systemFolder}\\${name}`
  // Servers have it, and no other Windows.
  if (!await isThere(programIn('diskshadow.exe'))) {
    throw new Fault('program-missing', 'VSS cannot be called: koffi, through which that is done, ' +
      'cannot be loaded, and diskshadow is part of Windows Server alone', {
      cause, advice: 'Install the program again with npm, on this system: npm ci.' })
  }
  return {
    because: why,
    transport: new DiskshadowTransport({
      diskshadow: { program: programIn('diskshadow.exe'), args: [] },
      expand: { program: programIn('expand.exe'), args: [] },
      folder: temporaryFolder, clock }),
  }
}

function fileIsThere(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false)
}
