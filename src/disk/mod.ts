export {
  bufferFor, checkInside, type BlockSink, type BlockSource, type SinkFile,
} from './block-source.ts'
export { withChanges } from './changed-source.ts'
export { alignRangesOutward, dataRanges, mergeExtents, mergeRanges } from './extent-stream.ts'
export {
  between, endOf, normalise, subtract, totalLength, type Extent, type Range,
} from './extents.ts'
export { BtrfsFileSystem } from './files/btrfs-file-system.ts'
export { ExtFileSystem } from './files/ext-file-system.ts'
export {
  entryNamed, type FileTree, type FolderEntry, type ImageFile, type Inode, type InodeKind,
} from './files/image-file.ts'
export { NtfsFileSystem, type NtfsInode } from './files/ntfs-file-system.ts'
export type { FilePattern } from './files/ntfs-match.ts'
export { readNtfsUse, type KnownUse, type NtfsUse } from './files/ntfs-used.ts'
export { usedSource } from './files/used-source.ts'
export { XfsFileSystem } from './files/xfs-file-system.ts'
export { nbdErrorOf } from './nbd/nbd-error.ts'
export { connectNbd, type NbdSource, type NbdTarget } from './nbd/nbd-source.ts'
export { connectNbdSink } from './nbd/nbd-sink.ts'
export {
  IMAGE_FORMATS, serveChain, serveImage, type ImageChain, type ImageFormat, type ImageServer,
} from './nbd/qemu-nbd.ts'
export {
  alreadyExists, completePartial, createPartial, removePartial, replaceWithPartial, syncFolder,
  type PartialFile,
} from './partial-file.ts'
export { rawCrc32c } from './probe/crc32c.ts'
export { probeDisk } from './probe/probe-disk.ts'
export {
  probeMapped, type MappedProbe, type MappedVolume, type PhysicalPlace,
} from './probe/probe-mapped.ts'
export type { ProbedVolume, Recognised, VolumeActivity } from './probe/volume.ts'
export { windowOf, type Window } from './probe/window.ts'
export { createRawSink } from './raw-sink.ts'
export { fileSource, openRawSource, type ReadableFile } from './raw-source.ts'
export type { FindFile } from './vhd/parent-chain.ts'
export { openVhd } from './vhd/vhd-source.ts'
export { openVhdx } from './vhd/vhdx-source.ts'
export { openVirtualDisk, type VirtualDiskFormat } from './vhd/open-virtual-disk.ts'
