/**
 * The agent as a service of systemd (systemd.service(5), systemd.exec(5), systemd.kill(5)).
 *
 * What it takes away must break no writer, and no usual script. Nothing here gives the service a
 * mount namespace of its own (`ProtectSystem=`, `PrivateTmp=`, `ProtectKernelModules=` …): the
 * agent says on which disks data lies by the mounts that it sees, and those must be the machine's;
 * sockets of servers lie in /tmp too. Nothing restricts devices: the port is one, and comes late.
 * No `MemoryDenyWriteExecute=`: V8 compiles. No `IPAddressAllow=localhost`: a server may listen on
 * another address of its machine.
 */

import { EXECUTABLE } from './places.ts'

/**
 * What root keeps: looking at other accounts' processes and files, becoming the account of a
 * database, signals and owners for scripts. It cannot mount, load modules, set the clock, reboot,
 * trace system calls or change the network.
 */
const CAPABILITIES = [
  'CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_DAC_READ_SEARCH', 'CAP_FOWNER', 'CAP_KILL', 'CAP_SETGID',
  'CAP_SETUID', 'CAP_SYS_PTRACE',
]

export const SERVICE_UNIT = `\
# Written by \`stillpoint-agent install\`, and again by the next one. Put changes into
# stillpoint-agent.service.d/local.conf beside it. A script that needs more than this allows, say
# CAP_SYS_ADMIN for fsfreeze, gets it there: CapabilityBoundingSet=CAP_SYS_ADMIN adds to the list.
[Unit]
Description=Stillpoint agent: holds applications still while the machine is backed up
# Wait for the port as long as it takes.
StartLimitIntervalSec=0

[Service]
ExecStart=${EXECUTABLE} --wait
Restart=always
RestartSec=2
# Or systemd kills the shells of scripts along with the agent, before they have released anything.
KillMode=process
UMask=0077
CapabilityBoundingSet=${CAPABILITIES.join(' ')}
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes

[Install]
WantedBy=multi-user.target
`
