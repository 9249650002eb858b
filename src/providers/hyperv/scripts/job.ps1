# In: { job }. Out: how far it is, and the checkpoints that it made.
. "$PSScriptRoot\common.ps1"
Write-Result {
  param($request)
  $job = Get-Instance 'Msvm_ConcreteJob' 'InstanceID' '' $request.job
  $made = @(Get-CimAssociatedInstance -InputObject $job `
    -ResultClassName Msvm_VirtualSystemSettingData -ErrorAction SilentlyContinue)
  @{ state = [int] $job.JobState; percent = [int] $job.PercentComplete
    errorCode = [long] $job.ErrorCode; error = [string] $job.ErrorDescription
    made = @($made | ForEach-Object { ([string] $_.InstanceID).Split(':')[-1] }) }
}
