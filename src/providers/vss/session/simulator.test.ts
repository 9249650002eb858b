import { seededRandom } from '../../../base/random.ts'
import { SimulatedVss, vssTransportContract } from '../../testing/mod.ts'

vssTransportContract('the simulator', (scenario) => {
  const transport = new SimulatedVss(scenario, seededRandom(1))
  return Promise.resolve({
    transport, journal: () => Promise.resolve(transport.journal),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  })
})
