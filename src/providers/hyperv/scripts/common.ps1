# What all scripts here share. One JSON object comes in on standard input, one goes out on standard
# output, whatever happens. Names and paths are data there, never a part of a command.
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 3
$ProgressPreference = 'SilentlyContinue'
[Console]::InputEncoding = [Console]::OutputEncoding = New-Object System.Text.UTF8Encoding $false
$Namespace = 'root\virtualization\v2'

function Write-Result([scriptblock] $Work) {
  try {
    $request = [Console]::In.ReadToEnd() | ConvertFrom-Json
    $answer = @{ ok = $true; result = (& $Work $request) }
  } catch {
    $answer = @{ ok = $false; error = @{
      message = [string] $_.Exception.Message; kind = $_.Exception.GetType().Name
      category = [string] $_.CategoryInfo.Category; code = [long] $_.Exception.HResult } }
  }
  [Console]::Out.WriteLine((ConvertTo-Json -InputObject $answer -Depth 12 -Compress))
}

# Ids alone become a part of a filter, and only as what they were checked to be.
function Get-Instance([string] $Class, [string] $Property, [string] $Prefix, [string] $Id) {
  $checked = ([guid] $Id).ToString().ToUpperInvariant()
  $found = Get-CimInstance -Namespace $Namespace -ClassName $Class `
    -Filter ("{0}='{1}{2}'" -f $Property, $Prefix, $checked)
  if ($null -eq $found) {
    throw [System.Management.Automation.ItemNotFoundException] "no $Class $checked"
  }
  $found | Select-Object -First 1
}

function Get-System([string] $Id) { Get-Instance 'Msvm_ComputerSystem' 'Name' '' $Id }
function Get-Settings([string] $Id) {
  Get-Instance 'Msvm_VirtualSystemSettingData' 'InstanceID' 'Microsoft:' $Id
}
function Get-HostService([string] $Class) {
  Get-CimInstance -Namespace $Namespace -ClassName $Class | Select-Object -First 1
}

# What a method put out under that name; nothing where it put out none.
function Get-Output($Result, [string] $Name) {
  if ($Result.PSObject.Properties.Name -notcontains $Name) { return }
  $value = $Result.$Name
  if ($null -ne $value) { $value }
}

# 4096: a job was started, whose key is returned; 0: done.
function Get-Started($Result) {
  $job = Get-Output $Result 'Job'
  @{ returnValue = [long] $Result.ReturnValue
    job = if ($null -eq $job) { $null } else { [string] $job.InstanceID } }
}
