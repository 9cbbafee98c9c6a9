//! The engine: every operation on one store.

mod exchange;
mod integrity;
mod registry;

use crate::capture::{Changes, Composite, NewVersion, capture};
use crate::catalog::{Catalog, Entry, Version, now, put_disk};
use crate::compose::{Becomes, Layer, OsDisk, Publishing, compose};
use crate::contents::OsVolumeContents;
use crate::error::Rule;
use crate::execute::Done;
use crate::import::{check_volume, store_ranges, volume_errors, worth_storing};
use crate::integrity::{admit, inspect, integrity};
use crate::os_volume::OsVolume;
use crate::plan::plan;
use crate::platform::{self, Purpose};
use crate::policy::{self, Policy};
use crate::profiles::without_absent_users;
use crate::record::{ENGINE, ImageRecord, UNPUBLISHED, VersionRecord};
use crate::reference::{EntityName, LayerKind};
use crate::report::*;
use crate::request::*;
use crate::{Error, Result, capture as capturing, query};
use disk::ByteSource;
use disk::format::{ExportOptions, OpenOptions, export, open};
use operation::Progress;
use std::path::Path;
use std::sync::Arc;
use store::{ObjectId, Store};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// What an imported or captured OS version may add.
const MAX_OS_SIZE: u64 = 100 * GIB;
/// What an app or platform version may add.
const MAX_LAYER_SIZE: u64 = 10 * GIB;
/// Length of an image, unless its OS disk is larger.
const IMAGE_SIZE: u64 = 100 * GIB;

/// The engine on one store. Cheap to open; several may work on one store at the same time, in one process or many.
pub struct Engine {
    store: Store,
}

impl Engine {
    /// Makes a new, empty store in `directory`, which must not exist or be empty.
    pub fn init(directory: &Path) -> Result<InitReport> {
        let store = Store::init(directory)?;
        Ok(InitReport { store: store.path().display().to_string(), format: store.format() })
    }

    /// Opens the store in `directory`.
    pub fn open(directory: &Path) -> Result<Engine> {
        Ok(Engine { store: Store::open(directory)? })
    }

    fn catalog(&self) -> Catalog<'_> {
        Catalog::new(&self.store)
    }

    /// Examines a disk that may become a layer version, without a store: what its Windows has not finished, and whether
    /// its volume may be layered at all.
    pub fn integrity(request: &IntegrityRequest, progress: &dyn Progress) -> Result<IntegrityReport> {
        integrity(request, progress)
    }

    /// Imports a disk as a version of an OS layer.
    pub fn import(&self, request: &ImportRequest, progress: &dyn Progress) -> Result<VersionReport> {
        let (layer, version) = (EntityName::new(&request.name)?, EntityName::new(&request.version)?);
        let override_reason = reason(&request.override_reason)?;
        let session = self.store.session()?;
        self.catalog().vacant(LayerKind::Os, &layer, &version)?;
        let (disk, mut warnings) = self.open_disk(&request.disk, request.allow_backing, progress)?;
        let name = request.disk.display().to_string();
        let volume = OsVolume::find(&disk, request.volume, &name)?;
        let window = volume.window(&disk)?;
        let context = volume.context(&name);
        let tree = volume.scan_shut_down(&disk, &name, progress)?;
        let Policy { never, .. } = Policy::load(self.store.path())?;
        let mut inspection = inspect(&volume, &disk, &tree, LayerKind::Os, &never, progress)?;
        let mended = std::mem::take(&mut inspection.mended);
        warnings.extend(admit(&name, inspection, override_reason.as_deref())?);
        warnings.extend(crate::registry::mended_warning(mended));
        warnings.extend(check_volume(&window, &context, progress)?);
        let worth = worth_storing(&disk, &volume, &tree)?;
        let mut writer = session.pack_writer()?;
        let imported = store_ranges(&*disk, &worth, &mut writer, progress)?;
        let added: u64 = imported.record.extents.iter().map(|extent| extent.len).sum();
        let max = request.max_size.unwrap_or(MAX_OS_SIZE);
        if added > max {
            let what = crate::catalog::reference_text(LayerKind::Os, &layer, &version);
            return Err(Rule::TooLarge { what, added, max }.into());
        }
        writer.finish()?;
        let (files, directories) = capturing::counts(&tree);
        let record = VersionRecord {
            kind: LayerKind::Os,
            layer,
            version,
            sequence: UNPUBLISHED,
            created: now(),
            engine: ENGINE.to_owned(),
            os_layer: None,
            platform: None,
            size: added,
            files,
            directories,
            deletions: 0,
            body: put_disk(&session, &imported.record)?,
            os_volume: Some(volume.partition.number),
            override_reason,
            origin: None,
            captured: None,
            warnings,
        };
        let version = self.catalog().publish_version(&session, record, progress)?;
        Ok(version_report(&version, imported.stored, imported.read))
    }

    fn open_disk(
        &self,
        path: &Path,
        allow_backing: bool,
        progress: &dyn Progress,
    ) -> Result<(Arc<dyn ByteSource>, Vec<Warning>)> {
        let scratch = self.store.scratch_dir();
        let options = OpenOptions { allow_backing, scratch: Some(&scratch), progress };
        let opened = open(path, &options)?;
        let warnings = opened.warnings.iter().map(|warning| Warning {
            code: "image-file".into(),
            message: format!("{}: {warning}", path.display()),
            paths: Vec::new(),
            count: 0,
        });
        Ok((opened.source, warnings.collect()))
    }

    /// Resolves a composite. `purpose` is what its platform layer has to be for, `base_of` the layer that a base has to be
    /// a version of.
    fn composite(
        &self,
        spec: &CompositeSpec,
        purpose: Purpose,
        base_of: Option<(LayerKind, &EntityName)>,
    ) -> Result<Composite> {
        let catalog = self.catalog();
        let os = catalog.version(&spec.os, LayerKind::Os)?;
        let prerequisites: Vec<Version> =
            spec.layers.iter().map(|text| catalog.version(text, LayerKind::App)).collect::<Result<_>>()?;
        let platform =
            spec.platform.as_ref().map(|text| catalog.version(text, LayerKind::Platform)).transpose()?;
        if let Some(platform) = &platform
            && let Some(types) = platform.record.platform.filter(|types| types.purpose != purpose)
        {
            let (layer, purpose, needed) = (platform.reference(), types.purpose, purpose);
            return Err(Rule::PlatformPurpose { layer, purpose, needed }.into());
        }
        let base = match (&spec.base, base_of) {
            (None, _) => None,
            (Some(text), Some((LayerKind::Os, _))) => {
                let what = format!(
                    "{text}: a new version of an OS layer starts from the OS version itself; name that with --os alone"
                );
                return Err(Rule::NotApplicable { what }.into());
            }
            (Some(text), Some((kind, _))) => Some(catalog.version(text, kind)?),
            (Some(text), None) => match catalog.resolve(text)? {
                Entry::Version(version) if version.record.kind != LayerKind::Os => Some(version),
                entry => {
                    let found = match entry {
                        Entry::Version(_) => "an OS layer",
                        Entry::Image(_) => "an image",
                    };
                    let needed = "an app or platform layer";
                    return Err(Rule::WrongKind { reference: text.clone(), found, needed }.into());
                }
            },
        };
        if let (Some(base), Some((kind, layer))) = (&base, base_of)
            && (base.record.kind != kind || base.record.layer != *layer)
        {
            let layer = format!("{kind}:{layer}");
            return Err(Rule::OtherLayer { base: base.reference(), layer }.into());
        }
        let composite = Composite { os, prerequisites, base, platform };
        let mut seen: Vec<(LayerKind, String)> = Vec::new();
        for version in composite.versions().skip(1) {
            if version.os_layer() != &composite.os.record.layer {
                return Err(Rule::OtherOs {
                    layer: version.reference(),
                    belongs: version.os_layer().to_string(),
                    os: composite.os.record.layer.to_string(),
                }
                .into());
            }
            let key = (version.record.kind, version.record.layer.folded());
            if seen.contains(&key) {
                let layer = format!("{}:{}", version.record.kind, version.record.layer);
                return Err(Rule::Twice { layer }.into());
            }
            seen.push(key);
        }
        Ok(composite)
    }

    /// Writes a packaging disk.
    pub fn packaging_disk(
        &self,
        request: &PackagingDiskRequest,
        progress: &dyn Progress,
    ) -> Result<PackagingDiskReport> {
        let session = self.store.session()?;
        let composite = self.composite(&request.composite, Purpose::Packaging, None)?;
        let layers = composite.layers(&self.catalog())?;
        let lists = policy::lists(self.store.path())?;
        let marker = composite.marker(&lists);
        let os = OsDisk::open(&session, &self.catalog(), &composite.os)?;
        let becomes = Becomes::PackagingDisk(&marker);
        let composed = compose(&session, os, &layers, becomes, &lists, progress)?;
        let identity = *blake3::hash(marker.composite.as_bytes()).as_bytes();
        let options = ExportOptions::new(identity);
        let report = export(&composed.frozen, request.format, &request.out, &options, progress)?;
        Ok(PackagingDiskReport {
            file: request.out.display().to_string(),
            format: request.format.to_string(),
            disk_len: report.disk_len,
            written: report.bytes_written,
            reflinked: report.bytes_reflinked,
            composite: marker.composite,
            warnings: composed.warnings,
        })
    }

    /// Captures what changed on a returned packaging disk, found as the request says.
    pub fn capture(&self, request: &CaptureRequest, progress: &dyn Progress) -> Result<VersionReport> {
        let changes = match &request.changed {
            Some(ranges) => Changes::Known(ranges.iter().cloned().collect()),
            None if request.trust_metadata => Changes::TrustMetadata,
            None => Changes::Compare,
        };
        self.capture_changes(request, changes, progress)
    }

    /// Captures what changed on a returned packaging disk of which the caller knows where it changed.
    pub fn capture_changes(
        &self,
        request: &CaptureRequest,
        changes: Changes,
        progress: &dyn Progress,
    ) -> Result<VersionReport> {
        let spec = &request.version;
        let (layer, version) = (EntityName::new(&spec.name)?, EntityName::new(&spec.version)?);
        platform::check_types(spec)?;
        let session = self.store.session()?;
        let composite = self.composite(&request.composite, Purpose::Packaging, Some((spec.kind, &layer)))?;
        match spec.kind {
            LayerKind::Os => {
                if !composite.prerequisites.is_empty() {
                    let what = "an OS version has no prerequisite layers".to_owned();
                    return Err(Rule::NotApplicable { what }.into());
                }
                if composite.os.record.layer != layer {
                    let (base, layer) = (composite.os.reference(), format!("os:{layer}"));
                    return Err(Rule::OtherLayer { base, layer }.into());
                }
            }
            LayerKind::App | LayerKind::Platform => {
                let versions = self.catalog().versions_of(spec.kind, &layer)?;
                if let Some(other) =
                    versions.first().filter(|other| other.os_layer() != composite.os.os_layer())
                {
                    return Err(Rule::OtherOs {
                        layer: format!("{}:{layer}", spec.kind),
                        belongs: other.os_layer().to_string(),
                        os: composite.os.record.layer.to_string(),
                    }
                    .into());
                }
            }
        }
        let default = if spec.kind == LayerKind::Os { MAX_OS_SIZE } else { MAX_LAYER_SIZE };
        let new = NewVersion {
            kind: spec.kind,
            layer,
            version,
            max_size: spec.max_size.unwrap_or(default),
            platform: spec.platform,
            override_reason: reason(&request.override_reason)?,
        };
        let (disk, mut warnings) = self.open_disk(&request.disk, request.allow_backing, progress)?;
        let name = request.disk.display().to_string();
        let policy = Policy::load(self.store.path())?;
        let catalog = self.catalog();
        let captured = capture(&session, &catalog, &composite, disk, &name, changes, new, &policy, progress)?;
        let mut report = version_report(&captured.version, captured.stored, captured.read);
        warnings.append(&mut report.warnings);
        report.warnings = warnings;
        Ok(report)
    }

    /// Composes an image.
    pub fn compose(&self, request: &ComposeRequest, progress: &dyn Progress) -> Result<ComposeReport> {
        let name = EntityName::new(&request.image)?;
        let session = self.store.session()?;
        let catalog = self.catalog();
        catalog.vacant_image(&name)?;
        refuse_base(&request.composite)?;
        let composite = self.composite(&request.composite, Purpose::Publishing, None)?;
        let layers = composite.layers(&catalog)?;
        let os = OsDisk::open(&session, &catalog, &composite.os)?;
        let os_len = os.disk.len();
        let len = request.size.unwrap_or_else(|| os_len.max(IMAGE_SIZE));
        if len < os_len {
            return Err(Rule::SmallerThanOs { size: len, os: os_len }.into());
        }
        if len != os_len && !len.is_multiple_of(MIB) {
            return Err(Rule::NotWholeMib { size: len }.into());
        }
        let types = composite.platform.as_ref().and_then(|platform| platform.record.platform);
        let recipes = policy::recipes(self.store.path())?;
        let clean_up = types.map(|types| recipes.clean_up(&types)).unwrap_or_default();
        let publishing = Publishing { len, recovery: request.recovery, clean_up };
        let composed = compose(
            &session,
            os,
            &layers,
            Becomes::Image(&publishing),
            &policy::lists(self.store.path())?,
            progress,
        )?;
        let mut warnings = composed.warnings.clone();
        warnings.extend(version_skew(&composite).into_iter().chain(types_missing(&composite)));
        let applied = composed.applied.clone();
        let Done { files, directories, removed, spliced, .. } = composed.done;
        let os_volume = composed.volume.partition.number;
        let stored = composed.store(&session, progress)?;
        let record = ImageRecord {
            name,
            sequence: UNPUBLISHED,
            created: now(),
            engine: ENGINE.to_owned(),
            disk: stored.object,
            disk_len: len,
            digest: stored.digest.clone(),
            os_volume,
            os: composite.os.pinned(),
            os_layer: composite.os.record.layer.clone(),
            layers: composite.prerequisites.iter().map(Version::pinned).collect(),
            platform: composite.platform.as_ref().map(Version::pinned),
            applied: applied.clone(),
            warnings: warnings.clone(),
        };
        let image = catalog.publish_image(&session, record, progress)?;
        Ok(ComposeReport {
            image: image.summary(),
            digest: stored.digest,
            files,
            directories,
            removed,
            spliced,
            written: stored.written,
            applied: applied.len() as u64,
            warnings,
        })
    }

    /// Exports an image.
    pub fn export(&self, request: &ExportRequest, progress: &dyn Progress) -> Result<ExportReport> {
        let session = self.store.session()?;
        let catalog = self.catalog();
        let image = catalog.image(&request.image)?;
        let record = catalog.disk(image.record.disk)?;
        let mut placement = crate::placement::Placement::new(&session);
        let disk = placement.disk(&record, &image.reference())?;
        let digest = blake3::Hash::from_hex(&image.record.digest)
            .map_err(|error| Error::record(image.reference(), &error))?;
        let options = ExportOptions::new(*digest.as_bytes());
        let report = export(&disk, request.format, &request.out, &options, progress)?;
        Ok(ExportReport {
            file: request.out.display().to_string(),
            format: request.format.to_string(),
            disk_len: report.disk_len,
            written: report.bytes_written,
            reflinked: report.bytes_reflinked,
        })
    }

    /// Every layer version and image.
    pub fn list(&self) -> Result<ListReport> {
        let catalog = self.catalog();
        let mut entries = Vec::new();
        for kind in [LayerKind::Os, LayerKind::Platform, LayerKind::App] {
            entries.extend(catalog.versions(kind)?.iter().map(Version::summary));
        }
        entries.extend(catalog.images()?.iter().map(crate::catalog::Image::summary));
        Ok(ListReport { entries })
    }

    /// Everything recorded about a version or image, and the programs that are installed in it.
    pub fn show(&self, reference: &str, progress: &dyn Progress) -> Result<ShowReport> {
        let session = self.store.session()?;
        let entry = self.catalog().resolve(reference)?;
        query::show(&session, &self.catalog(), &entry, progress)
    }

    /// What a version or image holds, at and below `path` if one is given.
    pub fn files(&self, reference: &str, path: Option<&str>, progress: &dyn Progress) -> Result<FilesReport> {
        let session = self.store.session()?;
        let entry = self.catalog().resolve(reference)?;
        query::files(&session, &self.catalog(), &entry, path, progress)
    }

    /// How two versions or images differ.
    pub fn diff(&self, from: &str, to: &str, progress: &dyn Progress) -> Result<DiffReport> {
        let session = self.store.session()?;
        let catalog = self.catalog();
        let (from, to) = (catalog.resolve(from)?, catalog.resolve(to)?);
        query::diff(&session, &catalog, &from, &to, progress)
    }

    /// What layers claim together, and what the OS version has changed since they were captured.
    pub fn conflicts(&self, composite: &CompositeSpec, progress: &dyn Progress) -> Result<ConflictsReport> {
        let session = self.store.session()?;
        let catalog = self.catalog();
        refuse_base(composite)?;
        let composite = self.composite(composite, Purpose::Publishing, None)?;
        let layers: Vec<Layer> = composite.layers(&catalog)?;
        let mut os = OsDisk::open(&session, &catalog, &composite.os)?;
        let source = os.source();
        let window = os.volume.window(&source)?;
        let tree = os.volume.scan(&source, &os.reference, progress)?;
        let (present, absent) = without_absent_users(&tree, &layers).unzip();
        let layers = present.unwrap_or(layers);
        for layer in &layers {
            os.placement.add(&layer.manifest.blobs(), &layer.pinned.reference)?;
        }
        let plan_layers: Vec<_> = layers.iter().map(capturing::plan_layer).collect();
        let plan = plan(&tree, &os.reference, &plan_layers, &[], &mut OsVolumeContents(&window), progress)?;
        let registry_layers: Vec<_> = layers.iter().map(Layer::registry).collect();
        let (registry, remarks) = crate::registry::conflicts(
            (&tree, &window),
            &plan.steps,
            &registry_layers,
            &policy::lists(self.store.path())?,
            &os.placement,
            (&os.reference, &os.volume.context(&os.reference)),
            progress,
        )?;
        let mut warnings = plan.warnings;
        warnings.extend(absent);
        warnings.extend(remarks);
        warnings.extend(version_skew(&composite).into_iter().chain(types_missing(&composite)));
        Ok(ConflictsReport { rows: plan.conflicts, registry, warnings })
    }

    /// Checks the store: every structure, the file system of every OS version and image, and with `read_data` every
    /// stored byte.
    pub fn check(&self, read_data: bool, progress: &dyn Progress) -> Result<CheckReport> {
        let report = self.store.check(read_data, progress)?;
        let mut problems: Vec<CheckProblem> = report
            .problems
            .iter()
            .map(|problem| CheckProblem {
                code: "store-damaged".into(),
                message: format!("{}: {}", problem.path.display(), problem.why),
                affects: problem.affected_refs.iter().map(|name| self.reference_of(name)).collect(),
            })
            .collect();
        if problems.is_empty() {
            problems.extend(self.check_records(progress)?);
        }
        Ok(CheckReport {
            clean: problems.is_empty(),
            problems,
            objects: report.objects,
            blobs: report.blobs,
            verified: report.bytes_read,
        })
    }

    /// Whether what versions and images refer to can be decoded, and whether their volumes are consistent. The store
    /// itself does not know their meaning.
    fn check_records(&self, progress: &dyn Progress) -> Result<Vec<CheckProblem>> {
        let session = self.store.session()?;
        let catalog = self.catalog();
        let mut problems = Vec::new();
        let mut examine = |reference: String, result: Result<Vec<String>>| match result {
            Err(Error::Cancelled) => Err(Error::Cancelled),
            Err(error) => {
                let failure = operation::Failure::new(&error);
                let message = format!("{reference}: {}", failure.message);
                problems.push(CheckProblem { code: failure.code, message, affects: vec![reference] });
                Ok(())
            }
            Ok(errors) => {
                problems.extend(errors.into_iter().map(|finding| {
                    let message = format!("{reference}: {finding}");
                    CheckProblem {
                        code: "volume-inconsistent".into(),
                        message,
                        affects: vec![reference.clone()],
                    }
                }));
                Ok(())
            }
        };
        let volume = |disk: ObjectId, number: Option<u32>, reference: String| {
            let os = OsDisk::of(&session, &catalog.disk(disk)?, number, reference)?;
            volume_errors(&os.volume.window(&os.source())?, &os.reference, progress)
        };
        for kind in [LayerKind::Os, LayerKind::Platform, LayerKind::App] {
            for version in catalog.versions(kind)? {
                let result = match kind {
                    LayerKind::Os => {
                        volume(version.record.body, version.record.os_volume, version.reference())
                    }
                    _ => catalog.manifest(&version).map(|_| Vec::new()),
                };
                examine(version.reference(), result)?;
            }
        }
        for image in catalog.images()? {
            let result = volume(image.record.disk, Some(image.record.os_volume), image.reference());
            examine(image.reference(), result)?;
        }
        Ok(problems)
    }

    /// What users call the thing that a reference of the store names: as it was written, if that can still be read.
    fn reference_of(&self, name: &str) -> String {
        let segments = name.parse::<store::RefName>().map(|name| name.segments()).unwrap_or_default();
        let folded = match &segments[..] {
            [kind, layer, version] => format!("{kind}:{layer}@{version}"),
            [kind, image] => format!("{kind}:{image}"),
            _ => return name.to_owned(),
        };
        self.catalog().resolve(&folded).map_or(folded, |entry| entry.reference())
    }

    /// Removes a version or image that nothing uses. Images stand alone; a layer version may go while images have it.
    pub fn remove(&self, reference: &str) -> Result<RemoveReport> {
        let catalog = self.catalog();
        let entry = catalog.resolve(reference)?;
        catalog.remove(&entry)?;
        Ok(RemoveReport { removed: entry.summary() })
    }

    /// Gives back the space of what nothing uses.
    pub fn gc(&self, dry_run: bool, progress: &dyn Progress) -> Result<GcReport> {
        let report = self.store.gc(dry_run, progress)?;
        Ok(GcReport {
            dry_run,
            objects: report.objects,
            blobs: report.blobs,
            bytes: report.bytes,
            packs_removed: report.packs_removed,
            packs_compacted: report.packs_compacted,
        })
    }
}

fn version_report(version: &Version, stored: u64, read: u64) -> VersionReport {
    VersionReport {
        version: version.summary(),
        files: version.record.files,
        directories: version.record.directories,
        deletions: version.record.deletions,
        stored,
        read,
        warnings: version.record.warnings.clone(),
    }
}

/// The reason for an override, if there is to be one.
fn reason(given: &Option<String>) -> Result<Option<String>> {
    let reason = given.as_deref().map(str::trim);
    if reason == Some("") {
        return Err(Rule::NoReason.into());
    }
    Ok(reason.map(str::to_owned))
}

fn refuse_base(composite: &CompositeSpec) -> Result<()> {
    if composite.base.is_some() {
        let what = "a base version is only for packaging; images are made of finished versions".to_owned();
        return Err(Rule::NotApplicable { what }.into());
    }
    Ok(())
}

/// A platform layer from before there were types tells nothing about which recipes apply.
fn types_missing(composite: &Composite) -> Option<Warning> {
    let platform = composite.platform.as_ref().filter(|platform| platform.record.platform.is_none())?;
    Some(Warning {
        code: "platform-types-missing".into(),
        message: format!(
            "{} does not say which platform it is for, so no recipe is applied: capture a new version of it, with \
             --purpose and --hypervisor",
            platform.reference()
        ),
        paths: Vec::new(),
        count: 0,
    })
}

/// The platform layer should have been packaged on the OS version that it is composed with.
fn version_skew(composite: &Composite) -> Option<Warning> {
    let platform = composite.platform.as_ref()?;
    let packaged_on = &platform.record.captured.as_ref()?.os;
    (!composite.os.is(packaged_on.id)).then(|| Warning {
        code: "platform-os-version".into(),
        message: format!(
            "{} was packaged on {}, not on {}: consider a new version of the platform layer on this OS version",
            platform.reference(),
            packaged_on.reference,
            composite.os.reference()
        ),
        paths: Vec::new(),
        count: 0,
    })
}
