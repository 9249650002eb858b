/**
 * Loaded before tests, by `--import`. `node:test` follows every promise with an async hook, to tell
 * which test an error belongs to that nobody caught; loops of promises take 4 to 17 times as long
 * for it. Without promises in that hook such an error fails its file, as `without-hooks.test.ts`
 * shows. Tests themselves stay in it: by them a suite knows what is its own.
 */

import asyncHooks, { type HookCallbacks } from 'node:async_hooks'
import { isMainThread } from 'node:worker_threads'

if (isMainThread) {
  const { createHook } = asyncHooks
  asyncHooks.createHook = (callbacks: HookCallbacks) =>
    createHook(Object.assign({}, callbacks, { trackPromises: false }))
  await import('node:test')
  asyncHooks.createHook = createHook
}
