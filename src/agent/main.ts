/**
 * Entry point. The client that freeze hooks run starts without what the resident agent is made of:
 * the applications are held for as long as it takes.
 */

import { causesOf, Fault } from '../base/fault.ts'

const running = process.argv[2] === 'hook'
  ? import('./hook/hook-verb.ts').then(({ main }) => main(process.argv.slice(3)))
  : import('./agent-main.ts').then(({ main }) => main())

running.then((code) => process.exit(code), (error: unknown) => {
  const isUsage = error instanceof TypeError && 'code' in error
  process.stderr.write(`error: ${causesOf(error).join('\n cause: ')}\n`)
  if (error instanceof Fault && error.advice !== undefined) {
    process.stderr.write(`    do: ${error.advice}\n`)
  }
  process.exit(isUsage ? 2 : error instanceof Fault ? error.exitCode : 1)
})
