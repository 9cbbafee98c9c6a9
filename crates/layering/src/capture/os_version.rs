//! A new OS version: the returned disk, block by block.

use super::counts;
use super::returned::Returned;
use crate::compose::store_frozen;
use crate::import::{store_changes, worth_storing};
use crate::never_captured::NeverCaptured;
use crate::placement::Placement;
use crate::record::DiskRecord;
use crate::{Error, Result};
use disk::{BlockSet, ByteSource, Overlay, PageBudget, Window};
use ntfs_volume::edit::NtfsEditor;
use operation::Progress;
use std::collections::HashSet;
use std::sync::Arc;
use store::{BlobId, Session};
use volume::{FileId, Name, Tree, VolumeEditor};

/// A new OS version that is stored.
pub(super) struct StoredOs {
    pub(super) record: DiskRecord,
    /// Bytes of the disk that its base does not have, whether or not another OS layer does.
    pub(super) added: u64,
    /// Bytes newly stored.
    pub(super) stored: u64,
    /// Bytes read from the returned disk.
    pub(super) read: u64,
    pub(super) files: u64,
    pub(super) directories: u64,
}

/// The returned disk block by block, without what is never captured.
pub(super) fn store_os(
    session: &Session,
    base: &DiskRecord,
    returned: &Returned,
    changed: BlockSet,
    never: &NeverCaptured,
    progress: &dyn Progress,
) -> Result<StoredOs> {
    let worth = worth_storing(&returned.disk, &returned.volume, &returned.tree)?;
    let mut writer = session.pack_writer()?;
    let imported = store_changes(base, &*returned.disk, &changed, &worth, &mut writer, progress)?;
    writer.finish()?;
    let mut placement = Placement::new(session);
    let map = placement.map(&imported.record, "the returned disk")?;
    let budget = PageBudget { bytes: 64 << 20, scratch_dir: session.store().scratch_dir() };
    let overlay = Overlay::new(map, placement.sources(), budget)
        .map_err(|error| Error::record("the returned disk", &error))?;
    let partition = &returned.volume.partition;
    let context = returned.volume.context("the returned disk");
    let device = Window::new(overlay, partition.start, partition.len)
        .map_err(|error| Error::record(context.clone(), &error))?;
    let mut editor = NtfsEditor::mount(device).map_err(Error::volume(context.clone()))?;
    remove_never_captured(&mut editor, &returned.tree, never, &context)?;
    let frozen = editor.finish_into().map_err(Error::volume(context))?.into_inner().freeze();
    let (record, written, disk) = store_frozen(session, &mut placement, frozen, progress)?;
    let disk: Arc<dyn ByteSource> = Arc::new(disk);
    let (files, directories) = counts(&returned.volume.scan(&disk, "the new OS version", progress)?);
    let of_base: HashSet<BlobId> = base.extents.iter().map(|extent| extent.blob).collect();
    let added = record.extents.iter().filter(|extent| !of_base.contains(&extent.blob));
    let added = added.map(|extent| extent.len).sum();
    let (stored, read) = (imported.stored + written, imported.read);
    Ok(StoredOs { record, added, stored, read, files, directories })
}

/// Takes away what no layer carries.
fn remove_never_captured(
    editor: &mut dyn VolumeEditor,
    tree: &Tree,
    never: &NeverCaptured,
    context: &str,
) -> Result<()> {
    let failed = |name: &Name| Error::volume(format!("{context}: {name}"));
    // Directories are removed after what is in them: `leaving` is in order of discovery, parents first.
    let mut leaving: Vec<(FileId, FileId, Name)> = Vec::new();
    let mut pending: Vec<(FileId, Vec<Name>, bool)> = vec![(tree.root(), Vec::new(), false)];
    while let Some((directory, path, doomed)) = pending.pop() {
        for child in tree.children(directory) {
            let goes = doomed || never.matches(tree, &path, &child.name);
            if goes {
                leaving.push((child.id, directory, child.name.clone()));
            }
            if tree.is_directory(child.id) {
                let mut below = path.clone();
                below.push(child.name.clone());
                pending.push((child.id, below, goes));
            }
        }
    }
    for (id, parent, name) in leaving.iter().rev() {
        editor.unlink(*id, *parent, name).map_err(failed(name))?;
    }
    Ok(())
}
