//! Whether a disk may become a layer version: what its Windows has not finished, read from the disk alone.
//!
//! ```text
//! disk ─► gate of the volume ─► tree ─┬─► hives, one after the other ─► Examination ─► findings
//!         (refusals)                  └─► files
//! ```
//!
//! The examination is pure: hives and the tree of a volume in, findings out. What is looked for in the registry is mostly
//! a table (`checks`). A volume without Windows has no findings. docs/integrity.md lists everything with its source.
//!
//! Deliberately missing: what Windows keeps in memory only. A tool inside the machine can see that, a disk cannot.

mod checks;
mod drivers;
mod examination;
mod finding;
mod identity;
mod values;

use crate::difference::hive_streams;
use crate::error::Rule;
use crate::hives;
use crate::never_captured::NeverCaptured;
use crate::os_volume::{OsVolume, is_windows};
use crate::reference::LayerKind;
use crate::registry::{self, HiveKind};
use crate::report::{Evidence, Finding, ImageState, IntegrityReport, Severity, Warning};
use crate::request::IntegrityRequest;
use crate::{Error, Result};
use checks::Which;
use disk::ByteSource;
use disk::format::{OpenOptions, open};
use examination::Examination;
use hive::Upcase;
use operation::{Explain, Progress, Unit};
use std::sync::Arc;
use volume::{Child, FileId, Name, Refusal, Tree};

/// What the examination of a volume gave.
pub(crate) struct Inspection {
    pub(crate) findings: Vec<Finding>,
    pub(crate) state: ImageState,
    /// What was mended in hives as they were read. Of an OS layer that is all hives.
    pub(crate) mended: Vec<String>,
    /// Hives that cannot be read at all, so that what they say is not known.
    unreadable: Vec<(String, Error)>,
}

/// Examines a disk and reports what it finds, a volume that must not be layered among it.
///
/// # Errors
/// What keeps the disk from being read at all.
pub(crate) fn integrity(request: &IntegrityRequest, progress: &dyn Progress) -> Result<IntegrityReport> {
    let scratch = std::env::temp_dir();
    let options = OpenOptions { allow_backing: request.allow_backing, scratch: Some(&scratch), progress };
    let disk = open(&request.disk, &options)?.source;
    let name = request.disk.display().to_string();
    let never =
        NeverCaptured::with("").map_err(|_| Error::Internal { what: "the built-in list is malformed" })?;
    report(&disk, (name, request.volume), request.kind, &never, progress)
}

/// Examines a disk that messages call `name`, whose OS volume is the partition of this number if one is given, without
/// what `never` lists, and reports what it finds.
pub(crate) fn report(
    disk: &Arc<dyn ByteSource>,
    (name, volume): (String, Option<u32>),
    kind: LayerKind,
    never: &NeverCaptured,
    progress: &dyn Progress,
) -> Result<IntegrityReport> {
    let mut number = None;
    let examined = OsVolume::find(disk, volume, &name).and_then(|volume| {
        number = Some(volume.partition.number);
        let tree = volume.scan_shut_down(disk, &name, progress)?;
        inspect(&volume, disk, &tree, kind, never, progress)
    });
    let (mut findings, state) = match examined {
        Ok(Inspection { mut findings, state, unreadable, .. }) => {
            findings.extend(unreadable.iter().map(|(path, error)| of_hive(path, error)));
            (findings, state)
        }
        Err(error) => (vec![of_volume(error)?], ImageState::Unknown),
    };
    findings.sort_by_key(|finding| finding.severity);
    let blocked = findings.iter().any(|finding| finding.severity == Severity::Blocks);
    Ok(IntegrityReport { disk: name, volume: number, kind, image_state: state, blocked, findings })
}

/// Examines the OS volume of a disk that may become a version of a layer of this kind, without what `never` lists.
///
/// # Errors
/// Those of reading the disk, and [`Error::Cancelled`].
pub(crate) fn inspect(
    volume: &OsVolume,
    disk: &Arc<dyn ByteSource>,
    tree: &Tree,
    kind: LayerKind,
    never: &NeverCaptured,
    progress: &dyn Progress,
) -> Result<Inspection> {
    let mut examination = Examination::new(never, tree);
    let (mut unreadable, mut mended) = (Vec::new(), Vec::new());
    if is_windows(tree) {
        examination.files(tree);
        let window = volume.window(disk)?;
        let upcase = tree.upcase().and_then(Upcase::from_table).unwrap_or_else(Upcase::unicode);
        let hives = hives_of(tree);
        progress.step("Examining the registry", Some(hives.len() as u64), Unit::Items);
        // One at a time: each is kept in memory as a whole.
        for hive in hives {
            if progress.cancelled() {
                return Err(Error::Cancelled);
            }
            match examine(&window, tree, &upcase, (&hive, kind), &mut examination) {
                Ok(repairs) => mended.extend(registry::mended(&hive.path, &repairs)),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) if hive.which.is_some() => unreadable.push((hive.path, error)),
                Err(_) => {}
            }
            progress.advance(1);
        }
    }
    let (findings, state) = examination.finish(kind);
    Ok(Inspection { findings, state, mended, unreadable })
}

/// A hive that is looked at.
struct HiveToRead<'t> {
    /// What is looked for in it; of others only whether their last write was completed.
    which: Option<Which>,
    path: String,
    parent: FileId,
    entry: &'t Child,
}

/// The hives of a volume that are looked at: those whose changes layers carry, and the security policy.
fn hives_of(tree: &Tree) -> Vec<HiveToRead<'_>> {
    let users = [tree.fold(&Name::from("Users"))];
    let mut hives: Vec<HiveToRead<'_>> = hives::all(tree)
        .into_iter()
        .map(|hive| {
            let of_person =
                hive.directory.iter().map(|name| tree.fold(name)).take(1).eq(users.iter().cloned());
            let which = match hive.kind {
                HiveKind::System => Some(Which::System),
                HiveKind::Software => Some(Which::Software),
                HiveKind::User if of_person => Some(Which::User),
                _ => None,
            };
            let path = hive.directory.iter().chain([&hive.entry.name]);
            let path = path.fold(String::new(), |path, name| format!("{path}\\{name}"));
            HiveToRead { which, path, parent: hive.parent, entry: hive.entry }
        })
        .collect();
    let config = ["Windows", "System32", "config"].map(Name::from);
    let security = tree.lookup(&config).and_then(|config| {
        let entry = tree.child(config.id, &Name::from("SECURITY"))?;
        let path = format!("\\Windows\\System32\\config\\{}", entry.name);
        let which = Some(Which::Security);
        (!tree.is_directory(entry.id)).then_some(HiveToRead { which, path, parent: config.id, entry })
    });
    hives.extend(security);
    hives
}

/// Reads one hive with its logs and examines it; gives what was mended in it. Hives in which nothing is looked for are
/// read to the end where a whole machine becomes a version, of an OS layer.
fn examine(
    window: &dyn ByteSource,
    tree: &Tree,
    upcase: &Upcase,
    (hive, kind): (&HiveToRead<'_>, LayerKind),
    examination: &mut Examination<'_>,
) -> Result<Vec<hive::Repair>> {
    let failed = |source| Error::Hive { context: hive.path.clone(), source };
    let Some(streams) = hive_streams(tree, hive.entry, tree.children(hive.parent)) else {
        return Ok(Vec::new());
    };
    let read = || registry::read(window, &streams).map_err(Error::io(format!("reading {}", hive.path)));
    let opened = match read()?.open() {
        Err(error @ hive::Error::Dirty { .. }) => {
            examination.dirty(&hive.path, &error);
            read()?.open_dirty().map_err(failed)?
        }
        opened => opened.map_err(failed)?,
    };
    if hive.which.is_none() && kind != LayerKind::Os {
        return Ok(Vec::new());
    }
    let (mut keys, repairs) = hive::Tree::load(&opened, upcase).map_err(failed)?;
    if hive.which == Some(Which::System) {
        registry::enter_current_set(&mut keys);
    }
    if let Some(which) = hive.which {
        examination.hive(which, &hive.path, &keys);
    }
    Ok(repairs)
}

/// Decides whether a disk becomes a version: what blocks refuses it unless there is a reason to override that. Gives the
/// remarks that stay in the version.
///
/// # Errors
/// [`Rule::Integrity`] with everything that blocks; [`Error::Hive`] for a hive that cannot be read.
pub(crate) fn admit(disk: &str, inspection: Inspection, reason: Option<&str>) -> Result<Vec<Warning>> {
    let Inspection { findings, mut unreadable, .. } = inspection;
    let blocks = |finding: &&Finding| finding.severity == Severity::Blocks;
    let Some(reason) = reason else {
        if !unreadable.is_empty() {
            return Err(unreadable.swap_remove(0).1);
        }
        let blocking: Vec<String> = findings.iter().filter(blocks).map(in_words).collect();
        if !blocking.is_empty() {
            return Err(Rule::Integrity { disk: disk.to_owned(), findings: blocking }.into());
        }
        return Ok(findings.iter().map(|finding| finding.remark(None)).collect());
    };
    let remark = |finding: &Finding| finding.remark(blocks(&finding).then_some(reason));
    let unread = unreadable.iter().map(|(path, error)| of_hive(path, error));
    Ok(findings.iter().map(remark).chain(unread.map(|finding| remark(&finding))).collect())
}

/// A finding with its evidence, on lines of their own.
fn in_words(finding: &Finding) -> String {
    let evidence = finding.evidence_lines().into_iter().map(|line| format!("\n        {line}"));
    format!("    {}: {}{}", finding.code, finding.message, evidence.collect::<String>())
}

/// The finding that a hive cannot be read. Overriding it leaves unexamined what it says.
fn of_hive(path: &str, error: &Error) -> Finding {
    let advice = "Start the machine; Windows repairs or restores the hive. Shut down fully and try again.";
    Finding {
        code: error.code().to_owned(),
        message: error.to_string(),
        severity: Severity::Blocks,
        overridable: true,
        evidence: vec![Evidence { hive: Some(path.to_owned()), ..Evidence::default() }],
        more: 0,
        advice: error.hint().unwrap_or_else(|| advice.to_owned()),
    }
}

/// The finding that a volume must not be layered; other errors stay errors.
fn of_volume(error: Error) -> Result<Finding> {
    let (code, message, advice) = (error.code().to_owned(), error.to_string(), error.hint());
    let file = match error {
        Error::Volume { source: volume::Error::Refused(refusal), .. } => match refusal {
            Refusal::UncleanLog => Some("\\$LogFile".to_owned()),
            Refusal::Dirty => Some("\\$Volume".to_owned()),
            Refusal::Hibernated { .. } => Some("\\hiberfil.sys".to_owned()),
            Refusal::Placeholder { path, .. } => Some(path),
            _ => None,
        },
        Error::Volume { source: volume::Error::Corrupt { .. }, .. } => None,
        error => return Err(error),
    };
    Ok(Finding {
        code,
        message,
        severity: Severity::Blocks,
        overridable: false,
        evidence: file.map(Evidence::file).into_iter().collect(),
        more: 0,
        advice: advice.unwrap_or_else(|| "Choose another disk; this volume cannot be layered.".to_owned()),
    })
}
