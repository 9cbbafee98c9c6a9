//! Whether guests run here, found out by running one: a device file that can be opened says little, since machines that
//! are virtual themselves often have one behind which no guest starts.
//!
//! The guest is a boot sector of a few instructions that ends QEMU with a status of its own.

use super::{Check, Finding};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// The program.
const QEMU: &str = "qemu-system-x86_64";
/// Longest time for a guest of four instructions, also where every instruction is emulated.
const LONGEST: Duration = Duration::from_secs(20);
/// What the guest writes to the device `isa-debug-exit` at port 0xf4; QEMU then ends with twice that and one.
const SAID: u8 = 0x2a;
/// QEMU's exit status when the guest has run.
const RAN: i32 = ((SAID as i32) << 1) | 1;

/// `mov al, SAID; out 0xf4, al; hlt; jmp $-1`, padded to a sector, with the signature that makes the BIOS boot it.
fn boot_sector() -> Vec<u8> {
    let mut sector = vec![0xb0, SAID, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd];
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector
}

/// Whether QEMU is there, and how guests run.
pub(super) async fn examine(directory: &Path) -> Vec<Finding> {
    let install =
        "Install QEMU (on Debian: apt install qemu-system-x86), if packaging machines are to run here.";
    let Some(version) = version().await else {
        return vec![
            Finding::warning(Check::Tools, format!("{QEMU} is not there."), install),
            Finding::warning(Check::Virtualisation, "Without QEMU no guest runs on this machine.", install),
        ];
    };
    let tools = Finding::ok(Check::Tools, format!("{version} is there."));
    let hardware = "The server's user must be allowed to use /dev/kvm (group kvm), and the machine, when it is \
                    virtual itself, must offer nested virtualisation.";
    let virtualisation = match run(directory, "kvm").await {
        Ok(()) => Finding::ok(Check::Virtualisation, "Guests run with hardware virtualisation (KVM)."),
        Err(kvm) => match run(directory, "tcg").await {
            Ok(()) => Finding::warning(
                Check::Virtualisation,
                format!("Guests run with software emulation only, which is slow: with KVM {kvm}."),
                hardware,
            ),
            Err(tcg) => Finding::problem(
                Check::Virtualisation,
                format!("No guest runs on this machine: with KVM {kvm}; with software emulation {tcg}."),
                hardware,
            ),
        },
    };
    vec![tools, virtualisation]
}

/// What QEMU says it is; `None` where there is none.
async fn version() -> Option<String> {
    let asked = Command::new(QEMU).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    let answer = tokio::time::timeout(LONGEST, asked).await.ok()?.ok()?;
    let said = String::from_utf8_lossy(&answer.stdout);
    said.lines().next().map(str::to_owned)
}

/// Runs the guest; why it did not, in words that follow "with …".
async fn run(directory: &Path, accelerator: &str) -> Result<(), String> {
    let (disk, _guard) = disk(directory).map_err(|error| format!("its disk could not be made ({error})"))?;
    let mut qemu = Command::new(QEMU);
    qemu.args(["-accel", accelerator, "-machine", "pc", "-m", "16", "-nodefaults", "-no-user-config"])
        .args(["-display", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
        .arg("-drive")
        // A comma in a file's name is written twice.
        .arg(format!("file={},format=raw,if=ide,readonly=off", disk.display().to_string().replace(',', ",,")))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = match tokio::time::timeout(LONGEST, qemu.output()).await {
        Err(_) => return Err(format!("the guest does not get on within {} seconds", LONGEST.as_secs())),
        Ok(Err(error)) => return Err(format!("QEMU does not start ({error})")),
        Ok(Ok(ended)) => ended,
    };
    if ended.status.code() == Some(RAN) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let said = said.lines().next_back().unwrap_or("it says nothing").trim();
    Err(format!("QEMU ended without the guest having run ({said})"))
}

/// The guest's disk, which goes when the guard does.
fn disk(directory: &Path) -> std::io::Result<(PathBuf, tempfile::TempPath)> {
    use std::io::Write;
    let mut file = tempfile::Builder::new().prefix(".examination-").suffix(".raw").tempfile_in(directory)?;
    file.write_all(&boot_sector())?;
    file.as_file().set_len(1 << 20)?;
    let path = file.into_temp_path();
    Ok((path.to_path_buf(), path))
}
