export {
  PointFiles, type FileListing, type FilePlace, type ListedFile, type PointVolume,
} from './files/point-files.ts'
export { writeImageFile } from './files/write-file.ts'
export type { LogsProof } from './logs/prove-logs.ts'
export { provePoint, type ProofRequest } from './prove-point.ts'
export { qemuCommandFor, shellLine } from './qemu-command.ts'
export { restoreDisks, type RestoredMachine, type RestoreProgress } from './restore-disks.ts'
export { checkDatabases } from './databases/check-databases.ts'
