import { systemClock } from '../../base/clock.ts'
import { FakeFreezer } from './fake-guest.ts'
import { FakeProvider } from './fake-provider.ts'
import { FakeWriter } from './fake-writer.ts'
import { faultyFreezer, faultyProvider, faultyWriter, Mischief } from './faulty.ts'
import { freezerContract } from './freezer-contract.ts'
import { providerContract, type ProviderBench } from './provider-contract.ts'
import { writerContract } from './writer-contract.ts'

const clock = systemClock
/** A wrapper that is told to do nothing must change nothing. */
const harmless = new Mischief({ seed: 1, clock, faultRate: 0, delayRate: 0, maxDelayMs: 0 })
const nothing = { [Symbol.asyncDispose]: async () => {} }

freezerContract('the fake freezer', async () => {
  const freezer = new FakeFreezer({ clock, delayMs: 0 })
  return { freezer, isFrozen: async () => freezer.frozen !== undefined, ...nothing }
})

freezerContract('the faulty freezer at rest', async () => {
  const fake = new FakeFreezer({ clock, delayMs: 0 })
  const freezer = faultyFreezer(fake, harmless)
  if ('missing' in freezer) throw new Error('no freezer')
  return { freezer, isFrozen: async () => fake.frozen !== undefined, ...nothing }
})

function providerBench(kind: 'requestor' | 'platform', diskCount: number): ProviderBench {
  const disks = new Map(Array.from({ length: diskCount }, (_, at) =>
    [`disk${at}`, new Uint8Array(8192).fill(at + 1)]))
  const provider = new FakeProvider({
    clock, disks, commitMs: 0,
    heldBy: kind === 'requestor'
      ? { kind, freezer: new FakeFreezer({ clock, delayMs: 0 }) }
      : { kind, quiesce: { claimed: 'filesystem', documents: [] } },
  })
  return {
    provider,
    left: async () => [...provider.left],
    overwrite: async (id, bytes) => disks.get(id)?.set(bytes),
    ...nothing,
  }
}

providerContract('the fake provider, held by us', async () => providerBench('requestor', 2))
providerContract('the fake provider, one disk', async () => providerBench('requestor', 1))
providerContract('the fake provider, held by the platform',
  async () => providerBench('platform', 2))
providerContract('the faulty provider at rest', async () => {
  const bench = providerBench('requestor', 2)
  return { ...bench, provider: faultyProvider(bench.provider, harmless), ...nothing }
})

for (const kind of ['held', 'recoverable'] as const) {
  writerContract(`the fake writer (${kind})`, async () => {
    const writer = new FakeWriter('postgres', {
      clock, delayMs: 0,
      contract: kind === 'held'
        ? { kind } : { kind, durability: { state: 'safe', settings: 'fsync=on' } },
    })
    return { writer, isHeld: async () => writer.isFrozen, ...nothing }
  })
}

writerContract('the faulty writer at rest', async () => {
  const fake = new FakeWriter('redis', { clock, delayMs: 0 })
  const writer = {
    name: fake.name,
    discover: (signal: AbortSignal) => fake.discover(signal),
    prepare: async (...args: Parameters<FakeWriter['prepare']>) =>
      faultyWriter(await fake.prepare(...args), harmless),
  }
  return { writer, isHeld: async () => fake.isFrozen, ...nothing }
})
