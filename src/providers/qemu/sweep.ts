import type { Clock } from '../../base/clock.ts'
/** stub */
export async function sweepAbandoned(path: string, nodePrefix: string, clock: Clock): Promise<void> {
  void path; void nodePrefix; await Promise.resolve(clock)
}
