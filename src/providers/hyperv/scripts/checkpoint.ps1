# In: { id, name, notes, level: 1 application | 2 crash }. Out: what was started.
. "$PSScriptRoot\common.ps1"
Write-Result {
  param($request)
  $class = Get-CimClass -Namespace $Namespace -ClassName Msvm_VirtualSystemSnapshotSettingData
  $values = @{ ConsistencyLevel = [byte] $request.level; IgnoreNonSnapshottableDisks = $false
    ElementName = [string] $request.name; Notes = [string[]] @([string] $request.notes) }
  # Since Server 2019: a copy, which leaves applications their logs. Others do not have it.
  $values.GuestBackupType = [byte] 2
  foreach ($name in @($values.Keys)) {
    if ($class.CimClassProperties.Name -notcontains $name) { $values.Remove($name) }
  }
  $settings = New-CimInstance -CimClass $class -ClientOnly -Property $values
  $serializer = [Microsoft.Management.Infrastructure.Serialization.CimSerializer]::Create()
  $text = [Text.Encoding]::Unicode.GetString($serializer.Serialize($settings,
    [Microsoft.Management.Infrastructure.Serialization.InstanceSerializationOptions]::None))
  Get-Started (Get-HostService 'Msvm_VirtualSystemSnapshotService' |
    Invoke-CimMethod -MethodName CreateSnapshot -Arguments @{
      AffectedSystem = Get-System $request.id; SnapshotSettings = $text
      SnapshotType = [uint16] 32768 })
}
