//! Folding one layer into the view: deletions first, then directories, then files.

use super::claims::{Claim, Remarks};
use super::shorts;
use super::view::{DirectoryIndex, ROOT, Slot, Target, View};
use crate::Result;
use crate::manifest::{DirectoryRecord, DirectoryRole, Manifest, NameRecord};
use crate::report::RowKind;
use volume::{Kind, Name};

/// One layer being folded in.
pub(super) struct Application<'a, 't, 'm> {
    view: &'a mut View<'t>,
    manifest: &'m Manifest,
    layer: usize,
    remarks: &'a mut Remarks,
    /// For each directory of the manifest, where it is in the view once it was needed.
    places: Vec<Option<DirectoryIndex>>,
}

impl<'a, 't, 'm> Application<'a, 't, 'm> {
    pub(super) fn new(
        view: &'a mut View<'t>,
        manifest: &'m Manifest,
        layer: usize,
        remarks: &'a mut Remarks,
    ) -> Application<'a, 't, 'm> {
        let places = vec![None; manifest.directories.len()];
        Application { view, manifest, layer, remarks, places }
    }

    pub(super) fn run(mut self) -> Result<()> {
        self.deletions();
        let manifest = self.manifest;
        for (position, record) in manifest.directories.iter().enumerate() {
            if record.role == DirectoryRole::Created {
                let place = self.ensure(position as u32);
                self.view.directories[place].doomed = None;
            }
        }
        for position in 0..manifest.files.len() {
            self.file(position as u32);
        }
        let mut renamed = Vec::new();
        for (position, record) in manifest.directories.iter().enumerate() {
            if let DirectoryRole::Changed { name, .. } = record.role
                && let Some(place) = self.find(position as u32)
                && self.view.directories[place].made_by != Some((self.layer, position as u32))
            {
                self.view.directories[place].changes.push((self.layer, position as u32));
                if name {
                    renamed.push((place, record));
                }
            }
        }
        self.rename(renamed);
        Ok(())
    }

    /// Gives directories the case and the short names that the layer recorded. All lose theirs first: they may have
    /// passed them on to each other.
    fn rename(&mut self, renamed: Vec<(DirectoryIndex, &DirectoryRecord)>) {
        let mut slots = Vec::with_capacity(renamed.len());
        for (place, record) in renamed {
            let parent = self.view.directories[place].parent;
            let folded = self.view.tree.fold(&record.name);
            if let Some(slot) = self.view.remove(parent, &folded) {
                self.view.directories[place].name = record.name.clone();
                slots.push((parent, folded, record, slot.target));
            }
        }
        for (parent, folded, record, target) in slots {
            self.insert(parent, folded, &record.name, record.short.as_ref(), target);
        }
    }

    /// Contents come after their directory in the list, so the reverse order empties directories first.
    fn deletions(&mut self) {
        let manifest = self.manifest;
        for deletion in manifest.deletions.iter().rev() {
            let folded = self.view.tree.fold(&deletion.name);
            let place = self.find(deletion.directory);
            let slot =
                place.and_then(|place| Some((place, self.view.directories[place].entries.get(&folded)?)));
            let Some((place, slot)) = slot else {
                if deletion.kind == Kind::File {
                    let directory = manifest.directory_path(deletion.directory).into_iter().cloned();
                    let path = directory.chain([deletion.name.clone()]).collect();
                    self.remarks.unmet.push((self.layer, path));
                }
                continue;
            };
            if slot.target.kind() != deletion.kind {
                let path = self.view.entry_path(place, &deletion.name);
                self.remarks.kind_differs.push(path);
                continue;
            }
            match deletion.kind {
                Kind::File => {
                    let claim = Claim::new(self.layer, RowKind::Deletion).with_before(deletion.before);
                    self.remarks.claim(place, &folded, &deletion.name, claim);
                    self.view.remove(place, &folded);
                }
                Kind::Directory => {
                    if let Some(index) = self.view.subdirectory(place, &folded) {
                        if self.view.directories[index].entries.is_empty() {
                            self.view.remove(place, &folded);
                        } else {
                            self.view.directories[index].doomed = Some(self.layer);
                        }
                    }
                }
            }
        }
        self.places.fill(None);
    }

    /// Where a directory of the manifest is, if it is there.
    fn find(&mut self, position: u32) -> Option<DirectoryIndex> {
        if position == 0 {
            return Some(ROOT);
        }
        if let Some(place) = self.places[position as usize] {
            return Some(place);
        }
        let record = &self.manifest.directories[position as usize];
        let parent = self.find(record.parent)?;
        let folded = self.view.tree.fold(&record.name);
        let place = self.view.subdirectory(parent, &folded)?;
        self.places[position as usize] = Some(place);
        Some(place)
    }

    /// Where a directory of the manifest is; it is made if need be. A file in its place loses.
    fn ensure(&mut self, position: u32) -> DirectoryIndex {
        if let Some(place) = self.find(position) {
            return place;
        }
        let manifest = self.manifest;
        let record = &manifest.directories[position as usize];
        let parent = self.ensure(record.parent);
        let folded = self.view.tree.fold(&record.name);
        if self.view.directories[parent].entries.contains_key(&folded) {
            let path = self.view.entry_path(parent, &record.name);
            self.remarks.kind_changed.push(path);
            let claim = Claim::new(self.layer, RowKind::Directory);
            self.remarks.claim(parent, &folded, &record.name, claim);
            self.view.remove(parent, &folded);
        }
        let place = self.view.make(parent, record.name.clone(), (self.layer, position));
        self.insert(parent, folded, &record.name, record.short.as_ref(), Target::Directory(place));
        self.places[position as usize] = Some(place);
        place
    }

    fn file(&mut self, position: u32) {
        let manifest = self.manifest;
        let record = &manifest.files[position as usize];
        let lower = record.lower_names.iter().find_map(|name| self.lower(name));
        let target = match lower {
            Some(target) => target,
            None => {
                if let Some(name) = record.lower_names.first() {
                    self.remarks.link_targets_missing.push(manifest.display_path(name.directory, &name.name));
                }
                Target::NewFile(self.layer, position)
            }
        };
        let entry = if lower.is_some() { RowKind::Link } else { RowKind::File };
        for name in &record.names {
            let place = self.ensure(name.directory);
            let folded = self.view.tree.fold(&name.name);
            let claim = Claim::new(self.layer, entry).with_file(position).with_before(record.before);
            self.remarks.claim(place, &folded, &name.name, claim);
            if let Some(lost) = self.view.remove(place, &folded) {
                self.lost(place, &lost, target);
            }
            self.insert(place, folded, &name.name, name.short.as_ref(), target);
        }
    }

    fn lost(&mut self, place: DirectoryIndex, lost: &Slot, winner: Target) {
        match lost.target {
            Target::Directory(_) | Target::OldDirectory(_) => {
                let path = self.view.entry_path(place, &lost.name);
                self.remarks.subtree_lost.extend(self.view.paths_below(&path, lost.target));
                self.remarks.kind_changed.push(path);
            }
            Target::OldFile(id) if winner != lost.target => {
                self.remarks.replaced.insert(id);
            }
            Target::OldFile(_) | Target::NewFile(..) => {}
        }
    }

    /// The file of a lower layer that has this name now.
    fn lower(&mut self, name: &NameRecord) -> Option<Target> {
        let place = self.find(name.directory)?;
        let folded = self.view.tree.fold(&name.name);
        let slot = self.view.directories[place].entries.get(&folded)?;
        (slot.target.kind() == Kind::File).then_some(slot.target)
    }

    fn insert(
        &mut self,
        place: DirectoryIndex,
        folded: Name,
        name: &Name,
        short: Option<&Name>,
        target: Target,
    ) {
        let collisions = shorts::insert(self.view, place, folded, name, short, target);
        self.remarks.short_names.extend(collisions);
    }
}

/// Takes away the directories that were deleted before they were empty and are empty now; the others are reported.
pub(super) fn settle(view: &mut View<'_>, remarks: &mut Remarks) {
    // Directories are listed parents first, so going backwards sees a directory after everything below it.
    for index in (1..view.directories.len()).rev() {
        if view.directories[index].doomed.is_none() {
            continue;
        }
        let (parent, folded) = {
            let directory = &view.directories[index];
            (directory.parent, view.tree.fold(&directory.name))
        };
        let attached = view.directories[parent]
            .entries
            .get(&folded)
            .is_some_and(|slot| slot.target == Target::Directory(index));
        if !attached {
            continue;
        }
        if view.directories[index].entries.is_empty() {
            view.remove(parent, &folded);
        } else {
            remarks.directories_stay.push(view.path(index));
        }
    }
}
