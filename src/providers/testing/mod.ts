export { ModelImage, serveBitmaps, type ModelBitmap } from './bitmap-model.ts'
export { BareQemu, qemuMissing, type BareQemuOptions } from './bare-qemu.ts'
export { FakeGuestAgent, type FakeAgentBehaviour } from './fake-guest-agent.ts'
export { FakeQmpError, FakeQmpServer, type FakeQmpHandler } from './fake-qmp-server.ts'
export { QmpClient } from '../qemu/qmp-client.ts'
export { serverCertificate, type ServerCertificate } from './certificates.ts'
export {
  SoapFront, soapAnswer, soapFaultAnswer, type FrontCall, type FrontHandler,
} from './soap-front.ts'
export { makeZip } from './make-zip.ts'
export { StubProcess } from './stub-process.ts'
export { temporaryFolder, type TemporaryFolder } from './temporary-folder.ts'
export { Vcsim, vcsimMissing } from './vcsim.ts'
export { VsphereBench } from './vsphere-bench.ts'
export { HttpsClient } from '../vsphere/vim/https.ts'
export { VimClient } from '../vsphere/vim/client.ts'
export { GuardedFreezer } from '../guardian/freezer.ts'
export { Guard } from '../guardian/guard.ts'
export type { RunningGuardian, StartGuardian } from '../guardian/guardian-process.ts'
export { thawLeftovers } from '../guardian/leftovers.ts'
export {
  encodeMessage, faultFromPlain, parseMessage, parseRequest, plainFault, type GuardianMessage,
} from '../guardian/protocol.ts'
export { listRecords, recordFileFor, type HoldSockets } from '../guardian/record.ts'
export { RELEASE_TIMES } from '../guardian/release.ts'
export { Guardian, type GuardianPorts } from '../guardian/guardian.ts'
export { describeHostileDomain } from './hostile-domain.ts'
export { SimulatedVss } from './vss/simulator.ts'
export { vssTransportContract, type OpenVssBench, type VssBench } from './vss/transport-contract.ts'
export type { ScriptedWriter, VssEvent, VssScenario } from './vss/scenario.ts'
export {
  DATA_VOLUME, NTDS_WRITER, ntdsWriter, sampleDocument, sampleHost, sampleVolumeOf, sampleWriter,
  SQL_WRITER, sqlWriter, SYSTEM_VOLUME, SYSTEM_WRITER, systemWriter,
} from './vss/sample-host.ts'
export { ImpatientClock, sampleRequest, vssSessionContract } from './vss/session-contract.ts'
export { parseBackupComponents, parseWriterMetadata } from '../vss/session/documents.ts'
export { selectComponents } from '../vss/session/selection.ts'
export { openDiskshadowBench } from './vss/diskshadow-bench.ts'
export { editedInventory, type EditObject } from './vcsim-inventory.ts'
