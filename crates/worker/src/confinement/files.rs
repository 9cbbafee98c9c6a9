//! Which files may be touched, by Landlock.

use super::Enforced;
use crate::Paths;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use std::env;
use std::path::{Path, PathBuf};

/// The newest interface whose rights were looked at one by one.
const KNOWN: ABI = ABI::V6;

/// Where programs are loaded by, and what from: for `qemu-img`.
const LOADERS: [&str; 6] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-linux-riscv64-lp64d.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
    "/lib/ld-musl-riscv64.so.1",
];
const LIBRARIES: [&str; 7] =
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/ld.so.conf.d"];

/// Confines this thread to `paths`, its own entry in `/proc`, and `/dev/null`.
pub(super) fn confine(paths: &Paths, converter: bool) -> Result<Enforced, String> {
    match restrict(paths, converter) {
        Ok(RulesetStatus::FullyEnforced) => Ok(Enforced::Fully),
        Ok(RulesetStatus::PartiallyEnforced) => Ok(Enforced::Partly),
        Ok(RulesetStatus::NotEnforced) => {
            Err("this kernel has no Landlock, or one from before Linux 5.19".into())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn restrict(paths: &Paths, converter: bool) -> Result<RulesetStatus, RulesetError> {
    let rules = Ruleset::default()
        // The first Landlock forbids every move to another directory, which is how a store takes in what was
        // written: a kernel with that one does without.
        .set_compatibility(CompatLevel::SoftRequirement)
        .handle_access(AccessFs::Refer)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    // No devices, sockets and symbolic links are made, and nothing is executed.
    let write = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    let mut rules = allow(rules, &paths.write, write)?;
    rules = allow(rules, &paths.read, read)?;
    rules = allow(rules, &paths.list, AccessFs::ReadDir.into())?;
    rules = allow(rules, &["/proc/self"], read)?;
    rules = allow(rules, &["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile)?;
    if converter {
        rules = allow(rules, &LIBRARIES, read)?;
        rules = allow(rules, &LOADERS, AccessFs::ReadFile | AccessFs::Execute)?;
        let converter: Vec<PathBuf> = program("qemu-img").into_iter().collect();
        rules = allow(rules, &converter, AccessFs::ReadFile | AccessFs::Execute)?;
    }
    Ok(rules.restrict_self()?.ruleset)
}

/// Allows what lies at and beneath `paths`. What is not there cannot be allowed; whoever looks for it finds nothing.
fn allow(
    mut rules: RulesetCreated,
    paths: &[impl AsRef<Path>],
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    for path in paths {
        let Ok(opened) = PathFd::new(path) else { continue };
        // Of a file, only what can be done to a file.
        let of_file = access & AccessFs::from_file(KNOWN);
        let access = if path.as_ref().is_dir() { access } else { of_file };
        rules = rules.add_rule(PathBeneath::new(opened, access))?;
    }
    Ok(rules)
}

/// Where a program is found that is started by its name.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|program| program.is_file())
}
