# In: { checkpoint }. Out: what was started. Its differences are merged.
. "$PSScriptRoot\common.ps1"
Write-Result {
  param($request)
  Get-Started (Get-HostService 'Msvm_VirtualSystemSnapshotService' |
    Invoke-CimMethod -MethodName DestroySnapshot -Arguments @{
      AffectedSnapshot = Get-Settings $request.checkpoint })
}
