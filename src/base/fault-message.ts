/** A Fault on its way from one thread to another: as an Error it would lose what it is. */

import { causesOf, Fault, type FaultCode, type Retry } from './fault.ts'

export interface FaultMessage {
  readonly code: FaultCode
  readonly message: string
  readonly retry: Retry
  readonly advice: string | undefined
  /** The messages of its causes in one. */
  readonly cause: string | undefined
}

export function faultMessage({ code, message, retry, advice, cause }: Fault): FaultMessage {
  const causes = causesOf(cause)
  return {
    code, message, retry, advice, cause: causes.length === 0 ? undefined : causes.join(': ') }
}

export function faultOfMessage({ code, message, retry, advice, cause }: FaultMessage): Fault {
  return new Fault(code, message, {
    retry, ...advice === undefined ? {} : { advice },
    ...cause === undefined ? {} : { cause: new Error(cause) },
  })
}
