/** Which files the components of writers name, whether they were added to a backup or not. */

import { mapping, type Work } from '../../../base/turns.ts'
import type { FileSet, WriterMetadata } from './documents.ts'
import { expandPath, normalPath, variablesOf } from './paths.ts'
import { fitsWildcard } from '../../../base/wildcard.ts'

interface Claim {
  readonly filespec: string
  readonly recursive: boolean
}

export class WriterClaims {
  /** By folder, as `normalPath` has it. */
  readonly #claims = new Map<string, Claim[]>()

  /**
   * `environment`: variables that paths may name; what names others claims nothing. The System
   * Writer names 100,000 files.
   */
  static * reading(
    writers: readonly WriterMetadata[], environment: ReadonlyMap<string, string>,
  ): Work<WriterClaims> {
    const all = new WriterClaims()
    const variables = variablesOf(environment)
    for (const { components } of writers) {
      for (const { files } of components) {
        yield * mapping(files, (file) => all.#add(file, variables))
      }
      yield
    }
    return all
  }

  #add({ path, filespec, recursive }: FileSet, variables: ReadonlyMap<string, string>): void {
    const expanded = expandPath(path, variables)
    if (expanded === undefined) return
    const folder = normalPath(expanded)
    const known = this.#claims.get(folder)
    if (known === undefined) this.#claims.set(folder, [{ filespec, recursive }])
    else known.push({ filespec, recursive })
  }

  /** Whether the file or folder at this absolute path is named, or something in that folder. */
  has(path: string): boolean {
    const own = normalPath(path)
    if (this.#claims.has(own)) return true
    const parts = own.split('\\').slice(0, -1)
    const name = parts.pop() ?? ''
    for (let isParent = true; parts.length > 0; parts.pop(), isParent = false) {
      const claims = this.#claims.get(`${parts.join('\\')}\\`) ?? []
      if (claims.some(({ filespec, recursive }) =>
        (isParent || recursive) && fitsWildcard(name, filespec))) return true
    }
    return false
  }
}
