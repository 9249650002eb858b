/** A command in one text, as users of restic write it, cut into words. No shell sees it. */

import { Fault } from '../base/fault.ts'

/**
 * Cuts at white space. Single quotes keep everything, double quotes everything but `\"` and `\\`;
 * outside quotes a backslash keeps the next character. Fault: `usage`.
 */
export function splitCommand(text: string): readonly string[] {
  const words: string[] = []
  let word: string | undefined
  let quote = ''
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at)
    const next = text.charAt(at + 1)
    if (quote === '' && /\s/.test(char)) {
      if (word !== undefined) words.push(word)
      word = undefined
      continue
    }
    word ??= ''
    if (char === quote) quote = ''
    else if (quote === '' && (char === '"' || char === "'")) quote = char
    else if (char === '\\' && (quote === '' || (quote === '"' && /["\\]/.test(next)))) {
      word += next
      at++
    } else word += char
  }
  if (quote !== '') {
    throw new Fault('usage', `the command ${text} has a quotation mark without its partner`)
  }
  if (word !== undefined) words.push(word)
  return words
}
