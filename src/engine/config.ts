/**
 * The configuration, parsed once into a frozen object. docs/configuration.md is its reference.
 *
 * Every default stands here with its reason; unknown keys are faults, because a key that is
 * misspelt (`requires:`) would otherwise weaken a backup without a word.
 */

import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { configFault, parseConfigText, placeOf, type YamlText } from '../base/config-text.ts'
import {
  GRADES, parseFingerprint, type Fingerprint, type FreezeLimits,
} from '../consistency/mod.ts'
import {
  checkLeaveOut, checkSdkUrl, checkUri, parseCertificateFingerprint,
} from '../providers/mod.ts'
import { withoutUndefined } from './present.ts'

/** How long each part of a hold may take unless the configuration says otherwise. */
export const DEFAULT_LIMITS: FreezeLimits = {
  // Hooks in the guest run in this time, before file systems are held: a database checkpoint may
  // take several seconds. The guardian thaws past it.
  freezeMs: 30_000,
  // The snapshot itself takes milliseconds, and applications do not notice a second. Windows ends a
  // hold of its own after ten.
  holdMs: 1_000,
  // Thawing is quick, hooks after it may not be. Nothing stays held longer for a high limit: it
  // says only how long the answer is waited for.
  thawMs: 30_000,
}

const path = z.string().min(1).max(4096)
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
  'is no name: letters, digits, dots, dashes and underscores, at most 64')
const diskId = z.string().regex(/^[a-z0-9_-][a-z0-9._-]{0,63}$/, 'is no disk id, as "vda" is')
function isUri(text: string): boolean {
  try {
    return checkUri(text) === text
  } catch {
    return false
  }
}

/** An hour: nobody wants a guest held longer than any of these. */
const ms = z.int().min(1).max(3_600_000)

const limitsSchema = z.strictObject({
  freezeMs: ms.optional(), holdMs: ms.max(60_000).optional(), thawMs: ms.optional(),
})

const repositorySchema = z.strictObject({
  path: z.string().min(1).max(4096).optional(),
  passwordFile: path.optional(),
  passwordCommand: z.string().min(1).max(4096).optional(),
}).refine((it) => it.passwordFile === undefined || it.passwordCommand === undefined,
  'passwordFile and passwordCommand cannot both be given')

const fingerprint = z.string().max(200).transform((text, context): Fingerprint => {
  const digits = parseFingerprint(text)
  if (digits !== undefined) return digits
  context.addIssue({ code: 'custom', message: 'is no fingerprint, 64 hexadecimal digits' })
  return z.NEVER
})

const evidenceSchema = z.strictObject({
  key: path.optional(),
  fingerprint: z.union([fingerprint, z.array(fingerprint).max(100)]).optional(),
})

const qemuSchema = z.strictObject({
  type: z.literal('qemu'),
  qmp: path,
  guardianQmp: path.optional(),
  agent: path.optional(),
  channel: path.optional(),
  scratchDir: path.optional(),
  runDir: path.optional(),
})

const libvirtSchema = z.strictObject({
  type: z.literal('libvirt'),
  uri: z.string().max(1024).refine(isUri,
    'is none of qemu:///system, qemu:///session, qemu+ssh://[USER@]HOST/system'),
  scratchDir: path.optional(),
  socketDir: path.optional(),
  runDir: path.optional(),
})

/** A value that `parse` makes of a text, or that is wrong as the Error it throws says. */
const parsedText = <T>(parse: (text: string) => T): z.ZodType<T, string> =>
  z.string().max(1024).transform((text, context): T => {
    try {
      return parse(text)
    } catch (error) {
      const message = error instanceof Error ? error.message : 'cannot be understood'
      context.addIssue({ code: 'custom', message })
      return z.NEVER
    }
  })

const vsphereSchema = z.strictObject({
  type: z.literal('vsphere'),
  url: parsedText(checkSdkUrl),
  user: z.string().min(1).max(256),
  passwordFile: path,
  fingerprint: parsedText((text) => {
    const digits = parseCertificateFingerprint(text)
    if (digits === undefined) throw new Error('is no fingerprint, 64 hexadecimal digits')
    return digits
  }).optional(),
  stateDir: path.optional(),
  datastore: z.string().min(1).max(256).optional(),
  cluster: z.string().min(1).max(256).optional(),
  vddk: path.optional(),
})

const hypervSchema = z.strictObject({
  type: z.literal('hyperv'),
  powershell: path.optional(),
  stateDir: path.optional(),
})

/** The Windows that this runs on. */
const hostSchema = z.strictObject({
  type: z.literal('host'),
  leaveOut: z.array(parsedText(checkLeaveOut)).max(100).exactOptional(),
  files: z.strictObject({
    limits: z.strictObject({
      lookMs: z.int().min(1).max(600_000).exactOptional(),
      entries: z.int().min(1).max(50_000_000).exactOptional(),
      depth: z.int().min(0).max(64).exactOptional(),
    }),
  }).exactOptional(),
})

const platformSchema = z.discriminatedUnion(
  'type', [qemuSchema, libvirtSchema, vsphereSchema, hypervSchema, hostSchema], {
    error: 'must be qemu, libvirt, vsphere, hyperv or host: there is no other' })

const machineSchema = z.strictObject({
  platform: name,
  require: z.enum(GRADES).optional(),
  onWeaker: z.enum(['keep', 'fail']).optional(),
  exclude: z.array(diskId).max(256).optional(),
  applications: z.literal('none', 'can only be none, for a machine without any').optional(),
  limits: limitsSchema.optional(),
  acceptLogTruncation: z.boolean().optional(),
})

const configSchema = z.strictObject({
  repository: repositorySchema.optional(),
  platforms: z.record(name, platformSchema).optional(),
  machines: z.record(name, machineSchema).optional(),
  limits: limitsSchema.optional(),
  evidence: evidenceSchema.optional(),
})

export interface RepositoryConfig {
  readonly path?: string | undefined
  readonly passwordFile?: string | undefined
  readonly passwordCommand?: string | undefined
}

export interface EvidenceConfig {
  /** The file with this host's signing key, absolute; undefined: where it is by default. */
  readonly key: string | undefined
  /** The keys whose evidence is believed; empty: none is pinned. */
  readonly pins: ReadonlySet<Fingerprint>
}

/** One QEMU process, which is one machine, or all of what runs many. Paths are absolute. */
export type PlatformConfig = Readonly<z.infer<typeof platformSchema>>

export interface MachineConfig {
  /** A key of `platforms`. */
  readonly platform: string
  readonly require?: (typeof GRADES)[number] | undefined
  readonly onWeaker?: 'keep' | 'fail' | undefined
  readonly exclude: readonly string[]
  readonly applications?: 'none' | undefined
  /** Of a Windows: applications may truncate their logs after a backup of ours. */
  readonly acceptLogTruncation?: boolean | undefined
  readonly limits: FreezeLimits
}

export interface Config {
  /** The file it was read from; undefined if there is none. */
  readonly file: string | undefined
  readonly repository: RepositoryConfig
  readonly platforms: ReadonlyMap<string, PlatformConfig>
  readonly machines: ReadonlyMap<string, MachineConfig>
  readonly limits: FreezeLimits
  readonly evidence: EvidenceConfig
}

/** What holds without a configuration file. */
export const NO_CONFIG: Config = Object.freeze({
  file: undefined,
  repository: Object.freeze({}),
  platforms: new Map(),
  machines: new Map(),
  limits: Object.freeze(DEFAULT_LIMITS),
  evidence: Object.freeze({ key: undefined, pins: new Set<Fingerprint>() }),
})

/**
 * Parses the text of a configuration file. Relative paths in it start at the file's own folder.
 * Fault: `config-invalid`, naming file, line and key.
 */
export function parseConfig(text: string, file: string): Config {
  const { yaml, data } = parseConfigText(configSchema, text, file)
  const { repository, platforms = {}, machines = {}, limits, evidence = {} } = data
  const inFolder = (path: string): string => resolve(dirname(file), path)
  const own = { ...DEFAULT_LIMITS, ...withoutUndefined(limits ?? {}) }
  const config: Config = {
    file,
    repository: Object.freeze(resolvePaths(
      repository ?? {},
      isPath(repository?.path) ? ['path', 'passwordFile'] : ['passwordFile'], inFolder)),
    platforms: new Map(Object.entries(platforms).map(([key, platform]) => [
      key,
      Object.freeze(platform.type === 'qemu'
        ? resolvePaths(platform,
          ['qmp', 'guardianQmp', 'agent', 'channel', 'scratchDir', 'runDir'], inFolder)
        : platform.type === 'libvirt'
          ? resolvePaths(platform, ['scratchDir', 'socketDir', 'runDir'], inFolder)
          : platform.type === 'hyperv' ? resolvePaths(platform, ['stateDir'], inFolder)
          : platform.type === 'host' ? platform
          : resolvePaths(platform, ['passwordFile', 'stateDir', 'vddk'], inFolder)),
    ])),
    machines: new Map(Object.entries(machines).map(([key, machine]) => [
      key,
      Object.freeze({
        ...machine,
        exclude: Object.freeze(machine.exclude ?? []),
        limits: Object.freeze({ ...own, ...withoutUndefined(machine.limits ?? {}) }),
      }),
    ])),
    limits: Object.freeze(own),
    evidence: Object.freeze({
      key: evidence.key === undefined ? undefined : inFolder(evidence.key),
      pins: new Set([evidence.fingerprint ?? []].flat()),
    }),
  }
  checkReferences(config, yaml)
  return Object.freeze(config)
}

/** Each machine names a platform that is there, and a QEMU process runs one machine. */
function checkReferences(config: Config, yaml: YamlText): void {
  const users = new Map<string, string>()
  for (const [key, { platform }] of config.machines) {
    const at = placeOf(yaml, ['machines', key, 'platform'])
    if (!config.platforms.has(platform)) {
      throw configFault(yaml, at, `machine ${key} names platform "${platform}", which is not there`,
        { word: platform, known: [...config.platforms.keys()] })
    }
    if (config.platforms.get(platform)?.type !== 'qemu') continue
    const other = users.get(platform)
    if (other !== undefined) {
      throw configFault(yaml, at,
        `machines ${other} and ${key} both name platform ${platform}, which is one machine`)
    }
    users.set(platform, key)
  }
}

/** Locations of stores begin with their kind, as in `sftp:`. */
function isPath(location: string | undefined): boolean {
  return location !== undefined && !/^[a-z0-9]+:/.test(location)
}

function resolvePaths<T extends object>(
  record: T, keys: readonly (keyof T & string)[], toAbsolute: (path: string) => string): T {
  const changed = keys.flatMap((key) => {
    const value: unknown = record[key]
    return typeof value === 'string' ? [[key, toAbsolute(value)]] : []
  })
  return { ...record, ...Object.fromEntries(changed) as Partial<T> }
}
