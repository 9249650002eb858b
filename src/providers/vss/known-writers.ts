/** Writers that are told apart by what they are. */

/**
 * Writers of Windows itself, by Microsoft's list of those in the box: they are held too, and nobody
 * keeps data in them. Any other is an application. By name, since documents of other platforms
 * give no more; these names are not translated.
 */
export const SYSTEM_WRITERS: ReadonlySet<string> = new Set([
  'System Writer', 'Registry Writer', 'COM+ REGDB Writer', 'WMI Writer', 'ASR Writer',
  'Shadow Copy Optimization Writer', 'MSSearch Service Writer', 'BITS Writer',
  'Task Scheduler Writer', 'VSS Metadata Store Writer', 'Performance Counters Writer',
  'IIS Config Writer', 'IIS Metabase Writer',
])

/** Microsoft Hyper-V VSS Writer: each component is a virtual machine, but for the host's own. */
export const HYPERV_WRITER = '66841cd4-6ded-4f4b-8f17-fd23f8ddc3de'

/**
 * How the Hyper-V writer has a machine, by its component's caption, `Online\\db1`. Whatever is not
 * known to be online counts as saved: that claims less.
 */
export function guestOf(
  name: string, caption: string): { readonly guest: 'online' | 'saved'; readonly vm: string } {
  const [, how = '', vm = ''] = /^([^\\]*)\\(.*)$/.exec(caption) ?? []
  const isOnline = /^(online|backup using child partition snapshot)$/i.test(how.trim())
  return { guest: isOnline ? 'online' : 'saved', vm: vm.trim() === '' ? name : vm.trim() }
}
