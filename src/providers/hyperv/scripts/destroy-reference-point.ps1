# In: { referencePoint }. Out: what was started.
. "$PSScriptRoot\common.ps1"
Write-Result {
  param($request)
  $id = $request.referencePoint
  $point = Get-Instance 'Msvm_VirtualSystemReferencePoint' 'InstanceID' 'Microsoft:' $id
  Get-Started (Get-HostService 'Msvm_VirtualSystemReferencePointService' |
    Invoke-CimMethod -MethodName DestroyReferencePoint -Arguments @{
      AffectedReferencePoint = $point })
}
