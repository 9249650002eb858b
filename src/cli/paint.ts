/** Colours, for those who see them. */

import { styleText } from 'node:util'

export type Colour = 'red' | 'yellow' | 'green' | 'bold' | 'dim'
export type Paint = (colour: Colour, text: string) => string

export const noPaint: Paint = (_colour, text) => text

const terminalPaint: Paint = (colour, text) => styleText(colour, text, { validateStream: false })

/**
 * Colours are for a terminal and nobody else; `NO_COLOR` with any text takes them away
 * (no-color.org), as `TERM=dumb` does.
 */
export function paintFor(
  isTerminal: boolean, wanted: boolean, environment: Readonly<Record<string, string>>): Paint {
  const refused = (environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb'
  return isTerminal && wanted && !refused ? terminalPaint : noPaint
}
