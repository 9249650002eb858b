/** VMware's own library for reading disks (VDDK), behind nbdkit's plugin of that name. */

import type { Moref } from '../vim/soap.ts'

export interface VddkOptions {
  /** The unpacked library: `lib64/libvixDiskLib.so` lies in it. The operator's own download. */
  readonly libraryDir: string
  readonly user: string
  /** nbdkit reads the password from it, so that it is on no command line. */
  readonly passwordFile: string
}

/** One disk of a snapshot. */
export interface VddkDisk {
  readonly machine: Moref
  readonly snapshot: Moref
  /** `[datastore] folder/file.vmdk`, as the snapshot has it. */
  readonly fileName: string
}

export interface VddkServer {
  readonly host: string
  /** Undefined for 443. */
  readonly port: string
  /** SHA-1 of the certificate that was verified, `AA:BB:…`: VDDK knows no other. */
  readonly thumbprint: string
}

/** Where nbdkit listens and says that it does. */
export interface VddkPlaces {
  readonly socketPath: string
  readonly pidPath: string
}

/** Requests that nbdkit has under way at once. */
const THREADS = 4

/**
 * nbdkit's arguments (nbdkit(1), nbdkit-vddk-plugin(1)). It ends with us, however we end, and
 * serves a socket alone. Each value stands behind its key, so that none can be taken for an option.
 */
export function nbdkitArguments(
  { libraryDir, user, passwordFile }: VddkOptions, { host, port, thumbprint }: VddkServer,
  { machine, snapshot, fileName }: VddkDisk, { socketPath, pidPath }: VddkPlaces,
): readonly string[] {
  return [
    '--foreground', '--exit-with-parent', '--readonly', `--threads=${THREADS}`,
    `--unix=${socketPath}`, `--pidfile=${pidPath}`, 'vddk',
    `libdir=${libraryDir}`, `server=${host}`, ...port === '' ? [] : [`port=${port}`],
    `user=${user}`, `password=+${passwordFile}`, `thumbprint=${thumbprint}`,
    `vm=moref=${machine.id}`, `snapshot=${snapshot.id}`, `file=${fileName}`,
  ]
}
