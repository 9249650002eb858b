/** The whole command line: options that all commands have, and the commands. */

import { Command } from 'commander'
import { addAgent } from './commands/agent.ts'
import { addAuditTracking } from './commands/audit-tracking.ts'
import { addBackup } from './commands/backup.ts'
import { addCheck } from './commands/check.ts'
import { addDemo } from './commands/demo.ts'
import { addDoctor } from './commands/doctor.ts'
import { addFiles } from './commands/files.ts'
import { addForget } from './commands/forget.ts'
import { addInit } from './commands/init.ts'
import { addMachines } from './commands/machines.ts'
import { addPoints } from './commands/points.ts'
import { addRestore } from './commands/restore.ts'
import { addShow } from './commands/show.ts'
import { addProve } from './commands/prove.ts'
import { addPrune } from './commands/prune.ts'
import { addRecover } from './commands/recover.ts'
import { addUnlock } from './commands/unlock.ts'
import { addWriters } from './commands/writers.ts'
import { reportError } from './errors.ts'
import { Output } from './output.ts'
import { createSession, type ExitCode, type GlobalOptions, type Run } from './session.ts'
import type { World } from './world.ts'

/** Runs the command of `args`; everything that can be told was told. Returns the exit code. */
export async function runCli(args: readonly string[], world: World): Promise<number> {
  let exitCode: ExitCode = 0
  // Before the options are understood their faults need an output too.
  using early = new Output(guessedOptions(args), world)
  let output = early
  const program = createProgram(world, async (action) => {
    const options = program.opts<GlobalOptions>()
    output = new Output({
      json: options.json === true, quiet: options.quiet === true,
      verbose: options.verbose === true, color: options.color,
    }, world)
    using current = output
    const onAbort = (): void => current.interrupted()
    world.signal.addEventListener('abort', onAbort, { once: true })
    exitCode = await action(createSession(options, current, world))
  })
  try {
    await program.parseAsync(args, { from: 'user' })
    return exitCode
  } catch (error) {
    return reportError(error, output)
  }
}

function guessedOptions(args: readonly string[]): Output['options'] {
  return {
    json: args.includes('--json'), quiet: false, color: !args.includes('--no-color'),
    verbose: args.includes('--verbose') || args.includes('-v'),
  }
}

const DESCRIPTION = `Backs up running machines without stopping them, and says how consistent each \
backup is.`

const EXAMPLES = `
Start here:
  $ export RESTIC_REPOSITORY=/srv/backup RESTIC_PASSWORD_FILE=/etc/stillpoint/password
  $ stillpoint init
  $ stillpoint backup --on qemu:qmp=/run/web1/qmp.sock,agent=/run/web1/agent.sock
  $ stillpoint points
  $ stillpoint restore latest --to /srv/restored

How consistent a backup is, from strong to weak:
  application   each known application held still, or recovers from the instant by itself
  filesystem    all file systems were held still at one instant
  crash         one instant of all disks with nothing held still: as if the power had failed
  torn          not one instant: stored only if --require torn asks for it

Exit codes: 0 done; 1 failed; 2 the command or configuration is wrong; 3 done, but weaker or less
than required; 10 no repository; 11 locked; 12 wrong password; 130 interrupted.`

function createProgram(world: World, run: Run): Command {
  const program = new Command('stillpoint')
    .description(DESCRIPTION)
    .usage('COMMAND [options]')
    .version(`stillpoint ${world.version}`, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .option('-r, --repo <path>', 'where the repository is (default $RESTIC_REPOSITORY)')
    .option('--password-file <file>',
      'file with the repository\'s password (default $RESTIC_PASSWORD_FILE)')
    .option('--password-command <command>',
      'command that prints the password (default $RESTIC_PASSWORD_COMMAND)')
    .option('--config <file>',
      'configuration (default $STILLPOINT_CONFIG, ./stillpoint.yaml, then the system\'s)')
    .option('--json', 'print one JSON object a line on stdout')
    .option('-q, --quiet', 'show no progress')
    .option('-v, --verbose', 'log every step to stderr, one JSON object a line')
    .option('--no-color', 'use no colours (so does $NO_COLOR)')
    .addHelpText('after', EXAMPLES)
    .configureHelp({ showGlobalOptions: true, helpWidth: 100 })
    .configureOutput({
      writeOut: (text) => world.stdout.write(text),
      writeErr: (text) => world.stderr.write(text),
      outputError: () => {}, // reportError says it, in our form
    })
    .exitOverride()
  addInit(program, run)
  addMachines(program, run)
  addDoctor(program, run)
  addWriters(program, run)
  addAgent(program, run)
  addBackup(program, run)
  addPoints(program, run)
  addShow(program, run)
  addProve(program, run)
  addAuditTracking(program, run)
  addRestore(program, run)
  addFiles(program, run)
  addCheck(program, run)
  addForget(program, run)
  addPrune(program, run)
  addRecover(program, run)
  addUnlock(program, run)
  addDemo(program, run)
  return program
}
