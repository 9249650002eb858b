export { socketChannel, type ByteChannel, type ChannelListener } from './byte-channel.ts'
export {
  encodeAnnounced, type HookDiscovery, type HookStanding,
} from './hook-answers.ts'
export { HOOK_FREEZE_MS, HookDesk } from './hook-desk.ts'
export { connectHookHost } from './hook-host.ts'
export { isNonce, parseToken, TOKEN_FILE, type HookToken } from './hook-token.ts'
export { plainFault, faultOf } from './messages.ts'
export { connectRemoteHost } from './remote-host.ts'
export { serveHost } from './serve-host.ts'
