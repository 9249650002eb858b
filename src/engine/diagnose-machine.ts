/** What a backup of a machine would be worth now, found out without holding anything. */

import { isFault } from '../base/fault.ts'
import { uuid } from '../base/random.ts'
import { printable } from '../base/text.ts'
import { RoundOfApplications, withStated } from '../backup/mod.ts'
import type { GuestAccess, MachineDescription, Platform } from '../catalog/mod.ts'
import {
  judge, predictGrade, resolvePolicy, type ApplicationsEvidence, type Grade, type GradeResult,
  type Judgement, type Policy, type ProviderSurvey,
} from '../consistency/mod.ts'
import type { EngineContext } from './context.ts'
import {
  findMachine, openMachine, withHostWishes, type HostWishes, type MachineChoice,
} from './find-machine.ts'
import { nextStep, shellWord } from './next-step.ts'

export interface MachineDiagnosis extends MachineChoice, Pick<HostWishes, 'leaveOut'> {
  /** As the command line says; undefined: as the configuration says. */
  readonly require: Grade | undefined
}

export interface Diagnosis {
  readonly machine: MachineDescription
  readonly survey: ProviderSurvey
  readonly applications: ApplicationsEvidence
  /** Of a run in which every step goes well. */
  readonly predicted: GradeResult
  /** Its requirement is what was set; without one, what is predicted. */
  readonly policy: Policy
  readonly judgement: Judgement
  /** What brings the agent into the machine, where that is what it lacks; else reasons say it. */
  readonly nextStep: string | undefined
}

/** Faults: `usage`, `machine-*`, `platform-*`. */
export async function diagnoseMachine(
  request: MachineDiagnosis, context: EngineContext, signal: AbortSignal): Promise<Diagnosis> {
  const place = withHostWishes(findMachine(request, context), { leaveOut: request.leaveOut })
  await using opened = await openMachine(place, context, signal)
  const { platform, machine: name } = opened
  const settings = place.settings ?? context.config.machines.get(name)
  const excludes = settings?.exclude ?? []
  const { machine } = await platform.describe(name, signal)
  const survey = await platform.provider(name).survey(excludes, signal)
  const { freezing } = survey
  const mayNeedHooks = 'by' in freezing && freezing.by === 'agent' &&
    await opened.agentPort(signal) === undefined
  // Disposed after the round, which may have to release something there.
  await using guest = mayNeedHooks ? await openGuest(platform, name, signal) : undefined
  await using round = await RoundOfApplications.prepare({
    openApplications: opened.openApplications,
    declaredNoApplications: settings?.applications === 'none',
    clock: context.clock, log: context.log,
  }, { power: survey.power, ...guest === undefined ? {} : { inside: {
    programs: guest, nonce: uuid(context.random).replaceAll('-', '') } } }, signal)
  const applications = withStated(
    round.prospect('fileSystems' in freezing ? freezing.fileSystems
      : { state: 'unavailable', reason: 'the mounts of the machine are not known' }),
    'expected' in freezing ? freezing.expected ?? {} : {}, survey)
  const predicted = predictGrade({ ...survey, excludes, applications })
  const policy = resolvePolicy({
    require: request.require ?? settings?.require, onWeaker: settings?.onWeaker,
  }, undefined, predicted.grade)
  return {
    machine, survey, applications, predicted, policy, judgement: judge(predicted, policy),
    nextStep: HELD_BY_PLATFORM.has(place.target.type) ? undefined : nextStep({
      predicted, freezing, applications, command: installCommand(request, name) }),
  }
}

/** Where the guest is held through the platform's own services, an agent of ours adds nothing. */
const HELD_BY_PLATFORM: ReadonlySet<string> = new Set(['vsphere', 'hyperv', 'host'])

/** A platform that is named ad hoc may have other machines beside this one. */
function installCommand({ on, machine }: MachineDiagnosis, name: string): string {
  const words = on === undefined ? [printable(name, 100)]
    : ['--on', shellWord(on), ...machine === undefined ? [] : [shellWord(machine)]]
  return `stillpoint agent install ${words.join(' ')}`
}

/** Undefined where nothing can be done in the machine: then nothing is known of its inside. */
async function openGuest(
  platform: Platform, name: string, signal: AbortSignal): Promise<GuestAccess | undefined> {
  try {
    return await platform.openGuest?.(name, signal)
  } catch (error) {
    signal.throwIfAborted()
    if (isFault(error)) return undefined
    throw error
  }
}
