export {
  PointFiles, type FileListing, type FilePlace, type ListedFile, type PointVolume,
} from './files/point-files.ts'
export { writeImageFile } from './files/write-file.ts'
export type { LogsProof } from './logs/prove-logs.ts'
export { provePoint, type Proof, type ProofRequest } from './prove-point.ts'
export { qemuCommandFor, shellLine } from './qemu-command.ts'
export {
  restoreDisks, type RestoredMachine, type RestoreProgress, type RestoreRequest,
} from './restore-disks.ts'
export { checkDatabases, type DatabasesRequest } from './databases/check-databases.ts'
export type { RestoredDisk } from './restored-disk.ts'
