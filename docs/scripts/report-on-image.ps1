<#
.SYNOPSIS
    Asks a Windows that was started from an image of Lamina whether it is sound, and writes a report.

.DESCRIPTION
    Lamina writes the file system and the registry of an image without Windows. This script lets Windows judge the
    result: its checks of the file system, of its own files and of its component store, what devices and services
    failed, whether hives loaded, and what is in the lists that several layers append to. It changes nothing.

    Run it as Administrator in a machine that was started from the image, after logging on once:

        powershell -ExecutionPolicy Bypass -File report-on-image.ps1

    It takes some minutes and writes lamina-report.json and lamina-report.txt to the desktop, or to the folder that
    -Out names. The report names the computer, its devices and installed programs; read it before you pass it on.

.PARAMETER Out
    The folder for the report.

.PARAMETER Quick
    Leave out sfc, which takes longest.

.NOTES
    Windows PowerShell 5.1 or later; Windows 10, Windows 11, Windows Server 2016 or later. The exit code is the number
    of checks that did not pass.
#>
[CmdletBinding()]
param(
    [string] $Out = [Environment]::GetFolderPath('Desktop'),
    [switch] $Quick
)

Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
$checks = New-Object System.Collections.Generic.List[object]

# Runs a check; what it throws is a failure with that message.
function Test-Image {
    param([string] $Name, [scriptblock] $Check)
    Write-Host "$Name ..."
    $watch = [Diagnostics.Stopwatch]::StartNew()
    try {
        $found = & $Check
        $result = [ordered]@{
            name = $Name; passed = [bool] $found.passed; detail = $found.detail; seconds = 0
        }
    } catch {
        $result = [ordered]@{
            name = $Name; passed = $false; detail = "The check itself failed: $($_.Exception.Message)"; seconds = 0
        }
    }
    $result.seconds = [Math]::Round($watch.Elapsed.TotalSeconds, 1)
    $checks.Add([pscustomobject] $result)
    $verdict = if ($result.passed) { 'passed' } else { 'NOT PASSED' }
    Write-Host "  $verdict"
}

# Runs a program and gives its exit code and what it said. sfc writes UTF-16, whatever the console has.
function Invoke-Tool {
    param([string] $File, [string[]] $Arguments, [Text.Encoding] $Encoding = [Console]::OutputEncoding)
    $before = [Console]::OutputEncoding
    try {
        [Console]::OutputEncoding = $Encoding
        # A program that writes to its error stream has not failed for that.
        $ErrorActionPreference = 'Continue'
        $lines = & $File @Arguments 2>&1 | ForEach-Object { "$_" }
        $code = $LASTEXITCODE
    } finally {
        [Console]::OutputEncoding = $before
    }
    $text = ($lines | Where-Object { $_.Trim() -and $_ -notmatch '\d+([.,]\d+)?\s?%' }) -join "`n"
    [pscustomobject]@{ code = $code; text = $text }
}

function Get-RegistryValue {
    param([string] $Path, [string] $Name)
    $key = Get-Item -LiteralPath $Path -ErrorAction SilentlyContinue
    if ($null -eq $key -or $key.GetValueNames() -notcontains $Name) { return $null }
    $key.GetValue($Name, $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
}

# Events since this machine was started.
function Get-StartEvents {
    param([string] $Log, [string] $Provider, [int[]] $Ids)
    $start = (Get-CimInstance Win32_OperatingSystem).LastBootUpTime
    $filter = @{ LogName = $Log; ProviderName = $Provider; Id = $Ids; StartTime = $start }
    @(Get-WinEvent -FilterHashtable $filter -ErrorAction SilentlyContinue |
        ForEach-Object { "$($_.TimeCreated.ToString('s')) $($_.Id) $($_.Message)" })
}

$identity = [Security.Principal.WindowsPrincipal] [Security.Principal.WindowsIdentity]::GetCurrent()
if (-not $identity.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
    Write-Error 'Run this as Administrator: chkdsk, sfc and DISM refuse to look otherwise.' -ErrorAction Continue
    exit 255
}
if (-not (Test-Path -LiteralPath $Out)) { New-Item -ItemType Directory -Path $Out | Out-Null }
$drive = $env:SystemDrive

Test-Image 'File system: chkdsk /scan' {
    $run = Invoke-Tool 'chkdsk.exe' @($drive, '/scan')
    # 0: no errors. Others: found, mended or not (learn.microsoft.com, chkdsk, exit codes).
    @{ passed = $run.code -eq 0; detail = $run.text }
}
Test-Image 'File system: not marked dirty' {
    $run = Invoke-Tool 'fsutil.exe' @('dirty', 'query', $drive)
    $volume = Get-CimInstance Win32_Volume -Filter "DriveLetter='$drive'"
    @{ passed = ($run.code -eq 0) -and -not $volume.DirtyBitSet; detail = $run.text }
}
Test-Image 'File system: no errors in the log since the start' {
    $events = @(Get-StartEvents 'System' 'Ntfs' 55, 98, 130, 132, 137, 140) +
        @(Get-StartEvents 'System' 'Microsoft-Windows-Ntfs' 55, 98, 130, 132, 137, 140)
    # 98 says that a volume is healthy, as well as that it is not.
    $errors = @($events | Where-Object { $_ -notmatch 'healthy' })
    @{ passed = $errors.Count -eq 0; detail = $events -join "`n" }
}
if (-not $Quick) {
    Test-Image 'Files of Windows: sfc /verifyonly' {
        $run = Invoke-Tool 'sfc.exe' @('/verifyonly') ([Text.Encoding]::Unicode)
        @{ passed = $run.code -eq 0; detail = $run.text }
    }
}
Test-Image 'Component store: DISM /CheckHealth' {
    $state = Repair-WindowsImage -Online -CheckHealth
    @{ passed = "$($state.ImageHealthState)" -eq 'Healthy'; detail = "$($state.ImageHealthState)" }
}
Test-Image 'Registry: every hive loaded, none recovered' {
    # Kernel-General 5: a hive was damaged and has been recovered; 6: it could not be read or written
    $events = @(Get-StartEvents 'System' 'Microsoft-Windows-Kernel-General' 5, 6)
    $loaded = @((Get-Item 'HKLM:\SYSTEM\CurrentControlSet\Control\hivelist').GetValueNames())
    $needed = 'SYSTEM', 'SOFTWARE', 'SAM', 'SECURITY' | ForEach-Object { "\REGISTRY\MACHINE\$_" }
    $missing = @($needed | Where-Object { $loaded -notcontains $_ })
    @{
        passed = $events.Count -eq 0 -and $missing.Count -eq 0
        detail = (@("loaded: $($loaded.Count)") + @($missing | ForEach-Object { "missing: $_" }) + $events) -join "`n"
    }
}
Test-Image 'Devices: none with an error' {
    $bad = @(Get-CimInstance Win32_PnPEntity -Filter 'ConfigManagerErrorCode <> 0' |
        ForEach-Object { "$($_.ConfigManagerErrorCode) $($_.Name) $($_.PNPDeviceID)" })
    @{ passed = $bad.Count -eq 0; detail = $bad -join "`n" }
}
Test-Image 'Services: every one that starts by itself runs' {
    # Trigger-started and delayed ones need not run; the control manager says which failed.
    $stopped = @(Get-CimInstance Win32_Service -Filter "StartMode='Auto' AND State<>'Running' AND DelayedAutoStart=0" |
        Where-Object { $_.ExitCode -ne 0 -and $_.ExitCode -ne 1077 } |
        ForEach-Object { "$($_.Name) exit $($_.ExitCode)" })
    $events = @(Get-StartEvents 'System' 'Service Control Manager' 7000, 7001, 7009, 7022, 7023, 7024, 7026, 7034)
    @{ passed = $stopped.Count -eq 0 -and $events.Count -eq 0; detail = ($stopped + $events) -join "`n" }
}
Test-Image 'Scheduled tasks: file and registry agree' {
    # A task whose file and keys do not fit together cannot be read, and is named here.
    $errors = @()
    $tasks = @(Get-ScheduledTask -ErrorAction SilentlyContinue -ErrorVariable errors)
    @{
        passed = @($errors).Count -eq 0
        detail = (@("$($tasks.Count) tasks") + @($errors | ForEach-Object { "$_" })) -join "`n"
    }
}
Test-Image 'WMI: the repository is consistent' {
    $run = Invoke-Tool 'winmgmt.exe' @('/verifyrepository')
    @{ passed = $run.code -eq 0; detail = $run.text }
}
Test-Image 'Drivers: each package of the store has its INF file' {
    $packages = @(Get-WindowsDriver -Online)
    $missing = @($packages | Where-Object { -not (Test-Path -LiteralPath $_.OriginalFileName) } |
        ForEach-Object { "$($_.Driver) $($_.OriginalFileName)" })
    @{ passed = $missing.Count -eq 0; detail = (@("$($packages.Count) packages of other vendors") + $missing) -join "`n" }
}
Test-Image 'Start: no pending renames or restarts' {
    $manager = 'HKLM:\SYSTEM\CurrentControlSet\Control\Session Manager'
    $cbs = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing'
    $pending = @(
        foreach ($name in 'PendingFileRenameOperations', 'PendingFileRenameOperations2') {
            if (Get-RegistryValue $manager $name) { "$manager : $name" }
        }
        foreach ($name in 'RebootPending', 'RebootInProgress', 'PackagesPending') {
            if (Test-Path -LiteralPath "$cbs\$name") { "$cbs\$name" }
        }
    )
    @{ passed = $pending.Count -eq 0; detail = $pending -join "`n" }
}

# What several layers append to: for a person to compare with the layers.
$lists = [ordered]@{}
foreach ($place in @(
        @('HKLM:\SYSTEM\CurrentControlSet\Control\Session Manager\Environment', 'Path'),
        @('HKLM:\SYSTEM\CurrentControlSet\Control\Session Manager\Environment', 'PATHEXT'),
        @('HKLM:\SYSTEM\CurrentControlSet\Control\Session Manager\Environment', 'PSModulePath'),
        @('HKLM:\SYSTEM\CurrentControlSet\Control\Session Manager', 'BootExecute'),
        @('HKLM:\SYSTEM\CurrentControlSet\Control\Lsa', 'Authentication Packages'),
        @('HKLM:\SYSTEM\CurrentControlSet\Control\Lsa', 'Notification Packages'),
        @('HKLM:\SYSTEM\CurrentControlSet\Control\Lsa', 'Security Packages'),
        @('HKLM:\SYSTEM\CurrentControlSet\Control\NetworkProvider\Order', 'ProviderOrder'),
        @('HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Svchost', 'netsvcs'),
        @('HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon', 'Userinit'),
        @('HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Windows', 'AppInit_DLLs'))) {
    $lists["$($place[0]) : $($place[1])"] = Get-RegistryValue $place[0] $place[1]
}
foreach ($class in Get-ChildItem 'HKLM:\SYSTEM\CurrentControlSet\Control\Class' -ErrorAction SilentlyContinue) {
    foreach ($name in 'UpperFilters', 'LowerFilters') {
        $filters = Get-RegistryValue $class.PSPath $name
        if ($null -ne $filters) { $lists["$($class.Name) : $name"] = $filters }
    }
}
Test-Image 'Lists: every folder of the search path exists, none is there twice' {
    $path = [Environment]::ExpandEnvironmentVariables(
        (Get-RegistryValue 'HKLM:\SYSTEM\CurrentControlSet\Control\Session Manager\Environment' 'Path'))
    $folders = @($path.Split(';') | Where-Object { $_ })
    $missing = @($folders | Where-Object { -not (Test-Path -LiteralPath $_) } | ForEach-Object { "missing: $_" })
    $twice = @($folders | Group-Object { $_.TrimEnd('\').ToLowerInvariant() } | Where-Object { $_.Count -gt 1 } |
        ForEach-Object { "twice: $($_.Name)" })
    @{ passed = $missing.Count + $twice.Count -eq 0; detail = ($missing + $twice) -join "`n" }
}

$uninstall = 'Microsoft\Windows\CurrentVersion\Uninstall'
$programs = @(foreach ($view in "HKLM:\SOFTWARE\$uninstall", "HKLM:\SOFTWARE\WOW6432Node\$uninstall") {
    foreach ($key in Get-ChildItem $view -ErrorAction SilentlyContinue) {
        $name = Get-RegistryValue $key.PSPath 'DisplayName'
        if ($name) {
            [pscustomobject]@{
                name = $name
                version = Get-RegistryValue $key.PSPath 'DisplayVersion'
                publisher = Get-RegistryValue $key.PSPath 'Publisher'
            }
        }
    }
})

$system = Get-CimInstance Win32_OperatingSystem
$machine = Get-CimInstance Win32_ComputerSystem
$report = [ordered]@{
    report = 1
    time = (Get-Date).ToUniversalTime().ToString('s') + 'Z'
    windows = "$($system.Caption) $($system.Version)"
    machine = "$($machine.Manufacturer) $($machine.Model)"
    firmware = "$env:firmware_type"
    passed = @($checks | Where-Object { $_.passed }).Count
    failed = @($checks | Where-Object { -not $_.passed }).Count
    checks = $checks
    lists = $lists
    programs = $programs
}
$json = Join-Path $Out 'lamina-report.json'
[IO.File]::WriteAllText($json, ($report | ConvertTo-Json -Depth 6))
$lines = @("$($report.windows) on $($report.machine), $($report.time)", '') +
    @($checks | ForEach-Object {
        $verdict = if ($_.passed) { 'passed    ' } else { 'NOT PASSED' }
        "$verdict  $($_.name) ($($_.seconds) s)"
        if (-not $_.passed -and $_.detail) { $_.detail -split "`n" | ForEach-Object { "              $_" } }
    }) +
    @('', "$($report.passed) passed, $($report.failed) not passed")
[IO.File]::WriteAllLines((Join-Path $Out 'lamina-report.txt'), $lines)
Write-Host ''
$lines | Write-Host
Write-Host "Written to $json"
exit $report.failed
