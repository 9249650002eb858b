export { drive } from './drive.ts'
export { FakeFreezer } from './fake-guest.ts'
export { FakeProvider, type FakeProviderOptions } from './fake-provider.ts'
export { FakeTracking } from './fake-tracking.ts'
export { FakeWriter, type FakeWriterOptions } from './fake-writer.ts'
export { freezerContract, type FreezerBench } from './freezer-contract.ts'
export { commitSet, providerContract, type ProviderBench } from './provider-contract.ts'
export {
  SAMPLE_HOLD, SAMPLE_POINT_ID, SAMPLE_WRITER_HOLD, sampleApplication, sampleEvidence,
  sampleVolume,
} from './sample-evidence.ts'
export { writerContract, type WriterBench } from './writer-contract.ts'
export { signAnything, testSigner } from './signers.ts'
