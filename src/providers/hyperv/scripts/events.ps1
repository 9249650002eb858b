# In: { sinceMs: milliseconds since 1970, name: of a machine }. Out: what the host logged of it.
. "$PSScriptRoot\common.ps1"
Write-Result {
  param($request)
  $epoch = ([DateTime] '1970-01-01T00:00:00Z').ToUniversalTime()
  $since = $epoch.AddMilliseconds([double] $request.sinceMs)
  $logs = 'Microsoft-Windows-Hyper-V-VMMS-Admin', 'Microsoft-Windows-Hyper-V-Worker-Admin',
    'Microsoft-Windows-Hyper-V-Integration-Admin', 'Microsoft-Windows-VHDMP-Operational'
  $events = foreach ($log in $logs) {
    foreach ($it in @(Get-WinEvent -FilterHashtable @{ LogName = $log; StartTime = $since } `
        -MaxEvents 500 -ErrorAction SilentlyContinue)) {
      $text = [string] $it.ToXml()
      if ($text.Contains([Security.SecurityElement]::Escape([string] $request.name)) -or
          $it.ProviderName -like '*VHDMP*') {
        @{ source = [string] $it.ProviderName; id = [int] $it.Id; level = [int] $it.Level
          at = $it.TimeCreated.ToUniversalTime().ToString('o') }
      }
    }
  }
  @{ events = @($events) }
}
