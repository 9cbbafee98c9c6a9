//! Driver packages of several layers in one image (docs/windows-databases.md).
//!
//! A package's folder in the driver store and its keys have names made of its own, so those of all layers unite. Two
//! things are the machine's: numbers in the order of installation (files `oemN.inf`, keys of devices), and the database
//! over the signature catalogs.

use crate::compose::Layer;
use crate::manifest::{HiveRecord, Manifest};
use crate::path_list::glob_matches;
use crate::plan::{Steps, warning};
use crate::registry::RegistryLayer;
use crate::report::Warning;
use crate::{Error, Result};
use hive::{KeyRole, ValueChange};
use std::collections::BTreeMap;
use store::BlobId;
use volume::{FileId, Name, Tree, VolumeEditor};

const INF: [&str; 2] = ["Windows", "INF"];
const CATALOGS: [&str; 3] = ["Windows", "System32", "CatRoot"];
const CATALOG_DATABASES: [&str; 3] = ["Windows", "System32", "catroot2"];

/// Drivers of different layers to which Windows gave one name on two packaging machines.
pub(crate) fn colliding_names(tree: &Tree, layers: &[RegistryLayer<'_>]) -> Option<Warning> {
    let directory = folded(tree, &INF);
    let mut drivers: BTreeMap<Name, Vec<(BlobId, String)>> = BTreeMap::new();
    for layer in layers {
        for file in &layer.manifest.files {
            let Some(content) = file.digest() else { continue };
            for name in &file.names {
                let own = tree.fold(&name.name);
                let text = own.to_string();
                let number = text.strip_prefix("OEM").and_then(|rest| rest.strip_suffix(".INF"));
                let numbered =
                    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()));
                if numbered && path(tree, layer.manifest, name.directory) == directory {
                    drivers.entry(own).or_default().push((content, layer.label.to_owned()));
                }
            }
        }
    }
    let several = drivers.into_iter().filter(|(_, of)| of.iter().any(|(content, _)| *content != of[0].0));
    let paths: Vec<String> = several
        .map(|(name, of)| {
            let labels: Vec<String> = of.into_iter().map(|(_, label)| label).collect();
            format!("\\Windows\\INF\\{} ({})", name.to_string().to_lowercase(), labels.join(", "))
        })
        .collect();
    let message = "different drivers have one name, because each was the next one on its packaging machine; Windows \
                   will find only that of the highest layer. Capture one of the layers anew with the other as its \
                   prerequisite, or install both drivers in one layer";
    (!paths.is_empty()).then(|| warning("driver-names-collide", message, paths))
}

/// Keys of SYSTEM whose names are the next free number on a machine: devices that software makes, drivers of a class,
/// providers of the network's socket layer.
const NUMBERED: [&str; 6] = [
    r"CURRENTCONTROLSET\ENUM\ROOT\*\*",
    r"CURRENTCONTROLSET\CONTROL\CLASS\*\*",
    r"CURRENTCONTROLSET\SERVICES\WINSOCK2\PARAMETERS\PROTOCOL_CATALOG9\CATALOG_ENTRIES\*",
    r"CURRENTCONTROLSET\SERVICES\WINSOCK2\PARAMETERS\PROTOCOL_CATALOG9\CATALOG_ENTRIES64\*",
    r"CURRENTCONTROLSET\SERVICES\WINSOCK2\PARAMETERS\NAMESPACE_CATALOG5\CATALOG_ENTRIES\*",
    r"CURRENTCONTROLSET\SERVICES\WINSOCK2\PARAMETERS\NAMESPACE_CATALOG5\CATALOG_ENTRIES64\*",
];

/// Keys with numbers for names that several layers made, each for something else.
pub(crate) fn colliding_keys(layers: &[RegistryLayer<'_>]) -> Option<Warning> {
    let mut made: BTreeMap<String, Vec<(&[ValueChange], &str)>> = BTreeMap::new();
    for layer in layers {
        let is_system = |hive: &&HiveRecord| hive.name.to_string().eq_ignore_ascii_case("SYSTEM");
        for hive in layer.manifest.hives.iter().filter(is_system) {
            for (position, key) in hive.delta.keys.iter().enumerate() {
                let name = key.name.to_string();
                if key.role == KeyRole::Added && name.bytes().all(|byte| byte.is_ascii_digit()) {
                    let path = hive.delta.path(position).to_uppercase();
                    if NUMBERED.iter().any(|pattern| is_at(pattern, &path)) {
                        made.entry(path).or_default().push((&key.values, layer.label));
                    }
                }
            }
        }
    }
    let several = made.into_iter().filter(|(_, by)| by.iter().any(|(values, _)| *values != by[0].0));
    let paths: Vec<String> = several
        .map(|(path, by)| {
            let labels: Vec<&str> = by.into_iter().map(|(_, label)| label).collect();
            format!("SYSTEM\\{path} ({})", labels.join(", "))
        })
        .collect();
    let message = "keys to which Windows gave the same number on different packaging machines, for different devices or \
                   providers; in the image their values are mixed. Capture one of the layers anew with the other as \
                   its prerequisite, or install both in one layer";
    (!paths.is_empty()).then(|| warning("numbered-keys-collide", message, paths))
}

/// Whether a path has as many names as a pattern, and fits it.
fn is_at(pattern: &str, path: &str) -> bool {
    pattern.split('\\').count() == path.split('\\').count()
        && pattern.split('\\').zip(path.split('\\')).all(|(glob, name)| glob_matches(glob, name))
}

/// Takes away what is left of the OS version's database over signature catalogs where a layer changes the catalogs:
/// Windows builds it anew when it is missing, and does not notice catalogs that were added behind its back. A new OS
/// version has what its packaging machine had: `layers` are those of its packaging disk, from which the database was
/// taken away for the same reason.
pub(crate) fn clear_catalog_databases(
    editor: &mut dyn VolumeEditor,
    tree: &Tree,
    steps: &Steps,
    layers: &[Layer],
    context: &str,
) -> Result<()> {
    let catalogs = folded(tree, &CATALOGS);
    let changes = |layer: &Layer| {
        let files = layer.manifest.files.iter().flat_map(|file| &file.names).map(|name| name.directory);
        let deletions = layer.manifest.deletions.iter().map(|deletion| deletion.directory);
        files.chain(deletions).any(|directory| path(tree, &layer.manifest, directory).starts_with(&catalogs))
    };
    if !layers.iter().any(changes) {
        return Ok(());
    }
    let Some(root) = tree.lookup(&CATALOG_DATABASES.map(Name::from)).map(|node| node.id) else {
        return Ok(());
    };
    let gone = |id: FileId| steps.unlinks.iter().chain(&steps.held).any(|unlink| unlink.node == id);
    // With its logs: these would look for a database that is not there.
    let mut pending = vec![root];
    while let Some(directory) = pending.pop() {
        for entry in tree.children(directory) {
            if tree.is_directory(entry.id) {
                pending.push(entry.id);
            } else if !gone(entry.id) {
                let failed =
                    Error::volume(format!("{context}: \\Windows\\System32\\catroot2: {}", entry.name));
                editor.unlink(entry.id, directory, &entry.name).map_err(failed)?;
            }
        }
    }
    Ok(())
}

fn folded(tree: &Tree, names: &[&str]) -> Vec<Name> {
    names.iter().map(|name| tree.fold(&Name::from(*name))).collect()
}

/// Folded path of a directory of a layer.
fn path(tree: &Tree, manifest: &Manifest, directory: u32) -> Vec<Name> {
    manifest.directory_path(directory).into_iter().map(|name| tree.fold(name)).collect()
}
