//! Which files a job needs: what its process is confined to.

use crate::Job;
use layering::request::{
    CaptureRequest, ExportLayersRequest, ExportRequest, ImportLayersRequest, ImportRequest, IntegrityRequest,
    PackagingDiskRequest, RegistryExportRequest, StoredIntegrityRequest,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Files and directories; of a directory, everything beneath it is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// May be read.
    pub read: Vec<PathBuf>,
    /// Directories in which files may be read, made, changed, renamed and removed.
    pub write: Vec<PathBuf>,
    /// Directories whose names may be listed, and which may be flushed.
    pub list: Vec<PathBuf>,
}

impl Paths {
    /// What either of them allows.
    pub fn and(mut self, other: Paths) -> Paths {
        self.read.extend(other.read);
        self.write.extend(other.write);
        self.list.extend(other.list);
        self
    }
}

/// What `job` needs on the store in the directory `store`.
///
/// An image that may take contents from other files takes them from its own directory; where they are elsewhere, whoever
/// starts the job has to say so. Every field of every request is named here, so that nobody adds one with a path in it
/// without meeting this place.
pub fn paths(store: &Path, job: &Job) -> Paths {
    let needed = match job {
        // The store's own directory becomes durable by flushing the one that it is in.
        Job::Init => Paths { list: vec![directory_of(store)], ..Paths::default() },
        Job::Import(ImportRequest {
            disk,
            name: _,
            version: _,
            volume: _,
            max_size: _,
            allow_backing,
            override_reason: _,
        }) => image(disk, *allow_backing),
        Job::Integrity(IntegrityRequest { disk, volume: _, kind: _, allow_backing }) => {
            image(disk, *allow_backing)
        }
        Job::PackagingDisk(PackagingDiskRequest { composite: _, format: _, out }) => output(out),
        Job::Capture(CaptureRequest {
            composite: _,
            disk,
            version: _,
            changed: _,
            trust_metadata: _,
            allow_backing,
            override_reason: _,
        }) => image(disk, *allow_backing),
        Job::Export(ExportRequest { image: _, format: _, out }) => output(out),
        Job::RegistryExport(RegistryExportRequest { of: _, scope: _, format: _, out }) => output(out),
        // An export makes the layout's directory, if it is to be made, in the one that it is in.
        Job::ExportLayers(ExportLayersRequest { references: _, directory, with_os: _ }) => Paths {
            write: if directory.exists() { vec![directory.clone()] } else { vec![directory_of(directory)] },
            ..Paths::default()
        },
        Job::ImportLayers(ImportLayersRequest { directory, references: _, rename: _, max_size: _ })
        | Job::ListLayout { directory, files_of: _ } => {
            Paths { read: vec![directory.clone()], ..Paths::default() }
        }
        Job::StoredIntegrity(StoredIntegrityRequest { image: _, kind: _ })
        | Job::Compose(_)
        | Job::List
        | Job::Show { reference: _ }
        | Job::Files { reference: _, path: _ }
        | Job::Diff { from: _, to: _ }
        | Job::Conflicts(_)
        | Job::RegistryDiff(_)
        | Job::Check { read_data: _ }
        | Job::Remove { reference: _ }
        | Job::Gc { dry_run: _ } => Paths::default(),
    };
    let store = if job.needs_store() { vec![store.to_owned()] } else { Vec::new() };
    Paths { write: store, ..Paths::default() }.and(needed)
}

fn image(disk: &Path, allow_backing: bool) -> Paths {
    let mut read = vec![disk.to_owned()];
    if allow_backing {
        read.push(directory_of(disk));
    }
    Paths { read, ..Paths::default() }
}

/// A file is written beside its place and renamed into it.
fn output(out: &Path) -> Paths {
    Paths { write: vec![directory_of(out)], ..Paths::default() }
}

/// The directory that a path names something in.
fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The index of a job's kind: a new kind does not compile before it has one, and a test then asks for its case.
    fn index(job: &Job) -> usize {
        match job {
            Job::Init => 0,
            Job::Import(_) => 1,
            Job::Integrity(_) => 2,
            Job::PackagingDisk(_) => 3,
            Job::Capture(_) => 4,
            Job::Compose(_) => 5,
            Job::Export(_) => 6,
            Job::List => 7,
            Job::Show { .. } => 8,
            Job::Files { .. } => 9,
            Job::Diff { .. } => 10,
            Job::Conflicts(_) => 11,
            Job::RegistryExport(_) => 12,
            Job::RegistryDiff(_) => 13,
            Job::Check { .. } => 14,
            Job::Remove { .. } => 15,
            Job::Gc { .. } => 16,
            Job::StoredIntegrity(_) => 17,
            Job::ExportLayers(_) => 18,
            Job::ImportLayers(_) => 19,
            Job::ListLayout { .. } => 20,
        }
    }
    const KINDS: usize = 21;

    /// A job of every kind, as it is sent, with what it needs besides the store.
    fn every_job() -> Vec<(Value, Paths)> {
        let nothing = Paths::default;
        let read = |paths: &[&str]| Paths { read: paths.iter().map(Into::into).collect(), ..nothing() };
        let write = |path: &str| Paths { write: vec![path.into()], ..nothing() };
        let composite = json!({"os": "Windows"});
        let version = json!({"kind": "app", "name": "Office", "version": "1"});
        vec![
            (json!({"operation": "init"}), Paths { list: vec!["/srv".into()], ..nothing() }),
            (
                json!({"operation": "import", "request": {"disk": "/in/a.vhdx", "name": "W", "version": "1"}}),
                read(&["/in/a.vhdx"]),
            ),
            (
                json!({"operation": "import", "request":
                    {"disk": "/in/a.qcow2", "name": "W", "version": "1", "allow_backing": true}}),
                read(&["/in/a.qcow2", "/in"]),
            ),
            (
                json!({"operation": "integrity", "request": {"disk": "a.vhdx", "kind": "os"}}),
                read(&["a.vhdx"]),
            ),
            (
                json!({"operation": "packaging-disk", "request":
                    {"composite": composite, "format": "vhdx", "out": "/share/new/a.vhdx"}}),
                write("/share/new"),
            ),
            (
                json!({"operation": "capture", "request":
                    {"composite": composite, "disk": "/share/a.vhdx", "version": version}}),
                read(&["/share/a.vhdx"]),
            ),
            (
                json!({"operation": "compose", "request": {"composite": composite, "image": "Desktop"}}),
                nothing(),
            ),
            (
                json!({"operation": "export", "request": {"image": "D", "format": "vhd", "out": "d.vhd"}}),
                write("."),
            ),
            (json!({"operation": "stored-integrity", "request": {"image": "D", "kind": "os"}}), nothing()),
            (
                json!({"operation": "export-layers", "request":
                    {"references": ["app:/etc"], "directory": "/no/such/layout"}}),
                write("/no/such"),
            ),
            (
                json!({"operation": "import-layers", "request": {"directory": "/share/layout"}}),
                read(&["/share/layout"]),
            ),
            (
                json!({"operation": "list-layout", "request": {"directory": "/share/layout"}}),
                read(&["/share/layout"]),
            ),
            (json!({"operation": "list"}), nothing()),
            (json!({"operation": "show", "request": {"reference": "app:/etc"}}), nothing()),
            (json!({"operation": "files", "request": {"reference": "W", "path": "/etc"}}), nothing()),
            (json!({"operation": "diff", "request": {"from": "A", "to": "B"}}), nothing()),
            (json!({"operation": "conflicts", "request": composite}), nothing()),
            (
                json!({"operation": "registry-export", "request":
                    {"of": {"image": "D"}, "scope": {}, "format": "reg", "out": "/share/d.reg"}}),
                write("/share"),
            ),
            (
                json!({"operation": "registry-diff", "request": {"from": "A", "to": "B", "scope": {}}}),
                nothing(),
            ),
            (json!({"operation": "check", "request": {"read_data": true}}), nothing()),
            (json!({"operation": "remove", "request": {"reference": "A"}}), nothing()),
            (json!({"operation": "gc", "request": {"dry_run": false}}), nothing()),
        ]
    }

    #[test]
    fn every_kind_of_job_gets_the_store_and_its_own_files_and_nothing_else() {
        let mut seen = [false; KINDS];
        for (text, needed) in every_job() {
            let job: Job = serde_json::from_value(text.clone()).unwrap_or_else(|why| panic!("{text}: {why}"));
            seen[index(&job)] = true;
            let store = if job.needs_store() { vec!["/srv/store".into()] } else { Vec::new() };
            let expected = Paths { write: store, ..Paths::default() }.and(needed);
            assert_eq!(paths(Path::new("/srv/store"), &job), expected, "{text}");
        }
        assert_eq!(seen, [true; KINDS], "a kind of job has no case here");
    }
}
