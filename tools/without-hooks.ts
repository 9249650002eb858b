/**
 * Loaded before tests, by `--import`. `node:test` follows every promise with an async hook, to tell
 * which test an error belongs to that nobody caught; loops of promises take 4 to 17 times as long
 * for it. Without that hook such an error fails its file, as `without-hooks.test.ts` shows.
 */

import asyncHooks from 'node:async_hooks'
import { isMainThread } from 'node:worker_threads'

if (isMainThread) {
  const { createHook } = asyncHooks
  asyncHooks.createHook = () => createHook({})
  await import('node:test')
  asyncHooks.createHook = createHook
}
