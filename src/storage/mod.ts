export { FILE_KINDS } from './storage.ts'
export type { FileKind, ListedFile, Storage, StorageFile } from './storage.ts'
export { openLocalStorage } from './local-storage.ts'
