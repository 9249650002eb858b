/** `stillpoint agent` */

import { resolve } from 'node:path'
import { Argument, Option, type Command } from 'commander'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { unreachable } from '../../base/unreachable.ts'
import { buildAgent, defaultCacheDir } from '../../demo/mod.ts'
import {
  guestAgentStatus, installGuestAgent, uninstallGuestAgent, type AgentOutcome,
} from '../../engine/mod.ts'
import type { Run, Session } from '../session.ts'
import { sometimes } from '../sometimes.ts'
import { onOption } from './options.ts'

const ACTIONS = ['install', 'status', 'uninstall'] as const

const EXAMPLES = `
Examples:
  $ stillpoint agent install web1             brings the agent into the machine and starts it
  $ stillpoint agent status web1              how it stands, which applications it finds
  $ stillpoint agent install --on qemu:qmp=/run/web1/qmp.sock,agent=/run/web1/agent.sock

The way in is the machine's own agent (qemu-ga), which must allow guest-exec and guest-file-*; where
it does not, it is said what to run in the machine. Each action can be run again at any time: what
is there already is not copied. If something is left to do, the exit code is 3.`

interface Options {
  readonly on?: string
  readonly executable?: string
}

export function addAgent(program: Command, run: Run): void {
  program.command('agent')
    .description('install the agent in a machine, see how it stands, or take it out')
    .addArgument(new Argument('<action>', 'what to do').choices(ACTIONS))
    .argument('[machine]', 'its name; may be left out where there is only one')
    .addOption(onOption())
    .addOption(new Option('--executable <file>',
      'the agent to install; default is to build it from these sources'))
    .addHelpText('after', EXAMPLES)
    .action((action: typeof ACTIONS[number], machine: string | undefined, options: Options) =>
      run(async (session) => {
        const { output } = session
        const outcome = await carryOut(action, machine, options, session)
        const { isCopied, isComplete, said } = outcome
        output.summary('agent', {
          action, machine: outcome.machine, copied: isCopied, complete: isComplete, said })
        output.result([
          ...action !== 'install' ? []
            : [isCopied ? 'copied into the machine' : 'not copied: the same one is there'],
          ...said.map((line) => printable(line, 1000)),
        ].join('\n'))
        return isComplete ? 0 : 3
      }))
}

async function carryOut(
  action: typeof ACTIONS[number], machine: string | undefined, { on, executable }: Options,
  session: Session,
): Promise<AgentOutcome> {
  const { output, signal, world, openContext } = session
  const context = await openContext()
  switch (action) {
    case 'status': return guestAgentStatus({ on, machine }, context, signal)
    case 'uninstall': return uninstallGuestAgent({ on, machine }, context, signal)
    case 'install': {
      const now = sometimes(world.clock)
      return installGuestAgent({
        on, machine,
        executable: executable === undefined ? await built(session)
          : resolve(world.workingDir, executable),
        onCopied: ({ doneBytes, totalBytes }) => {
          output.bar.show({
            what: 'copying the agent', done: doneBytes, total: totalBytes, unit: 'bytes' })
          if (now()) output.status('agent', { doneBytes, totalBytes })
        },
      }, context, signal)
    }
    default: return unreachable(action)
  }
}

async function built({ output, signal }: Session): Promise<string> {
  output.step('building the agent')
  try {
    return await buildAgent(defaultCacheDir(), signal)
  } catch (cause) {
    signal.throwIfAborted()
    throw new Fault('unsupported', 'the agent cannot be built here', {
      cause, advice: 'Name one that was built elsewhere: --executable FILE.' })
  }
}
