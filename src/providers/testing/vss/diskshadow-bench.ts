/** The transport over diskshadow, to the stubs of its two programs. */

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { siblingModule } from '../../../base/worker.ts'
import { DiskshadowTransport } from '../../vss/diskshadow/transport.ts'
import type { Command } from '../../vss/diskshadow/held-script.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import type { StubLanguage } from './diskshadow-words.ts'
import type { VssScenario } from './scenario.ts'
import type { VssBench } from './transport-contract.ts'

/** `folder` is where a backup's own folders are made. */
export async function openDiskshadowBench(
  scenario: VssScenario, language: StubLanguage,
): Promise<VssBench & { readonly folder: string; readonly diskshadow: Command }> {
  const temporary = await temporaryFolder()
  const scenarioFile = join(temporary.path, 'scenario.json')
  await writeFile(scenarioFile, JSON.stringify(scenario))
  const stub = (name: string, ...more: readonly string[]): Command =>
    ({ program: process.execPath, args: [siblingModule(name, import.meta), ...more] })
  const diskshadow = stub('./diskshadow-stub', scenarioFile, language)
  return {
    folder: temporary.path, diskshadow,
    transport: new DiskshadowTransport({
      diskshadow, expand: stub('./expand-stub'), folder: temporary.path }),
    journal: async () => {
      const text = await readFile(`${scenarioFile}.journal`, 'utf8').catch(() => '')
      return text.split('\n').filter((line) => line !== '')
    },
    [Symbol.asyncDispose]: async () => { await temporary[Symbol.asyncDispose]() },
  }
}
