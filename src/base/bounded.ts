/** Bounded concurrency over pulled items, results in order (STYLE.md "Bytes in motion"). */

export interface Bounds<In> {
  /** How many calls of `fn` may be under way at once; at least 1. */
  readonly inFlight: number
  /** The bytes those calls may hold together; one item may exceed it, alone. */
  readonly inFlightBytes?: number
  /** The bytes an item holds; needed for `inFlightBytes`. */
  readonly sizeOf?: (item: In) => number
}

interface Running<Out> {
  readonly bytes: number
  readonly done: Promise<{ readonly value: Out } | { readonly error: unknown }>
}

/**
 * Calls `fn` for each item of `source` with at most `bounds` under way; yields in source order.
 * The first error (of source or `fn`) is thrown after the calls under way have settled. A consumer
 * that stops early closes the source.
 */
export async function* mapBounded<In, Out>(
  source: AsyncIterable<In> | Iterable<In>,
  bounds: Bounds<In>,
  fn: (item: In) => Promise<Out>,
): AsyncGenerator<Out, void, undefined> {
  const queue: Running<Out>[] = []
  let bytes = 0
  const takeOldest = async (): Promise<Out> => {
    const oldest = queue.shift()
    if (oldest === undefined) throw new Error('mapBounded: nothing is under way')
    const outcome = await oldest.done
    bytes -= oldest.bytes
    if ('error' in outcome) throw outcome.error
    return outcome.value
  }
  const isFull = (next: number): boolean =>
    queue.length >= Math.max(1, bounds.inFlight) ||
    (queue.length > 0 && bytes + next > (bounds.inFlightBytes ?? Infinity))
  try {
    for await (const item of source) {
      const size = bounds.sizeOf?.(item) ?? 0
      while (isFull(size)) yield await takeOldest()
      bytes += size
      queue.push({ bytes: size, done: settle(fn, item) })
    }
    while (queue.length > 0) yield await takeOldest()
  } finally {
    await Promise.all(queue.map((running) => running.done))
  }
}

async function settle<In, Out>(
  fn: (item: In) => Promise<Out>, item: In): Promise<{ value: Out } | { error: unknown }> {
  try {
    return { value: await fn(item) }
  } catch (error) {
    return { error }
  }
}

/** Runs `fn` over `source` as `mapBounded` does, for its effects alone. */
export async function forEachBounded<In>(
  source: AsyncIterable<In> | Iterable<In>,
  bounds: Bounds<In>,
  fn: (item: In) => Promise<void>,
): Promise<void> {
  for await (const _ of mapBounded(source, bounds, fn)) {
    // Pulled for its effects.
  }
}
