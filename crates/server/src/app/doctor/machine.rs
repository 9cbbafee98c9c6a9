//! Room on disks, and the certificate.

use super::{Certificate, Check, Finding};
use crate::domain::Time;
use rustix::fs::statvfs;
use std::path::Path;

/// Bytes of a GiB.
const GIB: u64 = 1 << 30;
/// Room below which tasks are about to fail.
const NEARLY_NONE: u64 = GIB;
/// Room below which one large disk may not fit any more.
const LITTLE: u64 = 20 * GIB;
/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;
/// Days before a certificate's end at which it is time to do something.
const SOON: i64 = 21;

/// How much room there is where the server writes, and whether it can.
pub(super) fn room(directory: &Path) -> Vec<Finding> {
    let shown = directory.display();
    if let Err(error) = write(directory) {
        let message = format!("The server cannot write in {shown}: {error}.");
        let hint = "Give the directory to the server's user; see whether the disk is full or read-only.";
        return vec![Finding::problem(Check::DiskSpace, message, hint)];
    }
    let found = match statvfs(directory) {
        Ok(found) => found,
        Err(error) => {
            let message = format!("How much room there is in {shown} cannot be told: {error}.");
            return vec![Finding::warning(
                Check::DiskSpace,
                message,
                "See what kind of file system it is on.",
            )];
        }
    };
    let (free, all) =
        (found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize));
    let gib = |bytes: u64| format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB);
    let message = format!("{} of {} are free in {shown}.", gib(free), gib(all));
    let hint = "Collect garbage, delete versions that nothing uses, or move the directory to a larger disk.";
    let mut findings = vec![if free < NEARLY_NONE {
        Finding::problem(Check::DiskSpace, message, hint)
    } else if free < LITTLE {
        Finding::warning(Check::DiskSpace, message, hint)
    } else {
        Finding::ok(Check::DiskSpace, message)
    }];
    // Some file systems have no fixed number of files and say 0.
    if found.f_files > 0 && found.f_favail < found.f_files / 100 {
        let message = format!("Only {} more files can be made in {shown}.", found.f_favail);
        findings.push(Finding::warning(Check::DiskSpace, message, hint));
    }
    findings
}

/// Writes a file durably and removes it.
fn write(directory: &Path) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = tempfile::Builder::new().prefix(".examination-").tempfile_in(directory)?;
    file.write_all(b"Lamina")?;
    file.as_file().sync_all()
}

/// Until when the certificate is good.
pub(super) fn certificate(shown: Option<Certificate>, now: Time) -> Finding {
    let Some(Certificate { ends, own }) = shown else {
        let message = "The server speaks plain HTTP, on a loopback address only.";
        return Finding::ok(Check::Certificate, message);
    };
    let days = ends.seconds_since(now) / DAY;
    let hint = if own {
        "The server renews its certificate 30 days before; see in its log why it has not."
    } else {
        "Renew it and write the new one to the same files; the server takes it within a minute."
    };
    if ends <= now {
        Finding::problem(Check::Certificate, format!("The certificate has ended on {ends}."), hint)
    } else if days < SOON {
        Finding::warning(Check::Certificate, format!("The certificate ends in {days} days, on {ends}."), hint)
    } else {
        Finding::ok(Check::Certificate, format!("The certificate is good for {days} days."))
    }
}

#[cfg(test)]
mod tests {
    use super::super::FindingState;
    use super::*;

    #[test]
    fn a_certificate_is_complained_of_before_it_ends() {
        let now = Time::from_millis(1_800_000_000_000);
        let state = |days: i64| {
            let shown = Certificate { ends: now.after_seconds(days * DAY), own: false };
            certificate(Some(shown), now).state
        };
        assert_eq!(
            [40, 21, 20, 1, 0, -1].map(state),
            [
                FindingState::Ok,
                FindingState::Ok,
                FindingState::Warning,
                FindingState::Warning,
                FindingState::Problem,
                FindingState::Problem
            ]
        );
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_a_problem() {
        let findings = room(Path::new("/proc/nowhere"));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].state, FindingState::Problem);
        let here = tempfile::tempdir().unwrap();
        assert!(room(here.path())[0].message.contains("GiB"));
        assert_eq!(std::fs::read_dir(here.path()).unwrap().count(), 0, "nothing is left");
    }
}
