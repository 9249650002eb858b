/**
 * Installs, or uninstalls, and dies at a step: `kill-at.ts install|uninstall ROOT SOURCE STEP
 * COUNT`. COUNT is how many times the step is reached by then.
 */

import { installAgent, uninstallAgent, type InstallParts } from '../install/install.ts'
import { placesIn } from '../install/places.ts'
import { fakeSystemctl } from './fake-systemctl.ts'

const [, , verb = '', root = '', source = '', step = '', count = '1'] = process.argv
const never = new AbortController().signal

let left = Number(count)
const parts: InstallParts = {
  places: await placesIn(root),
  systemd: 'runs',
  systemctl: fakeSystemctl(root),
  procRoot: '/nonexistent',
  onStep: (at) => {
    if (at === step && --left === 0) process.kill(process.pid, 'SIGKILL')
  },
}
if (verb === 'install') await installAgent(source, parts, never)
else await uninstallAgent(parts, never)
