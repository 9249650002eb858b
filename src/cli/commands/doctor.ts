/** `stillpoint doctor` */

import { Option, type Command } from 'commander'
import { GRADES, type Grade } from '../../consistency/mod.ts'
import { diagnoseMachine } from '../../engine/mod.ts'
import { diagnosisReport } from '../render/diagnosis-report.ts'
import { diagnosisJson } from '../render/json-shapes.ts'
import { renderReport } from '../render/report-text.ts'
import type { Run } from '../session.ts'
import { leaveOutOption, onOption } from './options.ts'

const EXAMPLES = `
Examples:
  $ stillpoint doctor web1                    a machine of stillpoint.yaml
  $ stillpoint doctor --on qemu:qmp=/run/web1/qmp.sock,agent=/run/web1/agent.sock
  $ stillpoint doctor web1 --require application

Nothing in the machine is changed or held. What it says is what a backup reaches if every step goes
well. If that is less than required, the exit code is 3.`

interface DoctorOptions {
  readonly on?: string
  readonly require?: Grade
  readonly leaveOut?: readonly string[]
}

export function addDoctor(program: Command, run: Run): void {
  program.command('doctor')
    .description('say what grade a backup would get now, and what would raise it')
    .argument('[machine]', 'its name; may be left out where there is only one')
    .addOption(onOption())
    .addOption(new Option('--require <grade>', 'the least grade that is good enough')
      .choices([...GRADES].reverse()))
    .addOption(leaveOutOption())
    .addHelpText('after', EXAMPLES)
    .action((machine: string | undefined, { on, require, leaveOut }: DoctorOptions) =>
      run(async ({ output, signal, openContext }) => {
        const diagnosis = await diagnoseMachine(
          { machine, on, require, leaveOut }, await openContext(), signal)
        output.summary('doctor', diagnosisJson(diagnosis))
        output.result(renderReport(diagnosisReport(diagnosis), output.paint))
        return diagnosis.judgement.kind === 'fine' ? 0 : 3
      }))
}
