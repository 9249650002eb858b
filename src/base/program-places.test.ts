import assert from 'node:assert/strict'
import { test } from 'node:test'
import { othersIn } from './access-list.ts'
import { programPlaces, type HostSystem } from './program-places.ts'

const LINUX: HostSystem = { platform: 'linux', environment: {}, home: '/home/a', userId: 1000 }

test('what is the program\'s own lies where the system keeps such things', () => {
  assert.deepEqual(programPlaces(LINUX), {
    config: '/etc/stillpoint', keys: '/home/a/.config/stillpoint',
    state: '/home/a/.local/state/stillpoint' })
  assert.equal(programPlaces({ ...LINUX, userId: 0 }).state, '/var/lib/stillpoint')
  for (const [environment, keys] of [
    [{ HOME: '/root' }, '/root/.config/stillpoint'],
    [{ HOME: '/root', XDG_CONFIG_HOME: '/x' }, '/x/stillpoint'],
    [{ XDG_CONFIG_HOME: 'x' }, '/work/x/stillpoint'],
  ] as const) assert.equal(programPlaces({ ...LINUX, environment }, '/work').keys, keys)
  const windows: HostSystem = {
    platform: 'win32', environment: { HOME: 'C:\\x' }, home: 'C:\\Users\\a', userId: undefined }
  assert.deepEqual(programPlaces(windows), {
    config: 'C:\\ProgramData\\Stillpoint', keys: 'C:\\ProgramData\\Stillpoint',
    state: 'C:\\ProgramData\\Stillpoint\\state' })
  assert.equal(programPlaces({ ...windows, environment: { PROGRAMDATA: 'D:\\x' } }).config,
    'D:\\x\\Stillpoint')
  for (const [named, config] of [
    ['D:\\Data', 'D:\\Data\\Stillpoint'], ['data', 'C:\\ProgramData\\Stillpoint']] as const) {
    assert.equal(programPlaces({ ...windows, environment: { ProgramData: named } }).config, config)
  }
})

const OWN = 'S-1-5-21-1-2-3-1001'

test('an access list names all others who may read or write', () => {
  for (const [sddl, mayRead, mayWrite] of [
    [`O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;;FA;;;${OWN})`, [], []],
    ['O:SYD:(A;;FA;;;S-1-5-18)(A;;0x1200a9;;;BU)', ['BU'], []],
    [`O:${OWN}D:(A;;FRFX;;;WD)(A;;0x1301bf;;;AU)`, ['WD', 'AU'], ['AU']],
    ['O:BAD:(A;;FRSD;;;WD)', ['WD'], ['WD']], // may delete it
    ['O:BAD:(A;;GA;;;IU)(D;;FA;;;WD)', ['IU'], ['IU']],
    ['O:BAD:(XA;;FR;;;BU;(Member_of {SID(BA)}))', ['somebody', 'BU'], ['somebody']],
    ['O:S-1-5-21-9-9-9-5D:(A;;FA;;;SY)', ['S-1-5-21-9-9-9-5'], ['S-1-5-21-9-9-9-5']],
    ['O:BA', ['everybody'], ['everybody']],
    ['O:BAD:NO_ACCESS_CONTROL', ['everybody'], ['everybody']],
    ['O:BAD:P', [], []], // an empty list: nobody
    ['O:BAD:(A;;what;;;WD)', ['WD'], ['WD']], ['O:BAD:(A)', ['somebody'], ['somebody']],
    ['', ['nobody knows who', 'everybody'], ['nobody knows who', 'everybody']],
  ] as const) assert.deepEqual(othersIn(sddl, OWN), { mayRead, mayWrite }, sddl)
})
