/** Values from outside, held against a schema before anything looks at them. */

import type { z } from 'zod'
import { Fault, type FaultCode } from './fault.ts'
import { printable } from './text.ts'

/**
 * `value` as `schema` allows it; otherwise a Fault of `code` that names `what` and the first place
 * that does not fit. Nothing of the value but its keys is echoed.
 */
export function checked<T>(
  schema: z.ZodType<T>, value: unknown, what: string, code: FaultCode): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const place = (issue?.path ?? []).map(String).join('.')
  throw new Fault(code,
    `${what} cannot be understood${place === '' ? '' : ` at ${printable(place, 100)}`}: ` +
    printable(issue?.message ?? 'unknown', 200))
}
