export { socketChannel, type ByteChannel, type ChannelListener } from './byte-channel.ts'
export { connectRemoteHost, type RemoteHostParts } from './remote-host.ts'
export { serveHost, type ServedHost } from './serve-host.ts'
