/**
 * What diskshadow runs by `exec` while its set is there: tells the requestor, and ends when it says
 * so. Without its word it ends with an error, and diskshadow quits without `end backup`.
 */

import { connect } from 'node:net'

const [, , pipe = ''] = process.argv
const socket = connect({ path: pipe })
let isReleased = false
socket.on('data', (bytes) => { isReleased ||= bytes.includes('+') })
socket.on('error', () => process.exit(1))
socket.on('close', () => process.exit(isReleased ? 0 : 1))
socket.write('held\n')
