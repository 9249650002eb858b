# In: { id: null, or the id of one machine }. Out: the host, and its machines.
. "$PSScriptRoot\common.ps1"
Write-Result {
  param($request)
  $machines = @(Get-VM)
  if ($null -ne $request.id) {
    $wanted = [guid] $request.id
    $machines = @($machines | Where-Object { $_.VMId -eq $wanted })
  }
  $owners = @{}
  if (Get-Command Get-ClusterGroup -ErrorAction SilentlyContinue) {
    foreach ($group in @(Get-ClusterGroup -ErrorAction SilentlyContinue)) {
      if ([string] $group.GroupType -eq 'VirtualMachine') {
        $resource = $group | Get-ClusterResource |
          Where-Object { [string] $_.ResourceType -eq 'Virtual Machine' } | Select-Object -First 1
        $id = ($resource | Get-ClusterParameter -Name VmID -ErrorAction SilentlyContinue).Value
        if ($id) { $owners[([guid] $id).ToString()] = [string] $group.OwnerNode }
      }
    }
  }
  $described = foreach ($vm in $machines) {
    $drives = foreach ($drive in @($vm.HardDrives)) {
      $isPassThrough = $null -ne $drive.DiskNumber
      $chain = @()
      if (-not $isPassThrough -and $drive.Path) {
        $path = $drive.Path
        while ($path -and $chain.Count -lt 64) {
          $vhd = Get-VHD -Path $path -ErrorAction SilentlyContinue
          if ($null -eq $vhd) {
            $chain += @{ path = $path; id = $null; format = $null; sizeBytes = 0 }
            break
          }
          $chain += @{ path = $vhd.Path; id = [string] $vhd.DiskIdentifier
            format = [string] $vhd.VhdFormat; sizeBytes = [long] $vhd.Size }
          $path = $vhd.ParentPath
        }
      }
      @{ controller = [string] $drive.ControllerType; number = [int] $drive.ControllerNumber
        location = [int] $drive.ControllerLocation; isPassThrough = $isPassThrough
        isShared = [bool] $drive.SupportPersistentReservations; chain = @($chain) }
    }
    $services = foreach ($service in @(Get-VMIntegrationService -VM $vm)) {
      @{ id = ([string] $service.Id).Split('\')[-1]; enabled = [bool] $service.Enabled
        primary = [string] $service.PrimaryOperationalStatus
        secondary = [string] $service.SecondaryOperationalStatus }
    }
    $nics = foreach ($nic in @($vm.NetworkAdapters)) {
      @{ mac = [string] $nic.MacAddress; isLegacy = [bool] $nic.IsLegacy }
    }
    $key = $vm.VMId.ToString()
    $kvp = Get-CimInstance -Namespace $Namespace -ClassName Msvm_KvpExchangeComponent `
      -Filter ("SystemName='{0}'" -f $key.ToUpperInvariant()) | Select-Object -First 1
    $os = $null
    foreach ($item in @(if ($kvp) { $kvp.GuestIntrinsicExchangeItems })) {
      $xml = [xml] $item
      $name = ($xml.INSTANCE.PROPERTY | Where-Object { $_.NAME -eq 'Name' }).VALUE
      if ($name -eq 'OSName') {
        $os = ($xml.INSTANCE.PROPERTY | Where-Object { $_.NAME -eq 'Data' }).VALUE
      }
    }
    $settings = @(Get-CimInstance -Namespace $Namespace -ClassName Msvm_VirtualSystemSettingData `
      -Filter ("VirtualSystemIdentifier='{0}'" -f $key.ToUpperInvariant()))
    $checkpoints = foreach ($it in $settings) {
      if ([string] $it.VirtualSystemType -like 'Microsoft:Hyper-V:Snapshot:*') {
        @{ id = ([string] $it.InstanceID).Split(':')[-1]; name = [string] $it.ElementName
          notes = [string] (@($it.Notes) -join "`n")
          isRecovery = [string] $it.VirtualSystemType -eq 'Microsoft:Hyper-V:Snapshot:Recovery' }
      }
    }
    $points = foreach ($it in @(Get-CimInstance -Namespace $Namespace `
        -ClassName Msvm_VirtualSystemReferencePoint `
        -Filter ("VirtualSystemIdentifier='{0}'" -f $key.ToUpperInvariant()))) {
      @{ id = ([string] $it.InstanceID).Split(':')[-1]
        consistencyLevel = [int] $it.ConsistencyLevel
        diskIds = @($it.VirtualDiskIdentifiers | Where-Object { $_ })
        trackingIds = @($it.ResilientChangeTrackingIdentifiers | Where-Object { $_ }) }
    }
    @{ id = $key; name = $vm.Name; state = [string] $vm.State; version = [string] $vm.Version
      generation = [int] $vm.Generation; memoryBytes = [long] $vm.MemoryStartup
      cpuCount = [int] $vm.ProcessorCount; checkpointType = [string] $vm.CheckpointType
      hasScsi = @(Get-VMScsiController -VM $vm).Count -gt 0
      hasFibreChannel = @($vm.FibreChannelHostBusAdapters).Count -gt 0
      isClustered = [bool] $vm.IsClustered
      ownerNode = if ($owners.ContainsKey($key)) { $owners[$key] } else { $null }
      guestOs = $os; disks = @($drives); services = @($services); nics = @($nics)
      checkpoints = @($checkpoints); referencePoints = @($points) }
  }
  $class = Get-CimClass -Namespace $Namespace -ClassName Msvm_VirtualSystemSnapshotSettingData
  @{ host = @{ name = $env:COMPUTERNAME; version = [string] [Environment]::OSVersion.Version
      canCopy = $class.CimClassProperties.Name -contains 'GuestBackupType' }
    machines = @($described) }
}
