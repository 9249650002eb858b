export { rawCrc32c } from '../probe/crc32c.ts'
export { contractContent, testBlockSource } from './contract.ts'
export { faultyBlockSource } from './faulty-block-source.ts'
export { memorySource } from './memory-disk.ts'
export { memorySink } from './memory-sink.ts'
export { ntfsImage } from './ntfs-image.ts'
export {
  chunk, optionReply, packed, startScriptedNbdServer, type NbdScript, type ScriptedRequest,
} from './scripted-nbd-server.ts'
export { vhdImage, type VhdImage } from './vhd-image.ts'
export { assembled, vhdxImage, type FilePieces, type VhdxBlock } from './vhdx-image.ts'
export { missingProgram, startNbdkit, startQemuNbd, type NbdProgram } from './nbd-programs.ts'
