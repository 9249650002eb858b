/** Takes secrets out of what a platform says of a machine. */

import { isJsonObject } from '../../base/json.ts'

/** Words in a key whose value is a secret whatever it is. */
const SECRET_KEY = /passw|secret|token|credential|(^|[-_])key([-_]|$)/i
/** `scheme://user:password@host`. */
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]*:\/\/[^/\s:@"]*):[^@/\s"]+@/gi

/** The value with everything that is or may be a secret as `***`. */
export function withoutSecrets(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll(URL_PASSWORD, '$1:***@')
  if (Array.isArray(value)) return (value as readonly unknown[]).map(withoutSecrets)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [
    key, SECRET_KEY.test(key) && typeof inner !== 'boolean' ? '***' : withoutSecrets(inner)]))
}
