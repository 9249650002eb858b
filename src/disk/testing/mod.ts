export { rawCrc32c } from '../probe/crc32c.ts'
export { contractContent, testBlockSource, type OpenForContract } from './contract.ts'
export { faultyBlockSource, type DiskTrouble } from './faulty-block-source.ts'
export {
  memorySink, memorySource, type MemoryDiskOptions, type MemorySink,
} from './memory-disk.ts'
export { ntfsImage, type NtfsImage } from './ntfs-image.ts'
export {
  chunk, optionReply, packed, simpleReply, startScriptedNbdServer, type NbdScript,
  type ScriptedNbdServer, type ScriptedRequest,
} from './scripted-nbd-server.ts'
export { vhdImage, type VhdImage } from './vhd-image.ts'
export {
  assembled, vhdxImage, type FilePieces, type VhdxBlock, type VhdxImage,
} from './vhdx-image.ts'
export { missingProgram, startNbdkit, startQemuNbd, type NbdProgram } from './nbd-programs.ts'
