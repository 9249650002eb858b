/** Names the agent of one of libvirt's machines, where a socket's path would name another's. */

const PREFIX = 'libvirt:'

export interface LibvirtAgent {
  readonly uuid: string
  readonly uri: string
}

/** `libvirt:UUID@URI`: no path begins like that, as paths here are absolute. */
export function libvirtAgentAddress({ uuid, uri }: LibvirtAgent): string {
  return `${PREFIX}${uuid}@${uri}`
}

export function isLibvirtAgent(path: string): boolean {
  return path.startsWith(PREFIX)
}

/** Undefined for what is no such address. */
export function parseLibvirtAgent(address: string): LibvirtAgent | undefined {
  const [, uuid, uri] = /^libvirt:([0-9a-f-]{36})@([a-z].{0,2047})$/.exec(address) ?? []
  return uuid === undefined || uri === undefined ? undefined : { uuid, uri }
}
