//! Which system packages each purpose needs, and how to see whether they are there.
//!
//! Names are those of Debian 12 and Ubuntu 22.04 and 24.04, which agree for this list; on Ubuntu some of them are in
//! `universe`, which its installations have switched on. `p7zip-full` is a package of its own in Debian 12 and Ubuntu
//! 22.04 and leads to `7zip` in what came later; `7z` comes with either. `wine64` alone lacks `wineboot` everywhere.
//! Ubuntu 22.04 has libntfs-3g 2021.8.22, the oldest that is accepted. What is looked for is the program or file itself,
//! not the package, so that other distributions and hand-installed tools count too.

use super::Purpose;
use crate::command::{command, find};
use std::fmt;
use std::path::Path;
use std::process::Stdio;

/// How to see whether something is installed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Probe {
    /// A program of this name can be started.
    Program(&'static str),
    /// pkg-config knows the library.
    Library(&'static str),
    /// libclang can be loaded by bindgen.
    Libclang,
    /// PostgreSQL's server programs.
    Postgres,
    /// Python can make virtual environments with pip.
    PythonVenv,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Probe::Program(name) => write!(f, "program {name}"),
            Probe::Library(name) => write!(f, "library {name}"),
            Probe::Libclang => f.write_str("library libclang"),
            Probe::Postgres => f.write_str("PostgreSQL's server"),
            Probe::PythonVenv => f.write_str("python3 with venv and pip"),
        }
    }
}

impl Probe {
    fn found(self) -> bool {
        match self {
            Probe::Program(name) => find(name).is_some(),
            Probe::Library(name) => succeeds("pkg-config", &["--exists", name]),
            Probe::Libclang => libclang_is_installed(),
            Probe::Postgres => crate::postgres::programs().is_some(),
            Probe::PythonVenv => succeeds("python3", &["-c", "import venv, ensurepip"]),
        }
    }
}

/// A system package: its apt name, how it is recognised, what it is for and who needs it.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) probe: Probe,
    pub(crate) reason: &'static str,
    purposes: &'static [Purpose],
}

use Purpose::{Bench, Demo, Test};
const ALL: &[Purpose] = &[Demo, Test, Bench];

const PACKAGES: &[Package] = &[
    // to build
    package("build-essential", Probe::Program("cc"), "linking, and the C parts of some crates", ALL),
    package("pkg-config", Probe::Program("pkg-config"), "finding libntfs-3g", ALL),
    package("ntfs-3g-dev", Probe::Library("libntfs-3g"), "the NTFS library that Lamina links", ALL),
    package("libclang-dev", Probe::Libclang, "reading libntfs-3g's headers (bindgen)", ALL),
    package("clang", Probe::Program("clang"), "the compiler's own headers for bindgen", ALL),
    // to make disks and volumes
    package(
        "ntfs-3g",
        Probe::Program("mkntfs"),
        "formatting volumes; the driver that changes packaging disks",
        ALL,
    ),
    package(
        "wimtools",
        Probe::Program("wimlib-imagex"),
        "writing file trees into volumes; the peer in the bench",
        ALL,
    ),
    package("fdisk", Probe::Program("sfdisk"), "partition tables", ALL),
    package("dosfstools", Probe::Program("mkfs.vfat"), "the EFI system partition", &[Demo, Test]),
    package("mtools", Probe::Program("mcopy"), "files on the EFI system partition", &[Demo, Test]),
    package("wine64", Probe::Program("wine"), "the Windows file tree of the demo", &[Demo]),
    package("wine", Probe::Program("wineboot"), "the Windows file tree of the demo", &[Demo]),
    package("fuse3", Probe::Program("fusermount3"), "mounting volumes as a plain user", &[Demo, Bench]),
    package("xfsprogs", Probe::Program("mkfs.xfs"), "a file system that can share blocks", &[Bench]),
    // second opinions
    package("qemu-utils", Probe::Program("qemu-img"), "second opinion on disk images", ALL),
    package("sleuthkit", Probe::Program("fls"), "second opinion on partitions and volumes", &[Demo, Test]),
    package("p7zip-full", Probe::Program("7z"), "second opinion on volumes", &[Demo, Test]),
    package("libhivex-bin", Probe::Program("hivexml"), "second opinion on registry hives", &[Demo, Test]),
    package(
        "libwin-hivex-perl",
        Probe::Program("hivexregedit"),
        "registry changes of the demo's applications; the peer in the bench",
        &[Demo, Bench, Test],
    ),
    package("postgresql", Probe::Postgres, "the second of the two databases", &[Test]),
    package("skopeo", Probe::Program("skopeo"), "second opinion on exchanged layers", &[Test]),
    package("xz-utils", Probe::Program("xz"), "unpacking registry hives of the test data", &[Bench, Test]),
    package("samba", Probe::Program("smbd"), "the server that SMB shares are tested with", &[Test]),
    package("smbclient", Probe::Program("smbclient"), "another client of the tested SMB shares", &[Test]),
    package("python3-venv", Probe::PythonVenv, "second opinions written in Python (dissect.ntfs)", ALL),
];

const fn package(
    name: &'static str,
    probe: Probe,
    reason: &'static str,
    purposes: &'static [Purpose],
) -> Package {
    Package { name, probe, reason, purposes }
}

/// The packages that one of `purposes` needs and that are not found.
pub(crate) fn missing(purposes: &[Purpose]) -> Vec<&'static Package> {
    PACKAGES
        .iter()
        .filter(|package| purposes.iter().any(|purpose| package.purposes.contains(purpose)))
        .filter(|package| !package.probe.found())
        .collect()
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    command(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Looks where bindgen's loader looks: `LIBCLANG_PATH`, the versioned LLVM folders, the library folders.
fn libclang_is_installed() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let mut folders = vec!["/usr/lib".into(), "/usr/lib64".into(), "/usr/local/lib".into()];
    for parent in ["/usr/lib", "/usr/lib64"] {
        let children = std::fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
        for child in children.filter(|path| path.is_dir()) {
            folders.push(child.join("lib"));
            folders.push(child);
        }
    }
    folders.iter().any(|folder: &std::path::PathBuf| holds_libclang(folder))
}

fn holds_libclang(folder: &Path) -> bool {
    std::fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // libclang.so, libclang-14.so.1 and the like; libclang-cpp is another library.
        name.starts_with("libclang") && !name.starts_with("libclang-cpp") && name.contains(".so")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_listed_once_with_a_purpose_and_a_reason() {
        for (index, package) in PACKAGES.iter().enumerate() {
            assert!(!package.purposes.is_empty() && !package.reason.is_empty(), "{}", package.name);
            assert!(
                !PACKAGES[..index].iter().any(|other| other.name == package.name),
                "{} twice",
                package.name
            );
        }
    }

    #[test]
    fn the_demo_needs_wine_and_the_tests_do_not() {
        let needs = |purpose| PACKAGES.iter().any(|p| p.name == "wine" && p.purposes.contains(&purpose));
        assert!(needs(Demo));
        assert!(!needs(Test));
    }

    #[test]
    fn a_program_that_is_not_installed_is_reported_missing() {
        assert!(Probe::Program("sh").found());
        assert!(!Probe::Program("no-such-program-exists").found());
        assert!(!Probe::Library("no-such-library-exists").found());
    }
}
