//! Hives of the test data, and comparing trees down to their times.

#![allow(dead_code)] // every test program uses another part of it
#![allow(clippy::unwrap_used)] // a test that cannot set itself up has failed

use hive::{Hive, KeyId, Tree, Upcase};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The real hives that are clean, or are opened as they are, below the folder `hives` of the test data.
pub(crate) const REAL: &[&str] = &[
    "regipy/SYSTEM",
    "regipy/SYSTEM_WIN_10_1709",
    "regipy/NTUSER_BAGMRU.DAT",
    "regipy/NTUSER_with_winscp.DAT",
    "regipy/NTUSER.DAT",
    "regipy/NTUSER_modified.DAT",
    "regipy/NTUSER-WSL.DAT",
    "regipy/amcache.hve",
    "regipy/BCD",
    "regipy/SAM",
    "regipy/SECURITY",
    "regipy/ntuser_software_partial",
    "dfwinreg/NTUSER.DAT",
    "dfwinreg/SAM",
    "dfwinreg/SECURITY",
    "notatin/win7_ntuser.dat",
    "notatin/NTUSER.DAT",
    "nt-hive/testhive",
    "hivex/minimal",
    "hivex/special",
    "hivex/rlenvalue_test_hive",
];

/// The folder with all hives unpacked; `None` with a visible skip where there is no test data.
#[allow(clippy::print_stdout, reason = "the test command counts these lines")]
pub(crate) fn hives(test: &str) -> Option<PathBuf> {
    let Some(data) = std::env::var_os("LAMINA_TESTDATA").map(PathBuf::from) else {
        println!("SKIPPED {test}: LAMINA_TESTDATA is not set");
        return None;
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hives");
    if !folder.exists() {
        let part = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let script = "set -e; cp -r \"$1\"/hives/. \"$2\"; chmod -R u+w \"$2\"; cd \"$2\"; xz -d regipy/*.xz; \
                      tar xJf yarp/*.tar.xz -C yarp";
        let unpack = Command::new("bash")
            .args(["-c", script, "unpack"])
            .args([&data, &part.path().to_owned()])
            .output();
        let unpack = unpack.unwrap();
        assert!(unpack.status.success(), "{}", String::from_utf8_lossy(&unpack.stderr));
        // another test may have been faster
        let part = part.keep();
        if std::fs::rename(&part, &folder).is_err() {
            std::fs::remove_dir_all(&part).unwrap();
        }
    }
    Some(folder)
}

/// The contents of a file of the test data.
pub(crate) fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Opens a hive, even if its last write was not completed.
pub(crate) fn open(folder: &Path, name: &str) -> Hive {
    Hive::open_dirty(read(folder, name), &[]).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(crate) fn upcase() -> &'static Upcase {
    static TABLE: std::sync::OnceLock<Upcase> = std::sync::OnceLock::new();
    TABLE.get_or_init(Upcase::unicode)
}

/// How many keys and values there are.
pub(crate) fn count(tree: &Tree<'_>) -> (usize, usize) {
    tree.walk().fold((0, 0), |(keys, values), (key, _)| (keys + 1, values + tree.key(key).values().len()))
}

/// The first difference between two trees, in anything that a reader can see.
pub(crate) fn first_difference(left: &Tree<'_>, right: &Tree<'_>) -> Option<String> {
    let mut open = vec![(left.root(), right.root())];
    while let Some((a, b)) = open.pop() {
        let (one, other) = (left.key(a), right.key(b));
        let path = || left.path(a);
        if one.name != other.name || one.properties != other.properties {
            return Some(format!(
                "{}: {:?} {:?} / {:?} {:?}",
                path(),
                one.name,
                one.properties,
                other.name,
                other.properties
            ));
        }
        if left.key_security(a) != right.key_security(b) {
            return Some(format!("{}: security", path()));
        }
        if one.values() != other.values() {
            return Some(format!("{}: values", path()));
        }
        if one.subkeys().len() != other.subkeys().len() {
            return Some(format!("{}: {} / {} subkeys", path(), one.subkeys().len(), other.subkeys().len()));
        }
        let pairs: Vec<(KeyId, KeyId)> =
            one.subkeys().iter().copied().zip(other.subkeys().iter().copied()).collect();
        open.extend(pairs);
    }
    None
}
