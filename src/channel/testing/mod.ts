export { channelPair, type ChannelPair, type OnTheWay } from './pair.ts'
