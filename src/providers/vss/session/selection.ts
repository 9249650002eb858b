/**
 * Which components a backup adds, and which volumes they need. Pure.
 *
 * Rules (Microsoft, "Working with Selectability for Backup" and "Backup Components Document
 * Contents"): a component without a selectable ancestor is added explicitly, selectable or not;
 * what lies below a selectable component comes with it; and those that cannot be selected and have
 * no such ancestor are all added if any component of their writer is. Volumes are the requestor's
 * business: a database with a file outside the set is torn, so it is either whole or not added.
 */

import { atOnce, mapping, type Work } from '../../../base/turns.ts'
import type { WriterComponent, WriterMetadata } from './documents.ts'
import type { ComponentReference } from './transport.ts'

export interface SelectionRequest {
  readonly writers: readonly WriterMetadata[]
  /** Volumes chosen by the operator, as `volumeOf` names them. */
  readonly volumes: readonly string[]
  /** Writer ids of the applications that were promised: their volumes join the set. */
  readonly promised: ReadonlySet<string>
  /** Writer ids whose components are not to be added: they vetoed an earlier attempt. */
  readonly without: ReadonlySet<string>
  readonly volumeOf: VolumeOfPath
}

/** The volume that a folder lies on, or why that is none of this host or not known. */
export type VolumeOfPath = (path: string) =>
  | { readonly volume: string } | { readonly elsewhere: string } | { readonly unknown: string }

export interface Selection {
  /** All volumes of the set: those chosen, and those that promised applications need. */
  readonly volumes: readonly string[]
  readonly writers: readonly SelectedWriter[]
}

export interface SelectedWriter {
  readonly metadata: WriterMetadata
  readonly added: readonly ComponentReference[]
  /** Components to be added by the rules that were not, each with its reason. */
  readonly leftOut: readonly LeftOutComponent[]
  /** Volumes that the added components lie on, with all that comes along. */
  readonly volumes: readonly string[]
}

export interface LeftOutComponent {
  readonly component: ComponentReference
  readonly reason:
    | 'volume-not-in-set' | 'elsewhere' | 'path-unknown' | 'vetoed' | 'writer-incomplete'
  readonly detail: string
  /** Volumes of this host that it lies on, as far as they are known. */
  readonly volumes: readonly string[]
}

export function selectComponents(request: SelectionRequest): Selection {
  return atOnce(selectingComponents(request))
}

export function* selectingComponents(request: SelectionRequest): Work<Selection> {
  const chosen = new Set(request.volumes)
  const needs: { readonly metadata: WriterMetadata; readonly roots: readonly Need[] }[] = []
  for (const metadata of request.writers) {
    const roots: Need[] = []
    for (const root of yield* rootsOf(metadata.components)) {
      roots.push(yield* needOf(metadata, root, request.volumeOf))
      yield
    }
    needs.push({ metadata, roots })
  }
  for (const { metadata, roots } of needs) {
    if (!request.promised.has(metadata.writerId)) continue
    for (const { volumes } of roots) for (const volume of volumes) chosen.add(volume)
  }
  const writers: SelectedWriter[] = []
  for (const { metadata, roots } of needs) {
    writers.push(yield* select(metadata, roots, chosen, request.without.has(metadata.writerId)))
  }
  return { volumes: [...chosen], writers }
}

/** A component to be added explicitly, and all that its tree needs. */
interface Need {
  readonly reference: ComponentReference
  readonly selectable: boolean
  readonly volumes: ReadonlySet<string>
  readonly elsewhere: string | undefined
  readonly unknown: string | undefined
}

/** Those without a selectable ancestor, in the order of the document. */
export function* rootsOf(components: readonly WriterComponent[]): Work<readonly Root[]> {
  const selectable = new Map(yield* mapping(components.filter((it) => it.selectable),
    (it) => [fullPath(it), it] as const))
  const tops = yield* mapping(components, (it) => topAncestor(it, selectable))
  const roots = new Map<WriterComponent, WriterComponent[]>()
  for (const [index, component] of components.entries()) {
    if (tops[index] === undefined) roots.set(component, [component])
  }
  for (const [index, component] of components.entries()) {
    const top = tops[index]
    if (top !== undefined) roots.get(top)?.push(component)
  }
  return [...roots].map(([component, tree]) => ({ component, tree }))
}

export interface Root {
  readonly component: WriterComponent
  /** The component itself and everything that comes with it. */
  readonly tree: readonly WriterComponent[]
}

/** Logical paths of Windows are compared without regard to case here: too many roots do no harm. */
function fullPath({ logicalPath, name }: WriterComponent): string {
  return (logicalPath === null || logicalPath === '' ? name : `${logicalPath}\\${name}`)
    .toLowerCase()
}

/** The selectable ancestor that itself has none. */
function topAncestor(
  { logicalPath }: WriterComponent, selectable: ReadonlyMap<string, WriterComponent>,
): WriterComponent | undefined {
  const path = (logicalPath ?? '').toLowerCase()
  for (let end = path.indexOf('\\'); end !== -1; end = path.indexOf('\\', end + 1)) {
    const found = selectable.get(path.slice(0, end))
    if (found !== undefined) return found
  }
  return path === '' ? undefined : selectable.get(path)
}

function* needOf(
  { writerId, instanceId }: WriterMetadata, { component, tree }: Root, volumeOf: VolumeOfPath,
): Work<Need> {
  const volumes = new Set<string>()
  let elsewhere: string | undefined
  let unknown: string | undefined
  const paths = new Set<string>()
  for (const { files } of tree) {
    for (const { path } of files) paths.add(path)
    yield
  }
  yield* mapping(paths, (path) => {
    const found = volumeOf(path)
    if ('volume' in found) volumes.add(found.volume)
    else if ('elsewhere' in found) elsewhere ??= `${path}: ${found.elsewhere}`
    else unknown ??= `${path}: ${found.unknown}`
  })
  const { type, logicalPath, name, selectable } = component
  return {
    reference: { writerId, instanceId, type, logicalPath, name },
    selectable, volumes, elsewhere, unknown,
  }
}

function* select(
  metadata: WriterMetadata, roots: readonly Need[], chosen: ReadonlySet<string>, vetoed: boolean,
): Work<SelectedWriter> {
  const whyNot = new Map(yield* mapping(roots, (need) => [need, vetoed
    ? { reason: 'vetoed', detail: 'its writer made an earlier attempt fail' } as const
    : lacks(need, chosen)] as const))
  const lacking = roots.find((need) => !need.selectable && whyNot.get(need) !== undefined)
  const added: ComponentReference[] = []
  const leftOut: LeftOutComponent[] = []
  const volumes = new Set<string>()
  yield* mapping(roots, (need) => {
    const why = whyNot.get(need) ?? (lacking === undefined ? undefined : {
      reason: 'writer-incomplete',
      detail: `its writer wants ${lacking.reference.name} with it` } as const)
    if (why === undefined) {
      added.push(need.reference)
      for (const volume of need.volumes) volumes.add(volume)
    } else leftOut.push({ component: need.reference, volumes: [...need.volumes], ...why })
  })
  return { metadata, added, leftOut, volumes: [...volumes] }
}

function lacks(
  { volumes, elsewhere, unknown }: Need, chosen: ReadonlySet<string>,
): Pick<LeftOutComponent, 'reason' | 'detail'> | undefined {
  if (elsewhere !== undefined) return { reason: 'elsewhere', detail: elsewhere }
  if (unknown !== undefined) return { reason: 'path-unknown', detail: unknown }
  const missing = [...volumes].filter((volume) => !chosen.has(volume))
  return missing.length === 0 ? undefined
    : { reason: 'volume-not-in-set', detail: missing.join(', ') }
}
