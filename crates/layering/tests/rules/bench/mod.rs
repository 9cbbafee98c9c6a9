//! A test bench: a store, disks, and what administrators do with them, in a few words.
//!
//! ```text
//! let lab = lab!();                                        // or a visible skip
//! lab.os("Windows@1", |disk| { disk.file("\\a", "1"); });  // import a disk
//! lab.app(&on("Windows@1"), "Office@1", |disk| { … });     // packaging disk → change → capture
//! let image = lab.compose(&on("Windows@1").with("Office@1"));
//! assert_eq!(image.text("\\a"), "1");
//! ```
//!
//! Every composed image is checked and read by a second implementation before a test sees it ([`Snapshot`]).

pub mod disk;
pub mod edit;
pub mod exchange;
pub mod registry;
pub mod snapshot;

pub use self::disk::{Disk, MIB, Part, WINDOWS};
pub use edit::{Body, Edit, NewFile, descriptor, noise, show, tick};
pub use registry::Registry;
pub use snapshot::Snapshot;

use ::disk::format::Format;
use layering::platform::{Hypervisor, PlatformTypes};
use layering::reference::LayerKind;
use layering::report::*;
use layering::request::*;
use layering::{Engine, Error};
use operation::{Explain, Silent};
use std::cell::Cell;
use std::ops::Deref;
use std::path::PathBuf;
use tempfile::TempDir;

/// Opens a [`Lab`] named after the test, or returns from it with a visible skip.
macro_rules! lab {
    () => {{
        fn here() {}
        let test = std::any::type_name_of_val(&here).trim_end_matches("::here").to_owned();
        match crate::bench::Lab::open(&test) {
            Some(lab) => lab,
            None => return,
        }
    }};
}
pub(crate) use lab;

/// A composite in words.
#[derive(Clone)]
pub struct Spec(pub CompositeSpec);

/// The composite that is only this OS version.
pub fn on(os: &str) -> Spec {
    Spec(CompositeSpec { os: os.to_owned(), layers: Vec::new(), base: None, platform: None })
}

impl Spec {
    /// One more app layer version, above the others.
    pub fn with(mut self, layer: &str) -> Spec {
        self.0.layers.push(layer.to_owned());
        self
    }

    pub fn base(mut self, base: &str) -> Spec {
        self.0.base = Some(base.to_owned());
        self
    }

    pub fn platform(mut self, platform: &str) -> Spec {
        self.0.platform = Some(platform.to_owned());
        self
    }
}

/// A store and a directory for disks.
pub struct Lab {
    directory: TempDir,
    pub engine: Engine,
    count: Cell<u32>,
    /// Length of the disk that was imported last: images are made as long unless a test says otherwise.
    disk_len: Cell<u64>,
}

impl Lab {
    /// `None`, with a visible skip in the name of the test, where volumes cannot be made.
    #[expect(clippy::print_stdout, reason = "the test command counts these lines")]
    pub fn open(test: &str) -> Option<Lab> {
        if !disk::can_format() {
            println!("SKIPPED {test}: mkntfs is not installed");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store");
        Engine::init(&store).unwrap();
        let engine = Engine::open(&store).unwrap();
        Some(Lab { directory, engine, count: Cell::new(0), disk_len: Cell::new(0) })
    }

    pub fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// The path of a file that is not there yet.
    pub fn fresh(&self, what: &str) -> PathBuf {
        self.count.set(self.count.get() + 1);
        self.directory.path().join(format!("{}-{what}", self.count.get()))
    }

    /// A disk with an EFI system partition and an OS volume that has a Windows folder.
    pub fn disk(&self) -> Disk {
        self.disk_of(WINDOWS)
    }

    pub fn disk_of(&self, parts: &[Part]) -> Disk {
        let disk = Disk::create(self.fresh("os.raw"), parts);
        disk.edit(|volume| {
            volume.directory("\\Windows\\System32\\config");
        });
        disk
    }

    pub fn copy(&self, disk: &Disk) -> Disk {
        disk.copy(self.fresh("copy.raw"))
    }

    pub fn import_request(&self, reference: &str, disk: &Disk) -> ImportRequest {
        let (name, version) = split(reference);
        self.disk_len.set(disk.source().len());
        ImportRequest {
            disk: disk.path.clone(),
            name,
            version,
            volume: None,
            max_size: None,
            allow_backing: false,
            override_reason: None,
        }
    }

    pub fn try_import(&self, reference: &str, disk: &Disk) -> Result<VersionReport, Error> {
        self.engine.import(&self.import_request(reference, disk), &Silent)
    }

    pub fn import(&self, reference: &str, disk: &Disk) -> VersionReport {
        self.try_import(reference, disk).unwrap()
    }

    /// Imports a fresh disk with these changes as an OS version, and gives it back.
    pub fn os(&self, reference: &str, change: impl FnOnce(&mut Edit)) -> Disk {
        let disk = self.disk();
        disk.edit(change);
        self.import(reference, &disk);
        disk
    }

    /// Imports what became of an older OS disk as a further version.
    pub fn os_after(&self, old: &Disk, reference: &str, change: impl FnOnce(&mut Edit)) -> Disk {
        let disk = self.copy(old);
        disk.edit(change);
        self.import(reference, &disk);
        disk
    }

    pub fn try_package(&self, spec: &Spec) -> Result<(Disk, PackagingDiskReport), Error> {
        let out = self.fresh("packaging.raw");
        let request =
            PackagingDiskRequest { composite: spec.0.clone(), format: Format::Raw, out: out.clone() };
        let report = self.engine.packaging_disk(&request, &Silent)?;
        Ok((Disk { path: out }, report))
    }

    pub fn package(&self, spec: &Spec) -> Disk {
        self.try_package(spec).unwrap().0
    }

    pub fn capture_request(
        &self,
        spec: &Spec,
        kind: LayerKind,
        reference: &str,
        disk: &Disk,
    ) -> CaptureRequest {
        let (name, version) = split(reference);
        CaptureRequest {
            composite: spec.0.clone(),
            disk: disk.path.clone(),
            version: VersionSpec { kind, name, version, max_size: None, platform: None },
            changed: None,
            trust_metadata: false,
            allow_backing: false,
            override_reason: None,
        }
    }

    pub fn try_capture(
        &self,
        spec: &Spec,
        kind: LayerKind,
        reference: &str,
        disk: &Disk,
    ) -> Result<VersionReport, Error> {
        self.engine.capture(&self.capture_request(spec, kind, reference, disk), &Silent)
    }

    pub fn capture(&self, spec: &Spec, kind: LayerKind, reference: &str, disk: &Disk) -> VersionReport {
        self.try_capture(spec, kind, reference, disk).unwrap()
    }

    /// Captures a version of a platform layer of these types.
    pub fn try_capture_platform(
        &self,
        spec: &Spec,
        types: PlatformTypes,
        reference: &str,
        disk: &Disk,
    ) -> Result<VersionReport, Error> {
        let mut request = self.capture_request(spec, LayerKind::Platform, reference, disk);
        request.version.platform = Some(types);
        self.engine.capture(&request, &Silent)
    }

    fn install(
        &self,
        spec: &Spec,
        kind: LayerKind,
        reference: &str,
        change: impl FnOnce(&mut Edit),
    ) -> VersionReport {
        let disk = self.package(spec);
        disk.edit(change);
        self.capture(spec, kind, reference, &disk)
    }

    /// Packages, changes and captures an app layer version.
    pub fn app(&self, spec: &Spec, reference: &str, change: impl FnOnce(&mut Edit)) -> VersionReport {
        self.install(spec, LayerKind::App, reference, change)
    }

    /// Packages, changes and captures a publishing platform layer version, for a hypervisor without recipe.
    pub fn platform(&self, spec: &Spec, reference: &str, change: impl FnOnce(&mut Edit)) -> VersionReport {
        self.platform_of(spec, PlatformTypes::publishing(Hypervisor::Other), reference, change)
    }

    /// Packages, changes and captures a packaging platform layer version.
    pub fn packaging_platform(
        &self,
        spec: &Spec,
        reference: &str,
        change: impl FnOnce(&mut Edit),
    ) -> VersionReport {
        self.platform_of(spec, PlatformTypes::packaging(Hypervisor::Other), reference, change)
    }

    /// Packages, changes and captures a platform layer version of these types.
    pub fn platform_of(
        &self,
        spec: &Spec,
        types: PlatformTypes,
        reference: &str,
        change: impl FnOnce(&mut Edit),
    ) -> VersionReport {
        let disk = self.package(spec);
        disk.edit(change);
        self.try_capture_platform(spec, types, reference, &disk).unwrap()
    }

    /// Packages, changes and captures an OS version.
    pub fn os_version(&self, spec: &Spec, reference: &str, change: impl FnOnce(&mut Edit)) -> VersionReport {
        self.install(spec, LayerKind::Os, reference, change)
    }

    /// A request for an image as long as its OS disk.
    pub fn compose_request(&self, spec: &Spec, image: &str) -> ComposeRequest {
        let size = Some(self.disk_len.get());
        ComposeRequest { composite: spec.0.clone(), image: image.to_owned(), size, recovery: None }
    }

    pub fn compose(&self, spec: &Spec) -> Image {
        self.count.set(self.count.get() + 1);
        let name = format!("image {}", self.count.get());
        let report = self.engine.compose(&self.compose_request(spec, &name), &Silent).unwrap();
        self.export(&name, report)
    }

    pub fn export(&self, name: &str, report: ComposeReport) -> Image {
        let out = self.fresh("image.raw");
        let request = ExportRequest { image: name.to_owned(), format: Format::Raw, out: out.clone() };
        self.engine.export(&request, &Silent).unwrap();
        let disk = Disk { path: out };
        let snapshot = Snapshot::of(&disk);
        Image { disk, report, snapshot }
    }

    /// What a layer version changes: `file \a`, `directory \b`, `link \c`, `deletion \d`.
    pub fn rows(&self, reference: &str) -> Vec<String> {
        let kinds = |row: &FileRow| match row.entry {
            RowKind::File => "file",
            RowKind::Directory => "directory",
            RowKind::Link => "link",
            RowKind::Deletion => "deletion",
        };
        let rows = self.engine.files(reference, None, &Silent).unwrap().rows;
        rows.iter().map(|row| format!("{} {}", kinds(row), row.path)).collect()
    }

    pub fn conflicts(&self, spec: &Spec) -> ConflictsReport {
        self.engine.conflicts(&spec.0, &Silent).unwrap()
    }

    /// The references of everything in the store.
    pub fn list(&self) -> Vec<String> {
        self.engine.list().unwrap().entries.iter().map(|entry| entry.id.clone()).collect()
    }

    /// Asserts that the store is whole, every byte of it.
    #[track_caller]
    pub fn assert_sound(&self) {
        let report = self.engine.check(true, &Silent).unwrap();
        assert!(report.clean, "{:#?}", report.problems);
    }
}

fn split(reference: &str) -> (String, String) {
    let (name, version) = reference.split_once('@').expect("NAME@VERSION");
    (name.to_owned(), version.to_owned())
}

/// A composed image that was exported.
pub struct Image {
    pub disk: Disk,
    pub report: ComposeReport,
    snapshot: Snapshot,
}

impl Deref for Image {
    type Target = Snapshot;
    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// The paths of the warning with this code; none when there is no such warning.
pub fn warned(warnings: &[Warning], code: &str) -> Vec<String> {
    let found: Vec<&Warning> = warnings.iter().filter(|warning| warning.code == code).collect();
    assert!(found.len() < 2, "{code} comes more than once: {found:?}");
    found.first().map_or_else(Vec::new, |warning| warning.paths.clone())
}

/// The codes of warnings.
pub fn codes(warnings: &[Warning]) -> Vec<&str> {
    warnings.iter().map(|warning| warning.code.as_str()).collect()
}

/// Asserts that something was refused with this code, and gives the message.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T, Error>, code: &str) -> String {
    let error = result.expect_err("should have been refused");
    assert_eq!(error.code(), code, "{error}");
    error.to_string()
}
