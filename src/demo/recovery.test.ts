import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redoOf } from './recovery.ts'

const logs = (postgresql: readonly string[], mariadb: readonly string[]): Parameters<
  typeof redoOf>[0] => ({ logs: new Map([['postgresql', postgresql], ['mariadb', mariadb]]) })

test('what was read again is the distance of the two positions, over the 32-bit halves too', () => {
  assert.deepEqual(redoOf(logs(
    ['LOG:  redo starts at 0/FFFFFF00', 'LOG:  redo done at 1/100 system usage: CPU: 0.01 s'],
    ['0 [Note] InnoDB: Starting crash recovery from checkpoint LSN=859655',
      '0 [Note] InnoDB: End of log at LSN=1301270'],
  )), { postgresql: 512, mariadb: 441_615 })
})

test('a log that does not say it, or makes no sense, is not a recovery of nothing', () => {
  assert.deepEqual(redoOf({ logs: new Map() }), { postgresql: undefined, mariadb: undefined })
  assert.deepEqual(redoOf(logs(
    ['redo starts at 0/200', 'redo done at 0/100'], ['InnoDB: End of log at LSN=1301270'],
  )), { postgresql: undefined, mariadb: undefined })
  assert.equal(redoOf(logs(['LOG:  redo is not required'], [])).postgresql, 0)
})
