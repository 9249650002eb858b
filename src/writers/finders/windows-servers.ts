/** Servers on a Windows that keep data, by the services that run. */

import type { DiscoveredApplication, RunningService } from '../../consistency/mod.ts'
import { SERVER_KINDS } from './server-kinds.ts'

export interface WindowsServer {
  readonly title: string
  /** Fits the name of the service's program, in lower case without `.exe`. */
  readonly program?: RegExp
  /** Fits the name of the service, in lower case. */
  readonly service?: RegExp
  /** Fits what it was started with, where programs of one name are many things. */
  readonly command?: RegExp
  readonly recovery: DiscoveredApplication['recovery']
  readonly advice: string
  /** The title of the kind that its data is. */
  readonly data?: string
  /** Finds the folder of its data in what it was started with. */
  readonly folder?: RegExp
  /** What the name of the writer begins with that holds it. */
  readonly writer?: string
}

const withWriter = (
  title: string, by: Pick<WindowsServer, 'program' | 'service'>, writer: string,
  more: Partial<WindowsServer> = {}): WindowsServer => ({
  title, ...by, writer, recovery: 'self', ...more,
  advice: `Its writer, ${writer}, is not among those that VSS lists: see that it runs, and ` +
    'stillpoint writers.',
})

const without = (
  title: string, program: RegExp, how: string, more: Partial<WindowsServer> = {},
): WindowsServer => ({
  title, program, recovery: 'self', ...more,
  advice: `It has no writer: ${how}, or stop it for the backup.`,
})

/** The first that fits counts. Names of writers are Microsoft's and Oracle's, not translated. */
const WINDOWS_SERVERS: readonly WindowsServer[] = [
  withWriter('Windows Internal Database', { service: /^mssql\$microsoft##wid$/ }, 'WIDWriter'),
  withWriter('SQL Server', { program: /^sqlservr$/ }, 'SqlServerWriter',
    { data: 'SQL Server data' }),
  withWriter('Exchange', { service: /^msexchangeis$/ }, 'Microsoft Exchange Writer'),
  withWriter('Active Directory', { service: /^ntds$/ }, 'NTDS'),
  withWriter('DHCP server', { service: /^dhcpserver$/ }, 'Dhcp Jet Writer'),
  withWriter('WINS', { service: /^wins$/ }, 'WINS Jet Writer'),
  withWriter('certificate authority', { service: /^certsvc$/ }, 'Certificate Authority'),
  withWriter('Hyper-V', { service: /^vmms$/ }, 'Microsoft Hyper-V VSS Writer'),
  withWriter('Oracle Database', { program: /^oracle$/ }, 'Oracle VSS Writer',
    { data: 'Oracle data' }),
  without('PostgreSQL', /^(pg_ctl|postgres)$/, 'have pg_basebackup or pg_dump make a copy before', {
    data: 'PostgreSQL data', folder: /\s-D\s+(?:"([^"]+)"|(\S+))/ }),
  without('MariaDB or MySQL', /^(mysqld(-nt)?|mariadbd)$/, 'have it dumped before', {
    data: 'MariaDB or MySQL data' }),
  without('Redis', /^(redis-server|memurai)$/, 'have it BGSAVE before', { data: 'Redis data' }),
  without('FileMaker Server', /^(fmserver|fmserverd|fmsased|fmshelper)$/,
    'have its own schedule make a backup before', {
      recovery: 'unknown', data: 'FileMaker database' }),
  without('InterBase', /^ibserver$/, 'have gbak make a copy before', {
    data: 'Firebird or InterBase database' }),
  without('Domino', /^n?(service|server)$/, 'have it make its own backup before', {
    recovery: 'unknown', service: /domino/, data: 'Notes database' }),
  without('Btrieve engine', /^(w3dbsmgr|ntdbsmgr|ntbtrv|zenengnsvc)$/,
    'use its continuous mode meanwhile', { recovery: 'unknown', data: 'Btrieve files' }),
  without('QuickBooks database server', /^qbdbmgrn?$/, 'have QuickBooks make a backup before', {
    recovery: 'unknown', data: 'QuickBooks company file' }),
  without('OpenEdge', /^_mprosrv$/, 'have probkup make a copy before', {
    data: 'OpenEdge database, open now,' }),
  ...SERVER_KINDS.map(({ title, comm, args, recovery, how }): WindowsServer => ({
    ...without(title, comm, `use ${how}`), recovery,
    ...args === undefined ? {} : { command: args },
    ...title === 'MongoDB' ? { data: 'MongoDB data' } : {},
    ...title === 'Firebird' ? { data: 'Firebird or InterBase database' } : {},
  })),
]

export interface RunningServer {
  readonly server: WindowsServer
  readonly service: RunningService
}

export function runningServers(services: readonly RunningService[]): readonly RunningServer[] {
  return services.flatMap((service) => {
    const server = WINDOWS_SERVERS.find((it) => isOf(it, service))
    return server === undefined ? [] : [{ server, service }]
  })
}

function isOf(
  { program, service, command }: WindowsServer, running: RunningService): boolean {
  const [, path = ''] = /^\s*"?([^"]*?\.exe)\b/i.exec(running.command) ?? []
  const name = (path.split(/[\\/]/).at(-1) ?? '').toLowerCase().replace(/\.exe$/, '')
  return (program === undefined || program.test(name)) &&
    (service === undefined || service.test(running.name.toLowerCase())) &&
    (command === undefined || command.test(running.command))
}

/** Where the service says that its data lies; undefined where it does not. */
export function folderOf({ server, service }: RunningServer): string | undefined {
  const [, quoted, plain] = server.folder?.exec(service.command) ?? []
  return quoted ?? plain
}
