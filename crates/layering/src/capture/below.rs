//! The packaging disk without the base version: the OS version and the prerequisites.

use crate::catalog::{Catalog, Version};
use crate::compose::{Becomes, Layer, OsDisk, compose};
use crate::difference::hive_streams;
use crate::os_volume::OsVolume;
use crate::registry::{self, HiveFiles, ListValues};
use crate::successor::Below;
use crate::{Error, Result};
use disk::ByteSource;
use operation::Progress;
use std::sync::Arc;
use store::Session;
use volume::{Name, Tree};

/// What is below the base version: whether a path exists there, and its hives. Those are merged when one is asked for.
pub(super) struct BelowBase<'a, F> {
    pub(super) exists: F,
    pub(super) session: &'a Session,
    pub(super) catalog: &'a Catalog<'a>,
    pub(super) os: &'a Version,
    /// The prerequisites, lowest first.
    pub(super) layers: &'a [Layer],
    /// What the composite with the base version became.
    pub(super) becomes: Becomes<'a>,
    pub(super) lists: &'a ListValues,
    pub(super) progress: &'a dyn Progress,
    pub(super) composed: Option<ComposedBelow>,
}

/// A volume, and what is on it.
pub(super) struct ComposedBelow {
    disk: Arc<dyn ByteSource>,
    volume: OsVolume,
    tree: Tree,
}

impl<F> BelowBase<'_, F> {
    fn compose(&self) -> Result<ComposedBelow> {
        let os = OsDisk::open(self.session, self.catalog, self.os)?;
        let reference = os.reference.clone();
        let (disk, volume): (Arc<dyn ByteSource>, OsVolume) = if self.layers.is_empty() {
            (os.source(), os.volume)
        } else {
            let composed = compose(self.session, os, self.layers, self.becomes, self.lists, self.progress)?;
            (Arc::new(composed.frozen), composed.volume)
        };
        let tree = volume.scan(&disk, &reference, self.progress)?;
        Ok(ComposedBelow { disk, volume, tree })
    }
}

impl<F: Fn(&[&Name], &Name) -> bool> Below for BelowBase<'_, F> {
    fn exists(&self, directory: &[&Name], name: &Name) -> bool {
        (self.exists)(directory, name)
    }

    fn hive(&mut self, directory: &[Name], name: &Name) -> Result<Option<HiveFiles>> {
        if self.composed.is_none() {
            self.composed = Some(self.compose()?);
        }
        let Some(ComposedBelow { disk, volume, tree }) = &self.composed else { return Ok(None) };
        let parent = tree.lookup(directory).map(|node| node.id);
        let streams = parent.and_then(|parent| {
            let entry = tree.child(parent, name).filter(|entry| !tree.is_directory(entry.id))?;
            hive_streams(tree, entry, tree.children(parent))
        });
        let Some(streams) = streams else { return Ok(None) };
        let files = registry::read(&volume.window(disk)?, &streams);
        files
            .map(Some)
            .map_err(Error::io(format!("reading {name} of the packaging disk without the base version")))
    }
}
