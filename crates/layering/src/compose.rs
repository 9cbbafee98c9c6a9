//! Composing: layers folded over an OS version's disk, on a copy-on-write overlay, without copying contents.

use crate::catalog::{Catalog, Version, put_disk};
use crate::contents::OsVolumeContents;
use crate::drivers;
use crate::execute::{Done, execute};
use crate::manifest::Manifest;
use crate::marker::Marker;
use crate::os_volume::OsVolume;
use crate::placement::Placement;
use crate::plan::{PlanLayer, plan, warning};
use crate::profiles::without_absent_users;
use crate::reagent;
use crate::recipes::{self, CleanUp};
use crate::record::{DiskRecord, Pinned};
use crate::registry::{Composition, ListValues, RegistryLayer, Rules};
use crate::report::{AppliedAction, AppliedRow, Warning};
use crate::request::Recovery;
use crate::{Error, Result};
use disk::partition::{Grown, RecoveryPolicy, grow_disk};
use disk::{ByteSource, DirtyRun, Frozen, MappedDisk, Overlay, PageBudget, Window};
use ntfs_volume::edit::NtfsEditor;
use operation::{Progress, Unit};
use std::borrow::Cow;
use std::sync::Arc;
use store::{ObjectId, Session};
use volume::Tree;

/// Memory for changed pages of a disk that is being composed, bytes; more goes to a scratch file.
const PAGE_MEMORY: u64 = 160 << 20;

/// A layer version that goes into a composite.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) pinned: Pinned,
    pub(crate) manifest: Manifest,
    /// Whether it was captured on the OS version of the composite.
    pub(crate) same_os_version: bool,
}

impl Layer {
    pub(crate) fn load(catalog: &Catalog<'_>, version: &Version, os: &Version) -> Result<Layer> {
        let captured = version.record.captured.as_ref();
        Ok(Layer {
            pinned: version.pinned(),
            manifest: catalog.manifest(version)?,
            same_os_version: captured.is_some_and(|captured| os.is(captured.os.id)),
        })
    }

    /// The layer as far as the registry is concerned.
    pub(crate) fn registry(&self) -> RegistryLayer<'_> {
        let (label, manifest) = (&*self.pinned.reference, &self.manifest);
        RegistryLayer { label, manifest, same_os_version: self.same_os_version }
    }
}

/// What is done to images alone.
pub(crate) struct Publishing {
    /// Length of the disk, bytes.
    pub(crate) len: u64,
    /// What becomes of a partition that is in the way of growth.
    pub(crate) recovery: Option<Recovery>,
    /// What recipes do.
    pub(crate) clean_up: CleanUp,
}

/// What a composite becomes.
#[derive(Clone, Copy)]
pub(crate) enum Becomes<'b> {
    /// A packaging disk, with this mark.
    PackagingDisk(&'b Marker),
    /// An image.
    Image(&'b Publishing),
    /// A new OS version: its layer is what changed on a packaging disk with these layers.
    OsVersion(&'b [Layer]),
}

/// An OS version's disk, placed and found its way around in.
pub(crate) struct OsDisk<'s> {
    pub(crate) reference: String,
    pub(crate) placement: Placement<'s>,
    pub(crate) disk: Arc<MappedDisk>,
    pub(crate) volume: OsVolume,
}

impl<'s> OsDisk<'s> {
    pub(crate) fn open(session: &'s Session, catalog: &Catalog<'_>, os: &Version) -> Result<OsDisk<'s>> {
        OsDisk::of(session, &catalog.os_disk(os)?, os.record.os_volume, os.reference())
    }

    /// A recorded disk.
    pub(crate) fn of(
        session: &'s Session,
        record: &DiskRecord,
        volume: Option<u32>,
        reference: String,
    ) -> Result<OsDisk<'s>> {
        let mut placement = Placement::new(session);
        let disk = Arc::new(placement.disk(record, &reference)?);
        let source: Arc<dyn ByteSource> = disk.clone();
        let volume = OsVolume::find(&source, volume, &reference)?;
        Ok(OsDisk { reference, placement, disk, volume })
    }

    pub(crate) fn source(&self) -> Arc<dyn ByteSource> {
        self.disk.clone()
    }
}

/// A composed disk that is not stored yet.
pub(crate) struct Composed<'s> {
    pub(crate) frozen: Frozen,
    pub(crate) placement: Placement<'s>,
    pub(crate) volume: OsVolume,
    pub(crate) done: Done,
    /// What recipes did.
    pub(crate) applied: Vec<AppliedRow>,
    pub(crate) warnings: Vec<Warning>,
}

/// Composes `layers`, lowest priority first, over an OS disk.
pub(crate) fn compose<'s>(
    session: &'s Session,
    mut os: OsDisk<'s>,
    layers: &[Layer],
    becomes: Becomes<'_>,
    lists: &ListValues,
    progress: &dyn Progress,
) -> Result<Composed<'s>> {
    progress.step("Reading the OS volume", None, Unit::Items);
    let source = os.source();
    let window = os.volume.window(&source)?;
    let context = os.volume.context(&os.reference);
    let tree = ntfs_volume::scan::scan(&window, progress).map_err(Error::volume(context.clone()))?;
    progress.step("Planning", None, Unit::Items);
    let (present, absent) = without_absent_users(&tree, layers).unzip();
    let layers = present.as_deref().unwrap_or(layers);
    let publishing = match becomes {
        Becomes::Image(publishing) => Some(publishing),
        Becomes::PackagingDisk(_) | Becomes::OsVersion(_) => None,
    };
    let plan_layers: Vec<PlanLayer<'_>> = layers
        .iter()
        .map(|layer| PlanLayer {
            label: layer.pinned.reference.clone(),
            manifest: &layer.manifest,
            same_os_version: layer.same_os_version,
        })
        .collect();
    let no_clean_up = CleanUp::default();
    let clean_up = publishing.map_or(&no_clean_up, |publishing| &publishing.clean_up);
    let (positions, removals): (Vec<usize>, Vec<&str>) = clean_up.files().into_iter().unzip();
    let mut os_contents = OsVolumeContents(&window);
    let plan = plan(&tree, &os.reference, &plan_layers, &removals, &mut os_contents, progress)?;
    let removed = plan
        .removed
        .iter()
        .map(|at| clean_up.row(positions[*at], AppliedAction::Removed, removals[*at].to_owned()));
    let mut applied: Vec<recipes::Done> = removed.collect();
    for layer in layers {
        os.placement.add(&layer.manifest.blobs(), &layer.pinned.reference)?;
    }
    let budget = PageBudget { bytes: PAGE_MEMORY, scratch_dir: session.store().scratch_dir() };
    let mut overlay = Overlay::new(os.disk.map().clone(), os.placement.sources(), budget)
        .map_err(|error| Error::record(os.reference.clone(), &error))?;
    let mut warnings = plan.warnings;
    warnings.extend(absent);
    let mut volume = os.volume;
    let mut moved = Vec::new();
    if let Some(growth) = publishing.filter(|growth| growth.len > os.disk.len()) {
        let grown;
        (overlay, grown) = grow(overlay, growth, &volume, &context)?;
        moved = grown.moved;
        let number = volume.partition.number;
        let partition = grown.table.partition(number).cloned();
        let partition =
            partition.ok_or(Error::Internal { what: "the OS volume's partition is gone after growth" })?;
        volume = OsVolume { table: grown.table, partition };
        for dropped in &grown.dropped {
            warnings.push(Warning {
                code: "partition-dropped".into(),
                message: format!("partition {} ({}) is left out of the image", dropped.number, dropped.kind),
                paths: Vec::new(),
                count: 0,
            });
        }
    }
    let device = Window::new(overlay, volume.partition.start, volume.partition.len)
        .map_err(|error| Error::record(context.clone(), &error))?;
    let mut editor = NtfsEditor::mount(device).map_err(Error::volume(context.clone()))?;
    editor.remove_usn_journal().map_err(Error::volume(format!("{context}: the change journal")))?;
    let mut manifests: Vec<Cow<'_, Manifest>> =
        layers.iter().map(|layer| Cow::Borrowed(&layer.manifest)).collect();
    if !moved.is_empty() {
        let mut outcome = reagent::update(&mut editor, &tree, &window, &moved, &context)?;
        for manifest in &mut manifests {
            let (own, updated) = reagent::update_layer(manifest, &tree, &os.placement, &moved)?;
            if own != reagent::Outcome::Absent {
                outcome = own;
            }
            if let Some(updated) = updated {
                *manifest = Cow::Owned(updated);
            }
        }
        if outcome == reagent::Outcome::Unchanged {
            warnings.push(Warning {
                code: "recovery-not-updated".into(),
                message: "the recovery partition was moved, but \\Windows\\System32\\Recovery\\ReAgent.xml does not \
                          name its old place: `reagentc /disable` and `reagentc /enable` in the image find it again"
                    .into(),
                paths: Vec::new(),
                count: 0,
            });
        }
    }
    let registry: Vec<RegistryLayer<'_>> = layers.iter().map(Layer::registry).collect();
    let volume_before: (&Tree, &dyn ByteSource) = (&tree, &window);
    let rules = Rules { lists, clean_up };
    let names = (&*os.reference, &*context);
    let mut hives = Composition::new(volume_before, &plan.steps, &registry, rules, names);
    hives.update_brought(&mut manifests, &os.placement, progress)?;
    let manifests: Vec<&Manifest> = manifests.iter().map(|manifest| &**manifest).collect();
    let mut done = execute(&mut editor, &tree, &plan.steps, &manifests, &os.placement, &context, progress)?;
    if !done.object_ids_dropped.is_empty() {
        let message =
            "object ids that were left out, because another file or directory of the volume has the same";
        warnings.push(warning("object-id-dropped", message, std::mem::take(&mut done.object_ids_dropped)));
    }
    hives.update_os(&mut editor, progress)?;
    let (remarks, in_registry) = hives.finish();
    warnings.extend(remarks);
    applied.extend(in_registry);
    applied.sort_by_key(|(step, _)| *step);
    let applied = applied.into_iter().map(|(_, row)| row).collect();
    warnings.extend(drivers::colliding_names(&tree, &registry));
    warnings.extend(drivers::colliding_keys(&registry));
    let with_catalogs = match becomes {
        Becomes::OsVersion(packaged_with) => packaged_with,
        Becomes::PackagingDisk(_) | Becomes::Image(_) => layers,
    };
    drivers::clear_catalog_databases(&mut editor, &tree, &plan.steps, with_catalogs, &context)?;
    if let Becomes::PackagingDisk(marker) = becomes {
        marker.write(&mut editor, &tree, &context)?;
    }
    let device = editor.finish_into().map_err(Error::volume(context))?;
    let frozen = device.into_inner().freeze();
    Ok(Composed { frozen, placement: os.placement, volume, done, applied, warnings })
}

fn grow(
    mut overlay: Overlay,
    growth: &Publishing,
    volume: &OsVolume,
    context: &str,
) -> Result<(Overlay, Grown)> {
    let policy = match growth.recovery {
        None => RecoveryPolicy::Refuse,
        Some(Recovery::Move) => RecoveryPolicy::Move,
        Some(Recovery::Drop) => RecoveryPolicy::Drop,
    };
    let number = volume.partition.number;
    let failed = |source| Error::Partition { context: context.to_owned(), source };
    let grown = grow_disk(&mut overlay, growth.len, number, policy).map_err(failed)?;
    let partition =
        grown.table.partition(number).ok_or(Error::Internal { what: "the OS volume's partition is gone" })?;
    let device = Window::new(overlay, partition.start, partition.len)
        .map_err(|error| Error::record(context, &error))?;
    let device = ntfs_volume::edit::grow(device, partition.len).map_err(Error::volume(context))?;
    Ok((device.into_inner(), grown))
}

/// A composed disk that is stored.
pub(crate) struct Stored {
    pub(crate) object: ObjectId,
    pub(crate) digest: String,
    /// Bytes of changed metadata.
    pub(crate) written: u64,
}

impl Composed<'_> {
    /// Stores the changed blocks and the disk's record.
    pub(crate) fn store(mut self, session: &Session, progress: &dyn Progress) -> Result<Stored> {
        let (record, written, disk) = store_frozen(session, &mut self.placement, self.frozen, progress)?;
        let digest = disk::disk_digest(&disk, progress).map_err(Error::io("digesting the composed disk"))?;
        let object = put_disk(session, &record)?;
        Ok(Stored { object, digest: blake3::Hash::from(digest).to_hex().to_string(), written })
    }
}

/// Stores what was written to an overlay whose other sources are blobs of `placement`.
pub(crate) fn store_frozen(
    session: &Session,
    placement: &mut Placement<'_>,
    frozen: Frozen,
    progress: &dyn Progress,
) -> Result<(DiskRecord, u64, MappedDisk)> {
    progress.step("Storing changed blocks", None, Unit::Bytes);
    let Frozen { mut map, dirty, .. } = frozen;
    let mut writer = session.pack_writer()?;
    let mut runs = Vec::new();
    let mut written = 0;
    let mut failed = None;
    let visited = dirty.visit(|run| {
        match run {
            DirtyRun::Zero { offset, len } => map.discard(offset, len)?,
            DirtyRun::Data { offset, bytes } => match writer.append_bytes(bytes) {
                Ok(appended) => {
                    runs.push((offset, bytes.len() as u64, appended.id));
                    written += bytes.len() as u64;
                    progress.advance(bytes.len() as u64);
                }
                Err(error) => {
                    failed = Some(error);
                    return Err(std::io::Error::other("the store refused"));
                }
            },
        }
        Ok(())
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    visited.map_err(Error::io("reading changed blocks"))?;
    writer.finish()?;
    let blobs: Vec<_> = runs.iter().map(|(_, _, blob)| *blob).collect();
    placement.add(&blobs, "the composed disk")?;
    for (offset, len, blob) in runs {
        let range = placement.part(blob, 0, len)?;
        map.splice(offset, len, range).map_err(|error| Error::record("the composed disk", &error))?;
    }
    let extents = placement.extents(&map)?;
    let record = DiskRecord { len: map.len(), extents };
    let disk = MappedDisk::new(map, placement.sources())
        .map_err(|error| Error::record("the composed disk", &error))?;
    Ok((record, written, disk))
}
