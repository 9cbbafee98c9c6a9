//! What waits for the next start: files to be renamed, and drivers of the boot disk.

use super::checks::keys;
use super::finding::{Found, Matter};
use super::values::{beginning, pending_renames};
use crate::report::Evidence;
use hive::{Name, Tree};

const SESSION_MANAGER: &str = r"CurrentControlSet\Control\Session Manager";
const PENDING: [&str; 2] = ["PendingFileRenameOperations", "PendingFileRenameOperations2"];

/// Where Windows keeps drivers. (What it deletes from `DriverStore\Temp` are leftovers.)
const DRIVER_FOLDERS: [&str; 2] = [r"\system32\drivers\", r"\system32\driverstore\filerepository\"];

/// Setup classes that a boot disk hangs on: disks, IDE and AHCI controllers, storage controllers.
const BOOT_CLASSES: [&str; 3] = [
    "{4d36e967-e325-11ce-bfc1-08002be10318}",
    "{4d36e96a-e325-11ce-bfc1-08002be10318}",
    "{4d36e97b-e325-11ce-bfc1-08002be10318}",
];

/// Bits of a device's ConfigFlags (regstr.h): install again; complete the installation.
const REINSTALL: u32 = 0x20;
const FINISH_INSTALL: u32 = 0x400;

/// Files that are renamed or deleted at the next start. Where one of them is a driver, it is a driver that waits. That
/// a file is deleted which `is_left_out` of every layer does not count: installers leave their temporary files that way.
pub(super) fn renames(hive: &str, system: &Tree<'_>, is_left_out: impl Fn(&str) -> bool, found: &mut Found) {
    for key in keys(system, SESSION_MANAGER) {
        for name in PENDING {
            let Some(data) = system.value(key, &Name::from(name)) else { continue };
            for (from, to) in pending_renames(data) {
                if to.is_none() && is_left_out(&from) {
                    continue;
                }
                let is_driver = is_driver(&from) || to.as_deref().is_some_and(is_driver);
                let matter = if is_driver { Matter::DriverReboot } else { Matter::Reboot };
                let what = match to {
                    Some(to) => format!("{from} becomes {to}"),
                    None => format!("{from} is deleted"),
                };
                found.add(matter, Evidence::value(hive, system.path(key), name, &what));
            }
        }
    }
}

fn is_driver(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    path.ends_with(".sys") || DRIVER_FOLDERS.iter().any(|folder| path.contains(folder))
}

/// Devices that the boot disk hangs on and whose installation goes on at the next start. Flags of other devices say
/// little: Windows leaves them at drivers that have run for years.
pub(super) fn unfinished_devices(hive: &str, system: &Tree<'_>) -> Vec<Evidence> {
    let mut unfinished = Vec::new();
    for device in keys(system, r"CurrentControlSet\Enum\*\*\*") {
        let class = system.value(device, &Name::from("ClassGUID")).and_then(|data| beginning(data).text());
        let flags = system.value(device, &Name::from("ConfigFlags")).and_then(|data| data.number());
        let (Some(class), Some(flags)) = (class, flags) else { continue };
        if BOOT_CLASSES.iter().any(|boot| boot.eq_ignore_ascii_case(&class))
            && flags & (REINSTALL | FINISH_INSTALL) != 0
        {
            let path = system.path(device);
            unfinished.push(Evidence::value(hive, path, "ConfigFlags", &format!("{flags:#x}")));
        }
    }
    unfinished
}
