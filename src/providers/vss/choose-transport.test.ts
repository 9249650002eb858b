import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock as clock } from '../../base/clock.ts'
import { silentLog as log } from '../../base/log.ts'
import { chooseTransport } from './choose-transport.ts'

const systemFolder = 'C:\\Windows\\System32'
const notLoaded = (): Promise<never> => Promise.reject(new Error('no koffi.node for win32'))

test('VSS itself is called where koffi can be loaded, and nothing else is looked at', async () => {
  const { transport, because } = await chooseTransport({
    clock, log, systemFolder, loadKoffi: async () => ({}), isThere: () => assert.fail('looked') })
  assert.deepEqual([transport.name, transport.statusOf, because],
    ['koffi', 'this-session', undefined])
})

test('where it cannot, a server has diskshadow, and the reason is told', async () => {
  const asked: string[] = []
  const { transport, because } = await chooseTransport({
    clock, log, systemFolder, loadKoffi: notLoaded,
    isThere: async (path) => asked.push(path) > 0 })
  assert.deepEqual([transport.name, transport.statusOf, because],
    ['diskshadow', 'unsure', 'koffi cannot be loaded: no koffi.node for win32'])
  assert.deepEqual(asked, ['C:\\Windows\\System32\\diskshadow.exe'])
})

test('where neither is there, it is said how to come by one', async () => {
  await assert.rejects(chooseTransport({
    clock, log, systemFolder, loadKoffi: notLoaded, isThere: async () => false }),
  { code: 'program-missing', message: /koffi.*diskshadow is part of Windows Server alone/,
    advice: /npm ci/ })
})
