/**
 * A round whose disks are read through nbdkit. VDDK is nobody's to ship, so that a stub stands in
 * for the plugin: the nbdkit is real, and serves what a script reads out of vcsim's datastore.
 */

import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vcsimMissing, type FrontHandler } from '../../src/providers/testing/mod.ts'
import { Round } from './vsphere-round.ts'

const NBDKIT = ['/usr/bin/nbdkit', '/usr/sbin/nbdkit', '/bin/nbdkit'].find((it) => existsSync(it))

/** Why such a round cannot be run here; false if it can. */
export const vddkSkip =
  vcsimMissing() ?? (NBDKIT === undefined ? 'nbdkit is not installed' : false)

/** A round whose configuration names VDDK, and whose PATH has a folder of ours first. */
export class VddkRound implements AsyncDisposable {
  readonly round: Round
  readonly programs: string
  readonly #path = process.env['PATH'] ?? ''

  private constructor(round: Round) {
    this.round = round
    this.programs = join(round.bench.folder, 'programs')
    process.env['PATH'] = `${this.programs}:${this.#path}`
  }

  static async start(
    handler: FrontHandler = () => false, ...flags: readonly string[]): Promise<VddkRound> {
    await using stack = new AsyncDisposableStack()
    const round = stack.use(await Round.start(handler, ...flags))
    const { folder } = round.bench
    await mkdir(join(folder, 'programs'))
    const file = join(folder, 'stillpoint.yaml')
    await writeFile(file, (await readFile(file, 'utf8'))
      .replace('    user: u', '    user: u\n    vddk: vddk'))
    stack.move()
    return new VddkRound(round)
  }

  /** A library that nothing can load. */
  async unpackLibrary(): Promise<void> {
    await mkdir(join(this.round.bench.folder, 'vddk', 'lib64'), { recursive: true })
    await writeFile(join(this.round.bench.folder, 'vddk', 'lib64', 'libvixDiskLib.so.8'), '')
  }

  /**
   * From now on nbdkit is a script that puts the stub in the place of the plugin. With a file
   * `hold-start` there, it is in `held`, and begins when `held-start` goes.
   */
  async stub(): Promise<void> {
    const { folder, datastoreDir } = this.round.bench
    const plugin = join(folder, 'stub-plugin')
    await writeFile(plugin, STUB_PLUGIN
      .replaceAll('@FOLDER@', folder).replaceAll('@DATASTORE@', datastoreDir), { mode: 0o755 })
    await writeFile(join(this.programs, 'nbdkit'), `#!/bin/bash
tr '\\0' ' ' </proc/$$/cmdline >>${folder}/commands; echo >>${folder}/commands
args=()
for it in "$@"; do
  if [ "$it" = vddk ]; then args+=(sh ${plugin}); else args+=("$it"); fi
done
case "$*" in *--unix=*) if mv ${folder}/hold-start ${folder}/held-start 2>/dev/null; then
  echo $$ >>${folder}/held
  while [ -e ${folder}/held-start ]; do sleep 0.05; done
fi ;; esac
exec ${NBDKIT ?? ''} "\${args[@]}"
`, { mode: 0o755 })
  }

  read(name: string): Promise<string> {
    return readFile(join(this.round.bench.folder, name), 'utf8')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.env['PATH'] = this.#path
    await this.round[Symbol.asyncDispose]()
  }
}

/**
 * Keeps what it is told and serves the flat file beside the name that it gets. With a file `hold`
 * there, a read does not come back until its process is killed: it is in `held`.
 */
const STUB_PLUGIN = `#!/bin/bash
case "$1" in
  dump_plugin) echo vddk_library_version=8 ;;
  config) echo "$2=$3" >>@FOLDER@/told
    if [ "$2" = password ]; then cat "\${3#+}" >>@FOLDER@/password-read; fi ;;
  config_complete | can_write) ;;
  open) name=$(tail -n 1 @FOLDER@/told | sed -n 's/^file=\\[[^]]*\\] //p')
    if [ ! -e "@DATASTORE@/\${name%.vmdk}-flat.vmdk" ]; then
      echo 'EIO VixDiskLib_Open: the disk is not there' >&2; exit 1; fi
    echo "@DATASTORE@/\${name%.vmdk}-flat.vmdk" ;;
  get_size) stat -c %s "$2" ;;
  pread) if [ -e @FOLDER@/hold ]; then echo $$ >>@FOLDER@/held; exec sleep 900; fi
    dd if="$2" skip="$4" count="$3" iflag=skip_bytes,count_bytes bs=1M status=none ;;
  *) exit 2 ;;
esac
exit 0
`

/** Folders of nbdkit that are there. */
export async function leftBehind(): Promise<readonly string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith('stillpoint-vddk-'))
}
