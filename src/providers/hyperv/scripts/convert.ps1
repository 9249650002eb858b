# In: { checkpoint }. Out: what was started. The checkpoint goes, and a reference point stays.
. "$PSScriptRoot\common.ps1"
Write-Result {
  param($request)
  Get-Started (Get-HostService 'Msvm_VirtualSystemSnapshotService' |
    Invoke-CimMethod -MethodName ConvertToReferencePoint -Arguments @{
      AffectedSnapshot = Get-Settings $request.checkpoint })
}
