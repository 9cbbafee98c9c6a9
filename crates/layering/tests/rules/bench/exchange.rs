//! Exchanging layers, and looking into layouts.

use super::{Image, Lab, Spec};
use layering::report::{ExchangeState, ExportLayersReport, ImportLayersReport};
use layering::request::{ExportLayersRequest, ImportLayersRequest};
use layering::{Engine, Error};
use operation::Silent;
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

pub fn export_request(references: &[&str], layout: &Path) -> ExportLayersRequest {
    let references = references.iter().map(|&reference| reference.to_owned()).collect();
    ExportLayersRequest { references, directory: layout.to_owned(), with_os: false }
}

pub fn import_request(layout: &Path, references: &[&str]) -> ImportLayersRequest {
    let references = references.iter().map(|&reference| reference.to_owned()).collect();
    ImportLayersRequest { directory: layout.to_owned(), references, rename: Vec::new(), max_size: None }
}

impl Lab {
    pub fn try_export_layers(&self, references: &[&str], layout: &Path) -> Result<ExportLayersReport, Error> {
        self.engine.export_layers(&export_request(references, layout), &Silent)
    }

    #[track_caller]
    pub fn export_layers(&self, references: &[&str], layout: &Path) -> ExportLayersReport {
        self.try_export_layers(references, layout).unwrap()
    }

    pub fn import_some(&self, layout: &Path, references: &[&str]) -> Result<ImportLayersReport, Error> {
        self.engine.import_layers(&import_request(layout, references), &Silent)
    }

    pub fn try_import_layers(&self, layout: &Path) -> Result<ImportLayersReport, Error> {
        self.import_some(layout, &[])
    }

    #[track_caller]
    pub fn import_layers(&self, layout: &Path) -> ImportLayersReport {
        self.try_import_layers(layout).unwrap()
    }

    /// Composes an image of the length that it would have in another lab.
    pub fn compose_as(&self, other: &Lab, spec: &Spec) -> Image {
        let name = format!("image of {}", self.fresh("").display().to_string().rsplit('/').next().unwrap());
        let report = self.engine.compose(&other.compose_request(spec, &name), &Silent).unwrap();
        self.export(&name, report)
    }
}

pub fn states(report: &ImportLayersReport) -> Vec<ExchangeState> {
    report.versions.iter().map(|version| version.state).collect()
}

/// What the versions are called in the store.
pub fn references(report: &ImportLayersReport) -> Vec<String> {
    let name = |version: &layering::report::Summary| {
        format!("{}:{}@{}", version.kind.as_str(), version.name, version.version.as_ref().unwrap())
    };
    report.versions.iter().map(|version| name(&version.version)).collect()
}

/// The identities of everything in a store.
pub fn ids(engine: &Engine) -> Vec<String> {
    engine.list().unwrap().entries.iter().map(|entry| entry.id.clone()).collect()
}

/// A file as far as it shows whether it was written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    pub len: u64,
    pub number: u64,
    pub changed: (i64, i64),
}

/// Every file of a layout, by its path in it.
pub fn files_of(layout: &Path) -> BTreeMap<String, FileState> {
    let mut files = BTreeMap::new();
    for directory in ["", "blobs", "blobs/sha256"] {
        let Ok(entries) = std::fs::read_dir(layout.join(directory)) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_file() && !path.ends_with(".lamina.lock") {
                let changed = (metadata.mtime(), metadata.mtime_nsec());
                let state = FileState { len: metadata.len(), number: metadata.ino(), changed };
                files.insert(path.strip_prefix(layout).unwrap().display().to_string(), state);
            }
        }
    }
    files
}

pub fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value = read_json(path);
    edit(&mut value);
    std::fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
}

/// The digits of a digest, which are the name of the blob's file.
pub fn digits(digest: &Value) -> String {
    digest.as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned()
}

/// The manifests that the index of a layout names, in its order.
pub fn manifests(layout: &Path) -> Vec<Value> {
    let index = read_json(&layout.join("index.json"));
    let entries = index["manifests"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| read_json(&layout.join("blobs/sha256").join(digits(&entry["digest"]))))
        .collect()
}

/// Flips one bit of a file, in place.
pub fn flip(path: &Path, bit: usize) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit as u64 / 8).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << (bit % 8)], bit as u64 / 8).unwrap();
}
