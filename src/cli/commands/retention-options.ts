/** `--keep-…` and `--max-unused`, read as restic reads them. */

import { Option, type Command } from 'commander'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { MaxUnused } from '../../repository/mod.ts'
import {
  CALENDAR_RULES, parseDuration, type CalendarRule, type RetentionRules,
} from '../../schedule/mod.ts'

const RULE_NOUNS: Readonly<Record<CalendarRule, string>> = {
  hourly: 'hours', daily: 'days', weekly: 'weeks', monthly: 'months', yearly: 'years',
}

/** As commander hands them over: `keepLast`, `keepWithinDaily` … */
export type RetentionOptions = Readonly<Record<string, unknown>>

/** Adds all rules to a command. */
export function addRetentionOptions(command: Command): Command {
  command.option('--keep-last <n>', 'keep the newest n')
  for (const rule of CALENDAR_RULES) {
    command.option(`--keep-${rule} <n>`,
      `keep the newest of each of the newest n ${RULE_NOUNS[rule]} that have any`)
  }
  command.option('--keep-within <duration>',
    'keep all that are less than this older than the newest, like 30d or 1y6m')
  for (const rule of CALENDAR_RULES) {
    command.option(`--keep-within-${rule} <duration>`,
      `of those, keep the newest of each of their ${RULE_NOUNS[rule]}`)
  }
  return command.addOption(
    new Option('--keep-tag <tags>', 'keep those that have all these tags; may be given more often')
      .argParser((tags: string, before: readonly string[] | undefined) => [...before ?? [], tags]))
}

/** Faults: `usage`. */
export function retentionRules(options: RetentionOptions): RetentionRules {
  const { keepLast, keepWithin, keepTag } = options
  const counts = byRule((rule) => parsed(options[camel('keep', rule)], parseCount))
  const eachWithin = byRule((rule) => parsed(options[camel('keepWithin', rule)], parseDuration))
  const last = parsed(keepLast, parseCount)
  const within = parsed(keepWithin, parseDuration)
  const tags = (Array.isArray(keepTag) ? keepTag as readonly string[] : [])
    .map((list) => list.split(',').filter((tag) => tag !== ''))
    .filter((list) => list.length > 0)
  return {
    counts, eachWithin, tags,
    ...last === undefined ? {} : { last },
    ...within === undefined ? {} : { within },
  }
}

const camel = (prefix: string, rule: string): string =>
  `${prefix}${rule.charAt(0).toUpperCase()}${rule.slice(1)}`

function byRule<T>(
  valueOf: (rule: CalendarRule) => T | undefined): Readonly<Partial<Record<CalendarRule, T>>> {
  return Object.fromEntries(CALENDAR_RULES.flatMap((rule) => {
    const value = valueOf(rule)
    return value === undefined ? [] : [[rule, value]]
  }))
}

function parsed<T>(value: unknown, parse: (text: string) => T): T | undefined {
  return typeof value === 'string' ? parse(value) : undefined
}

function parseCount(text: string): number {
  if (text === 'unlimited') return Infinity
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new Fault('usage', `"${printable(text, 40)}" does not say how many to keep`, {
    advice: 'Give a number from 1 upwards, or "unlimited".' })
}

const SIZE_UNITS = { '': 1, 'k': 1024, 'm': 1024 ** 2, 'g': 1024 ** 3, 't': 1024 ** 4 } as const

/** `5%`, `200M`, `unlimited`. Fault: `usage`. */
export function parseMaxUnused(text: string): MaxUnused {
  if (text === 'unlimited') return { kind: 'unlimited' }
  const share = /^(\d{1,2}(?:\.\d+)?)%$/.exec(text)?.[1]
  if (share !== undefined) return { kind: 'share', share: Number(share) / 100 }
  const [, count, unit = ''] = /^(\d{1,12})([kmgt]?)$/i.exec(text) ?? []
  if (count !== undefined) {
    const scale = SIZE_UNITS[unit.toLowerCase() as keyof typeof SIZE_UNITS]
    return { kind: 'bytes', bytes: Number(count) * scale }
  }
  throw new Fault('usage', `"${printable(text, 40)}" does not say how much may stay unused`, {
    advice: 'Give a share below 100 % like 5%, a size like 200M, or "unlimited".' })
}

export function maxUnusedOption(): Option {
  return new Option('--max-unused <limit>',
    'how much unused data may stay in packs: a share, a size, or "unlimited"').default('5%')
}
