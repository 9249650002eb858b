export { socketChannel, type ByteChannel, type ChannelListener } from './byte-channel.ts'
export {
  encodeAnnounced, type HookDiscovery, type HookStanding,
} from './hook-answers.ts'
export { HOOK_FREEZE_MS, HookDesk, type HookDeskParts } from './hook-desk.ts'
export { connectHookHost, type HookHostParts } from './hook-host.ts'
export { isNonce, MAX_TOKEN_BYTES, parseToken, TOKEN_FILE, type HookToken } from './hook-token.ts'
export { plainFault, faultOf } from './messages.ts'
export { connectRemoteHost, type RemoteHostParts } from './remote-host.ts'
export { serveHost, type ServedHost } from './serve-host.ts'
