/** Values of Windows' registry, as reg.exe prints them. */

import { deadline, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { quietEnvironment, runProgram } from '../../base/program.ts'
import type { Command } from './diskshadow/held-script.ts'

export interface RegistryValue {
  /** `HKEY_LOCAL_MACHINE\…` */
  readonly key: string
  /** Foreign text, as the data. */
  readonly name: string
  /** `REG_MULTI_SZ`, `REG_EXPAND_SZ` … */
  readonly type: string
  /** Letters that reg.exe's code page lacks may have become `?`, others two strange ones. */
  readonly text: string
  /** What stands between the texts of a `REG_MULTI_SZ`. */
  readonly separator: string
}

/** reg.exe answers at once; a host under load starts programs slowly. */
const QUERY_MS = 60_000
const MAX_VALUES = 5000
const NO_KEY = 1
/** What no path may hold; `\0`, which reg.exe writes otherwise, may be part of one. */
const SEPARATOR = '|'

/**
 * The values of a key, with those of the keys below it if that is asked for; none where there is no
 * such key. Faults: `program-*`, `platform-protocol`, `timed-out`.
 */
export async function queryRegistry(
  reg: Command, key: string, below: boolean, clock: Clock, signal: AbortSignal,
): Promise<readonly RegistryValue[]> {
  using limit = deadline(clock, QUERY_MS, 'a question to the registry', signal)
  const ask = async (more: readonly string[]): Promise<Uint8Array | undefined> => {
    const { code, stdout } = await runProgram(
      reg.program, [...reg.args, 'query', key, ...below ? ['/s'] : [], ...more], {
        signal: limit.signal, okCodes: [0, NO_KEY], maxOutputBytes: 4 * 1024 * 1024,
        env: quietEnvironment(['SystemRoot', 'SystemDrive', 'windir', 'WINEPREFIX']) })
    return code === NO_KEY ? undefined : stdout
  }
  const told = await ask(['/se', SEPARATOR])
  if (told !== undefined) return parseRegistryValues(told, SEPARATOR)
  const plain = await ask([]) // wine's knows no `/se`
  return plain === undefined ? [] : parseRegistryValues(plain, '\\0')
}

/** Fault: `platform-protocol`. */
export function parseRegistryValues(
  stdout: Uint8Array, separator: string): readonly RegistryValue[] {
  const values: RegistryValue[] = []
  let key = ''
  for (const line of Buffer.from(stdout).toString('latin1').split(/\r?\n/)) {
    if (line.startsWith('HKEY_')) key = line
    const [, name, type, text = ''] = /^ {4}(.*?) {4}(REG_[A-Z_]{1,40})(?: {4}(.*))?$/
      .exec(line) ?? []
    if (name === undefined || type === undefined) continue
    if (values.length >= MAX_VALUES) {
      throw new Fault('platform-protocol', `the registry has more than ${MAX_VALUES} values there`)
    }
    values.push({ key, name, type, text, separator })
  }
  return values
}
