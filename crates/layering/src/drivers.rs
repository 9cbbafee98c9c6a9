//! Driver packages of several layers in one image (docs/windows-databases.md).
//!
//! A package's folder in the driver store and its keys have names made of its own, so those of all layers unite. Two
//! things are the machine's: the names `oemN.inf`, which are numbers in the order of installation, and the database
//! over the signature catalogs.

use crate::plan::{Steps, warning};
use crate::registry::RegistryLayer;
use crate::report::Warning;
use crate::{Error, Result};
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
                if numbered && path(tree, layer, name.directory) == directory {
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

/// Takes away the OS version's database over signature catalogs where a layer changes the catalogs: Windows builds it
/// anew when it is missing, and does not notice catalogs that were added behind its back.
pub(crate) fn clear_catalog_databases(
    editor: &mut dyn VolumeEditor,
    tree: &Tree,
    steps: &Steps,
    layers: &[RegistryLayer<'_>],
    context: &str,
) -> Result<()> {
    let catalogs = folded(tree, &CATALOGS);
    let changes = |layer: &RegistryLayer<'_>| {
        let files = layer.manifest.files.iter().flat_map(|file| &file.names).map(|name| name.directory);
        let deletions = layer.manifest.deletions.iter().map(|deletion| deletion.directory);
        files.chain(deletions).any(|directory| path(tree, layer, directory).starts_with(&catalogs))
    };
    if !layers.iter().any(changes) {
        return Ok(());
    }
    let Some(root) = tree.lookup(&CATALOG_DATABASES.map(Name::from)).map(|node| node.id) else {
        return Ok(());
    };
    let gone = |id: FileId| steps.unlinks.iter().chain(&steps.held).any(|unlink| unlink.node == id);
    for set in tree.children(root) {
        if let Some(database) = tree.child(set.id, &Name::from("catdb"))
            && !tree.is_directory(database.id)
            && !gone(database.id)
        {
            let failed =
                Error::volume(format!("{context}: \\Windows\\System32\\catroot2\\{}\\catdb", set.name));
            editor.unlink(database.id, set.id, &database.name).map_err(failed)?;
        }
    }
    Ok(())
}

fn folded(tree: &Tree, names: &[&str]) -> Vec<Name> {
    names.iter().map(|name| tree.fold(&Name::from(*name))).collect()
}

/// Folded path of a directory of a layer.
fn path(tree: &Tree, layer: &RegistryLayer<'_>, directory: u32) -> Vec<Name> {
    layer.manifest.directory_path(directory).into_iter().map(|name| tree.fold(name)).collect()
}
