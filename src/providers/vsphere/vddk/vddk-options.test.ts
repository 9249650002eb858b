import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nbdkitArguments } from './vddk-options.ts'

test('nbdkit is told all by keys, and the password by the file that holds it', () => {
  const args = nbdkitArguments(
    { libraryDir: '/opt/vddk', user: '--run=evil', passwordFile: '/etc/pw' },
    { host: 'vc.example', port: '', thumbprint: 'AA:BB' },
    {
      machine: { type: 'VirtualMachine', id: 'vm-57' },
      snapshot: { type: 'VirtualMachineSnapshot', id: 'snapshot-3' },
      fileName: '[ds 1] db1/--help.vmdk',
    }, { socketPath: '/run/s', pidPath: '/run/p' })
  assert.deepEqual(args, [
    '--foreground', '--exit-with-parent', '--readonly', '--threads=4', '--unix=/run/s',
    '--pidfile=/run/p', 'vddk', 'libdir=/opt/vddk', 'server=vc.example', 'user=--run=evil',
    'password=+/etc/pw', 'thumbprint=AA:BB', 'vm=moref=vm-57', 'snapshot=snapshot-3',
    'file=[ds 1] db1/--help.vmdk'])
})
