//! Capturing: what changed on a returned packaging disk becomes a layer version.

mod below;
mod elsewhere;
mod os_version;
mod returned;

use crate::catalog::{Catalog, Version, now, put_disk, put_manifest};
use crate::changed_blocks::changed_blocks;
use crate::compose::{Becomes, Layer, OsDisk, compose};
use crate::contents::{BaseBlobs, Equality, Registry, ReturnedContents};
use crate::difference::{Difference, Scope, difference};
use crate::error::Rule;
use crate::integrity::{admit, inspect};
use crate::manifest::{DirectoryRole, Manifest, Piece};
use crate::marker::Marker;
use crate::placement::Placement;
use crate::plan::{PlanLayer, exists_after, warning};
use crate::platform::PlatformTypes;
use crate::policy::Policy;
use crate::record::{Captured, DiskRecord, ENGINE, UNPUBLISHED, VersionRecord};
use crate::reference::{EntityName, LayerKind};
use crate::registry::{self, ListValues, NeverCapturedKeys, windows_packages};
use crate::report::Warning;
use crate::successor::successor;
use crate::{Error, Result};
use below::BelowBase;
use disk::{BlockSet, ByteSource, ExtentMap};
use elsewhere::elsewhere;
use hive::Upcase;
use operation::Progress;
use os_version::store_os;
use returned::{Origin, Returned, within};
use std::sync::Arc;
use store::{ObjectId, Session};
use volume::{Name, Tree};

/// How the changes on a returned disk are found.
#[derive(Debug, Clone)]
pub enum Changes {
    /// Compare the whole disk.
    Compare,
    /// Only these ranges of the disk differ from the composite (bytes): what a platform's snapshot difference or an
    /// overlay's allocation says. Ranges that did not change in truth cost time, missing ones cost changes.
    Known(BlockSet),
    /// Files whose records are equal have not changed.
    TrustMetadata,
}

/// A composite with the versions that are in it.
pub(crate) struct Composite {
    pub(crate) os: Version,
    pub(crate) prerequisites: Vec<Version>,
    pub(crate) base: Option<Version>,
    pub(crate) platform: Option<Version>,
}

impl Composite {
    /// The versions of the composite, lowest first.
    pub(crate) fn versions(&self) -> impl Iterator<Item = &Version> {
        std::iter::once(&self.os).chain(&self.prerequisites).chain(&self.base).chain(&self.platform)
    }

    /// The layers over the OS version, lowest first.
    pub(crate) fn layers(&self, catalog: &Catalog<'_>) -> Result<Vec<Layer>> {
        self.versions().skip(1).map(|version| Layer::load(catalog, version, &self.os)).collect()
    }

    /// The mark that a disk with this composite carries, where values are merged by these lists.
    pub(crate) fn marker(&self, lists: &ListValues) -> Marker {
        let pinned: Vec<_> = self.versions().map(Version::pinned).collect();
        Marker::new(&pinned, lists)
    }
}

/// What to call the new version, and what it may be.
pub(crate) struct NewVersion {
    pub(crate) kind: LayerKind,
    pub(crate) layer: EntityName,
    pub(crate) version: EntityName,
    pub(crate) max_size: u64,
    pub(crate) platform: Option<PlatformTypes>,
    pub(crate) override_reason: Option<String>,
}

/// A captured version that is visible.
pub(crate) struct CapturedVersion {
    pub(crate) version: Version,
    pub(crate) stored: u64,
    pub(crate) read: u64,
}

/// Captures a version from `disk`, which was made from `composite`. `disk_name` is what messages call it.
#[expect(clippy::too_many_arguments, reason = "one call, from the engine")]
pub(crate) fn capture(
    session: &Session,
    catalog: &Catalog<'_>,
    composite: &Composite,
    disk: Arc<dyn ByteSource>,
    disk_name: &str,
    changes: Changes,
    new: NewVersion,
    policy: &Policy,
    progress: &dyn Progress,
) -> Result<CapturedVersion> {
    catalog.vacant(new.kind, &new.layer, &new.version)?;
    let marker = composite.marker(&policy.lists);
    let layers = composite.layers(catalog)?;
    let os = OsDisk::open(session, catalog, &composite.os)?;
    let becomes = Becomes::PackagingDisk(&marker);
    let composed = compose(session, os, &layers, becomes, &policy.lists, progress)?;
    let mut placement = composed.placement;
    let base_volume = composed.volume;
    let base_map = composed.frozen.map.clone();
    let dirty = composed.frozen.dirty.blocks();
    let base: Arc<dyn ByteSource> = Arc::new(composed.frozen);
    let origin = Origin { disk: &base, volume: &base_volume, marker: &marker, written: &dirty };
    let known = match &changes {
        Changes::Known(blocks) => Some(blocks),
        Changes::Compare | Changes::TrustMetadata => None,
    };
    let returned = Returned::open(disk, disk_name, &origin, known, progress)?;
    let mut inspection =
        inspect(&returned.volume, &returned.disk, &returned.tree, new.kind, &policy.never, progress)?;
    let mended = std::mem::take(&mut inspection.mended);
    let mut warnings = admit(disk_name, inspection, new.override_reason.as_deref())?;
    // A disk that is kept block by block has to be compared block by block.
    let whole_disk = new.kind == LayerKind::Os && composite.platform.is_none();
    if whole_disk {
        warnings.extend(registry::mended_warning(mended));
    }

    let (equality, mut read, changed) = match changes {
        Changes::TrustMetadata if !whole_disk => (Equality::TrustMetadata, 0, None),
        Changes::Known(blocks) => (within(&blocks, &returned.volume), 0, Some(blocks)),
        Changes::Compare | Changes::TrustMetadata => {
            let (blocks, read) = changed_blocks(&*base, &*returned.disk, progress)?;
            (within(&blocks, &returned.volume), read, Some(blocks))
        }
    };
    if !whole_disk {
        let (changed, more) = elsewhere(&base, &returned, changed.as_ref(), progress)?;
        read += more;
        warnings.extend(changed);
    }
    let captured = Captured {
        os: composite.os.pinned(),
        prerequisites: composite.prerequisites.iter().map(Version::pinned).collect(),
        base: composite.base.as_ref().map(Version::pinned),
        platform: composite.platform.as_ref().map(Version::pinned),
        trust_metadata: changed.is_none(),
        override_reason: new.override_reason.clone(),
    };
    let blank = VersionRecord {
        kind: new.kind,
        layer: new.layer.clone(),
        version: new.version.clone(),
        sequence: UNPUBLISHED,
        created: now(),
        engine: ENGINE.to_owned(),
        os_layer: (new.kind != LayerKind::Os).then(|| composite.os.os_layer().clone()),
        platform: new.platform,
        size: 0,
        files: 0,
        directories: 0,
        deletions: 0,
        body: ObjectId([0; 32]),
        os_volume: None,
        override_reason: None,
        origin: None,
        captured: Some(captured),
        warnings: Vec::new(),
    };

    if let Some(mut changed) = changed.clone().filter(|_| whole_disk) {
        // Where the mark was written the composite is not what the OS version has.
        changed.union(&dirty);
        // Shared with the composite and not with the OS version: what composing discarded is still in that.
        let extents = placement.extents(&base_map)?;
        let shared = DiskRecord { len: base_map.len(), extents };
        let stored = store_os(session, &shared, &returned, changed, &policy.never, progress)?;
        check_size(&new, stored.added)?;
        let record = VersionRecord {
            size: stored.added,
            files: stored.files,
            directories: stored.directories,
            body: put_disk(session, &stored.record)?,
            os_volume: Some(returned.volume.partition.number),
            warnings,
            ..blank
        };
        let version = catalog.publish_version(session, record, progress)?;
        return Ok(CapturedVersion { version, stored: stored.stored, read: read + stored.read });
    }

    let base_window = base_volume.window(&base)?;
    let base_tree = ntfs_volume::scan::scan(&base_window, progress)
        .map_err(Error::volume(base_volume.context("the composite")))?;
    let new_window = returned.volume.window(&returned.disk)?;
    let mut writer = session.pack_writer()?;
    let mut blobs = StoredBase {
        map: &base_map,
        dirty: &dirty,
        placement: &mut placement,
        start: base_volume.partition.start,
    };
    let upcase = base_tree.upcase().and_then(Upcase::from_table).unwrap_or_else(Upcase::unicode);
    // A version of an OS layer is the machine: it keeps what makes one.
    let never_keys =
        if new.kind == LayerKind::Os { NeverCapturedKeys::of_os_versions() } else { &policy.never_keys };
    let registry =
        Registry { upcase: upcase.clone(), never: never_keys, accept_dirty: new.override_reason.is_some() };
    let mut contents = ReturnedContents::new(
        &base_window,
        &new_window,
        equality,
        &mut blobs,
        &mut writer,
        registry,
        progress,
    );
    let scope = Scope { never: &policy.never, without_os_only: new.kind != LayerKind::Os };
    let Difference { manifest: change, os_only, accounts, profiles } =
        difference(&base_tree, &returned.tree, scope, &mut contents, progress)?;
    if !os_only.is_empty() {
        let message = "changed on the packaging disk, but part of the OS layer alone (local users, groups and \
                       secrets; boot configuration)";
        warnings.push(warning("hive-left-out", message, os_only));
    }
    if !accounts.is_empty() {
        let message = "local users and groups that were made or removed on the packaging disk; they belong to the OS \
                       layer alone, and are not in this one";
        warnings.push(warning("accounts-left-out", message, accounts));
    }
    if !profiles.is_empty() {
        let message =
            "profiles of users whom the OS layer lacks are left out: users belong to the OS layer alone";
        warnings.push(warning("profile-left-out", message, profiles));
    }
    warnings.extend(registry::mended_warning(std::mem::take(&mut contents.mended)));
    let mofs = if new.kind == LayerKind::Os { Vec::new() } else { registry::mof_files(&change) };
    if !mofs.is_empty() {
        let message = "classes of WMI that were registered on the packaging disk are not in the layer, because the \
                       repository is the OS layer's: run mofcomp with these files when an image starts for the first \
                       time";
        warnings.push(warning("wmi-classes-left-out", message, mofs));
    }
    let packages = if new.kind == LayerKind::Os { Vec::new() } else { windows_packages(&change) };
    if !packages.is_empty() {
        let message = "updates or features of Windows itself were installed or removed; they belong in a version of \
                       the OS layer, and are not complete in this one";
        warnings.push(warning("windows-packages-changed", message, packages));
    }
    let (stored, kept) = (contents.stored, contents.kept);
    read += contents.read;
    check_size(&new, kept)?;
    writer.finish()?;

    let record = if new.kind == LayerKind::Os {
        warnings.extend(touched_by_platform(&layers, &change, &base_tree));
        let os = OsDisk::open(session, catalog, &composite.os)?;
        let pinned = composite.os.pinned();
        let layer = Layer { pinned, manifest: change, same_os_version: true };
        let composed = compose(session, os, &[layer], Becomes::OsVersion(&layers), &policy.lists, progress)?;
        warnings.extend(composed.warnings.iter().cloned());
        let volume = composed.volume.partition.number;
        let disk = composed.store(session, progress)?;
        let facts = catalog.disk(disk.object)?;
        let os = OsDisk::of(session, &facts, Some(volume), "the new OS version".into())?;
        let tree = os.volume.scan(&os.source(), "the new OS version", progress)?;
        let (files, directories) = counts(&tree);
        let os_volume = Some(volume);
        VersionRecord { size: kept, files, directories, body: disk.object, os_volume, warnings, ..blank }
    } else {
        let manifest = match &composite.base {
            Some(base) => {
                let layers: Vec<Layer> = composite
                    .prerequisites
                    .iter()
                    .map(|version| Layer::load(catalog, version, &composite.os))
                    .collect::<Result<_>>()?;
                let os = OsDisk::open(session, catalog, &composite.os)?;
                let tree = os.volume.scan(&os.source(), &os.reference, progress)?;
                let plan_layers: Vec<PlanLayer<'_>> = layers.iter().map(plan_layer).collect();
                let exists = exists_after(&tree, &plan_layers)?;
                let base = catalog.manifest(base)?;
                let (os, lists) = (&composite.os, &policy.lists);
                let (layers, composed) = (&layers, None);
                let mut below =
                    BelowBase { exists, session, catalog, os, layers, becomes, lists, progress, composed };
                let mut manifest = successor(&base, &change, &tree, (&upcase, lists), &mut below)?;
                // The base may be older than a line of the list.
                registry::leave_out(&mut manifest, &tree, never_keys);
                manifest
            }
            None => change,
        };
        VersionRecord {
            size: kept,
            files: manifest.files.len() as u64,
            directories: manifest
                .directories
                .iter()
                .filter(|directory| directory.role != DirectoryRole::Context && !directory.name.is_empty())
                .count() as u64,
            deletions: manifest.deletions.len() as u64,
            body: put_manifest(session, &manifest)?,
            warnings,
            ..blank
        }
    };
    let version = catalog.publish_version(session, record, progress)?;
    Ok(CapturedVersion { version, stored, read })
}

pub(crate) fn plan_layer(layer: &Layer) -> PlanLayer<'_> {
    PlanLayer {
        label: layer.pinned.reference.clone(),
        manifest: &layer.manifest,
        same_os_version: layer.same_os_version,
    }
}

fn check_size(new: &NewVersion, added: u64) -> Result<()> {
    if added > new.max_size {
        let what = crate::catalog::reference_text(new.kind, &new.layer, &new.version);
        return Err(Rule::TooLarge { what, added, max: new.max_size }.into());
    }
    Ok(())
}

/// Files that both the change and a packaging platform layer (the only layer below an OS version) touched.
fn touched_by_platform(layers: &[Layer], change: &Manifest, tree: &Tree) -> Vec<Warning> {
    let paths = |manifest: &Manifest| -> std::collections::BTreeMap<Vec<Name>, String> {
        let names =
            manifest.files.iter().flat_map(|file| &file.names).map(|name| (name.directory, &name.name));
        let deletions = manifest.deletions.iter().filter(|deletion| deletion.kind == volume::Kind::File);
        names
            .chain(deletions.map(|deletion| (deletion.directory, &deletion.name)))
            .map(|(directory, name)| {
                let mut path: Vec<Name> =
                    manifest.directory_path(directory).into_iter().map(|part| tree.fold(part)).collect();
                path.push(tree.fold(name));
                (path, manifest.display_path(directory, name))
            })
            .collect()
    };
    let changed = paths(change);
    let mut both = Vec::new();
    for layer in layers {
        let theirs = paths(&layer.manifest);
        both.extend(
            changed.iter().filter(|(path, _)| theirs.contains_key(*path)).map(|(_, text)| text.clone()),
        );
    }
    if both.is_empty() {
        return Vec::new();
    }
    let message =
        "changed on the packaging disk, where the packaging platform layer had changed them already";
    vec![warning("platform-file-changed", message, both)]
}

/// The stored part of a composite's volume.
struct StoredBase<'a, 's> {
    map: &'a ExtentMap,
    dirty: &'a BlockSet,
    placement: &'a mut Placement<'s>,
    /// Where the volume begins on the disk, bytes.
    start: u64,
}

impl BaseBlobs for StoredBase<'_, '_> {
    fn pieces(&mut self, offset: u64, len: u64) -> Result<Option<Vec<Piece>>> {
        let range = self.start + offset..self.start + offset + len;
        if self.dirty.intersects(range.clone()) {
            return Ok(None);
        }
        let mut pieces = Vec::new();
        let mut extents = Vec::new();
        for segment in self.map.segments(range) {
            match segment.target {
                None => pieces.push(Piece { blob: None, offset: 0, len: segment.len }),
                Some(target) => {
                    extents.clear();
                    self.placement.blobs_of(segment.offset, segment.len, target, &mut extents)?;
                    pieces.extend(extents.iter().map(|extent| Piece {
                        blob: Some(extent.blob),
                        offset: extent.blob_offset,
                        len: extent.len,
                    }));
                }
            }
        }
        Ok(Some(pieces))
    }
}

/// Files and directories of a volume, without the root.
pub(crate) fn counts(tree: &Tree) -> (u64, u64) {
    let directories = tree.nodes().filter(|node| node.kind == volume::Kind::Directory).count() as u64;
    (tree.len() as u64 - directories, directories.saturating_sub(1))
}
