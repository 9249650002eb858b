# In: { path, trackingId, offset, length }. Out: how far was looked, and what has changed there.
. "$PSScriptRoot\common.ps1"
Write-Result {
  param($request)
  $found = Get-HostService 'Msvm_ImageManagementService' |
    Invoke-CimMethod -MethodName GetVirtualDiskChanges -Arguments @{
      Path = [string] $request.path; LimitId = [string] $request.trackingId; TargetSnapshotId = ''
      ByteOffset = [uint64] $request.offset; ByteLength = [uint64] $request.length }
  $started = Get-Started $found
  $started.processed = [long] (Get-Output $found 'ProcessedByteLength')
  $started.offsets = @(foreach ($it in @(Get-Output $found 'ChangedByteOffsets')) { [long] $it })
  $started.lengths = @(foreach ($it in @(Get-Output $found 'ChangedByteLengths')) { [long] $it })
  $started
}
