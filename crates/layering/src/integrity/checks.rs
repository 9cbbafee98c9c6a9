//! Keys and values that say that Windows is not done yet, as a table. Sources: docs/integrity.md.

use super::finding::{Found, Matter};
use super::values::{beginning, shown};
use crate::report::Evidence;
use Matter::*;
use Which::*;
use hive::{Data, KeyId, Name, Tree, value_kind};

/// Which hive a check looks into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    System,
    Software,
    Security,
    /// NTUSER.DAT of somebody who signs in, or of the default user.
    User,
}

/// What of a key speaks for a matter.
enum Look {
    /// That the key is there.
    Key,
    /// Each of its subkeys and values, these values apart.
    Contents { except: &'static [&'static str] },
    /// This value, unless it is zero or empty.
    NotZero(&'static str),
}

struct Check {
    matter: Matter,
    hive: Which,
    /// Whether 32-bit programs have a key of their own for it.
    views: &'static [&'static str],
    /// Path below the root and the view; `*` stands for any name.
    key: &'static str,
    look: Look,
}

const ONE: &[&str] = &[""];
const BOTH: &[&str] = &["", "Wow6432Node\\"];
const ANY: Look = Look::Contents { except: &[] };
/// What RunOnceEx keeps besides the sections that are to be run: how its window looks.
const SECTIONS: Look = Look::Contents { except: &["Title", "Flags"] };

const fn check(
    matter: Matter,
    hive: Which,
    views: &'static [&'static str],
    key: &'static str,
    look: Look,
) -> Check {
    Check { matter, hive, views, key, look }
}

/// A path below the key that most of Windows' own settings are in.
macro_rules! windows {
    ($path:literal) => {
        concat!(r"Microsoft\Windows\CurrentVersion\", $path)
    };
}

#[rustfmt::skip]
const CHECKS: &[Check] = &[
    // Component-based servicing and Windows Update
    check(Reboot, Software, ONE, windows!(r"Component Based Servicing\RebootPending"), Look::Key),
    check(Reboot, Software, ONE, windows!(r"Component Based Servicing\RebootInProgress"), Look::Key),
    check(Reboot, Software, ONE, windows!(r"Component Based Servicing\PackagesPending"), ANY),
    check(Reboot, Software, ONE, windows!(r"WindowsUpdate\Auto Update\RebootRequired"), Look::Key),
    check(Reboot, Software, ONE, windows!(r"WindowsUpdate\Auto Update\PostRebootReporting"), Look::Key),
    check(Reboot, Software, ONE, r"Microsoft\Updates", Look::NotZero("UpdateExeVolatile")),
    // Installers that go on after a restart
    check(Reboot, Software, BOTH, windows!("RunOnce"), ANY),
    check(Reboot, Software, BOTH, windows!("RunOnceEx"), SECTIONS),
    check(UserSignIn, User, ONE, concat!(r"Software\", windows!("RunOnce")), ANY),
    check(UserSignIn, User, ONE, concat!(r"Software\", windows!("RunOnceEx")), SECTIONS),
    // Windows Installer
    check(Msi, Software, ONE, windows!(r"Installer\InProgress"), ANY),
    check(Msi, Software, ONE, windows!(r"Installer\Rollback\Scripts"), ANY),
    // .NET's native images: both frameworks (v2.0.50727, v4.0.30319), and the queue that they share
    check(Ngen, Software, BOTH, r"Microsoft\.NETFramework\NGenQueue\*\Default", ANY),
    check(Ngen, Software, BOTH, r"Microsoft\.NETFramework\*\NGenQueue\*\Default", ANY),
    check(NgenNoted, Software, BOTH, NGEN_TOLD, Look::NotZero("RootstoreDirty")),
    check(NgenNoted, Software, BOTH, NGEN_UPDATE, Look::NotZero("PendingUpdate")),
];

/// Where ngen tells its service, or since Windows 8 its task, of new work.
const NGEN_TOLD: &str = r"Microsoft\.NETFramework\*\NGenService\ListenedState";
/// Where the service keeps over restarts that an update was begun.
const NGEN_UPDATE: &str = r"Microsoft\.NETFramework\*\NGenService\State";

/// Looks for everything in the table that belongs to this hive. `name` is what evidence calls it.
pub(super) fn look(which: Which, name: &str, tree: &Tree<'_>, found: &mut Found) {
    for check in CHECKS.iter().filter(|check| check.hive == which) {
        for view in check.views {
            for key in keys(tree, &format!("{view}{}", check.key)) {
                look_at(check, name, tree, key, found);
            }
        }
    }
}

fn look_at(check: &Check, hive: &str, tree: &Tree<'_>, key: KeyId, found: &mut Found) {
    let path = tree.path(key);
    match check.look {
        Look::Key => found.add(check.matter, Evidence::key(hive, path)),
        Look::Contents { except } => {
            let is_left_out = |name: &Name<'_>| {
                except.iter().any(|left_out| tree.upcase().same(name, &Name::from(*left_out)))
            };
            for value in tree.key(key).values().iter().filter(|value| !is_left_out(&value.name)) {
                let name = value.name.to_string();
                found.add(check.matter, Evidence::value(hive, path.clone(), &name, &shown(&value.data)));
            }
            for subkey in tree.key(key).subkeys() {
                found.add(check.matter, Evidence::key(hive, tree.path(*subkey)));
            }
        }
        Look::NotZero(name) => {
            if let Some(data) = tree.value(key, &Name::from(name)).filter(|data| is_set(data)) {
                found.add(check.matter, Evidence::value(hive, path, name, &shown(data)));
            }
        }
    }
}

/// Whether a value says more than zero, `0` or nothing.
fn is_set(data: &Data<'_>) -> bool {
    let is_zero_in_words =
        data.kind == value_kind::SZ && beginning(data).text().is_some_and(|text| text.trim() == "0");
    !is_zero_in_words && data.bytes.iter().any(|byte| *byte != 0)
}

/// The keys at a path in which `*` stands for any name.
pub(super) fn keys(tree: &Tree<'_>, path: &str) -> Vec<KeyId> {
    path.split('\\').fold(vec![tree.root()], |keys, name| match name {
        "*" => keys.iter().flat_map(|key| tree.key(*key).subkeys()).copied().collect(),
        name => keys.iter().filter_map(|key| tree.subkey(*key, &Name::from(name))).collect(),
    })
}
