export { proveImage } from './prove-image.ts'
export { qemuCommandFor, shellLine } from './qemu-command.ts'
export {
  restoreDisks, type RestoredMachine, type RestoreProgress, type RestoreRequest,
} from './restore-disks.ts'
export { checkDatabases, type DatabasesRequest } from './databases/check-databases.ts'
export type { RestoredDisk } from './restored-disk.ts'
