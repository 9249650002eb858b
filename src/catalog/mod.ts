export type {
  MachineDescription, MachineDisk, MachineNic, PlatformDocument,
} from './machine.ts'
export type { MachineSummary, Platform } from './platform.ts'
