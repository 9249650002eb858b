export { openQemuPlatform } from './qemu/platform.ts'
export { parseQemuTarget } from './qemu/options.ts'
export type { ProviderContext, QemuOptions, QemuTarget } from './qemu/options.ts'
