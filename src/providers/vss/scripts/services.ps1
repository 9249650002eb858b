# Services that run on this host, as one JSON object: Win32_Service, by name and by what was started.
$ErrorActionPreference = 'Stop'
[Console]::OutputEncoding = [Text.Encoding]::UTF8
try {
  $services = @(Get-CimInstance Win32_Service -Filter 'Started=TRUE' | ForEach-Object {
    @{ name = [string] $_.Name; command = [string] $_.PathName }
  })
  @{ ok = $true; services = $services } | ConvertTo-Json -Depth 5 -Compress
} catch {
  @{ ok = $false; message = "$_" } | ConvertTo-Json -Compress
}
