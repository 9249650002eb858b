# Fixed volumes of this host, as one JSON object: Win32_Volume (DriveType 3), the folders that they
# are mounted at, and the sizes of their partitions, which are larger than their file systems.
$ErrorActionPreference = 'Stop'
[Console]::OutputEncoding = [Text.Encoding]::UTF8
try {
  $partitions = @()
  try { $partitions = @(Get-Partition | Select-Object -Property @('Size', 'AccessPaths')) } catch { }
  $mounts = @(Get-CimInstance Win32_MountPoint)
  $volumes = @(Get-CimInstance Win32_Volume -Filter 'DriveType=3' | ForEach-Object {
    $volume = $_
    $partition = $partitions | Where-Object { $_.AccessPaths -contains $volume.DeviceID } |
      Select-Object -First 1
    @{
      name = $volume.DeviceID
      mounts = @($mounts | Where-Object { $_.Volume.DeviceID -eq $volume.DeviceID } |
        ForEach-Object { $_.Directory.Name })
      letter = $volume.DriveLetter
      fileSystem = $volume.FileSystem
      capacity = $volume.Capacity
      partitionSize = if ($partition) { $partition.Size } else { $null }
    }
  })
  @{ ok = $true; volumes = $volumes } | ConvertTo-Json -Depth 5 -Compress
} catch {
  @{ ok = $false; message = "$_" } | ConvertTo-Json -Compress
}
