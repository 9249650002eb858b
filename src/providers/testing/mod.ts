export { BareQemu, qemuMissing, type BareQemuOptions } from './bare-qemu.ts'
export { FakeGuestAgent, type FakeAgentBehaviour } from './fake-guest-agent.ts'
export { FakeQmpError, FakeQmpServer, type FakeQmpHandler } from './fake-qmp-server.ts'
export { temporaryFolder, type TemporaryFolder } from './temporary-folder.ts'
