//! What can be asked of the engine, and what comes back: one variant of [`Job`] and of [`Outcome`] per operation.

use layering::report::{
    CheckReport, ComposeReport, CompositeSpec, ConflictsReport, DiffReport, ExportLayersReport, ExportReport,
    FilesReport, GcReport, ImportLayersReport, InitReport, IntegrityReport, LayoutReport, ListReport,
    PackagingDiskReport, RegistryDiffReport, RegistryExportReport, RemoveReport, ShowReport, VersionReport,
};
use layering::request::{
    CaptureRequest, ComposeRequest, ExportLayersRequest, ExportRequest, ImportLayersRequest, ImportRequest,
    IntegrityRequest, PackagingDiskRequest, RegistryDiffRequest, RegistryExportRequest,
    StoredIntegrityRequest,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One thing to do on a store. References are `[os:|platform:|app:|image:]NAME[@VERSION]`, checked by the engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "operation", content = "request", rename_all = "kebab-case")]
pub enum Job {
    /// Make a new, empty store.
    Init,
    /// Import a disk as a version of an OS layer.
    Import(ImportRequest),
    /// Examine a disk that may become a layer version. Needs no store.
    Integrity(IntegrityRequest),
    /// Examine an OS version or image of the store in the same way; gives [`Outcome::Integrity`].
    StoredIntegrity(StoredIntegrityRequest),
    /// Write a packaging disk.
    PackagingDisk(PackagingDiskRequest),
    /// Capture a layer version from a returned packaging disk.
    Capture(CaptureRequest),
    /// Compose a layered image.
    Compose(ComposeRequest),
    /// Export a layered image to a file.
    Export(ExportRequest),
    /// Name every layer version and layered image.
    List,
    /// Tell everything recorded about a layer version or layered image.
    Show {
        /// Of what.
        reference: String,
    },
    /// Name what a layer version or layered image holds.
    Files {
        /// Of what.
        reference: String,
        /// Only what lies at or below this path of the OS volume.
        path: Option<String>,
    },
    /// Compare two layer versions or layered images.
    Diff {
        /// First side.
        from: String,
        /// Second side.
        to: String,
    },
    /// Tell what the layers of a composite claim together.
    Conflicts(CompositeSpec),
    /// Write the registry of a layer version or layered image to a file.
    RegistryExport(RegistryExportRequest),
    /// Compare the registries of two layer versions or layered images.
    RegistryDiff(RegistryDiffRequest),
    /// Write layer versions into an OCI image layout.
    ExportLayers(ExportLayersRequest),
    /// Read layer versions from an OCI image layout.
    ImportLayers(ImportLayersRequest),
    /// Tell which layer versions an OCI image layout holds. Needs no store.
    ListLayout {
        /// The layout.
        directory: PathBuf,
        /// References of versions, as the answer has them, of which it also names the files.
        #[serde(default)]
        files_of: Vec<String>,
    },
    /// Check the store.
    Check {
        /// Read and verify all contents too, not only the records.
        read_data: bool,
    },
    /// Remove a layer version or layered image.
    Remove {
        /// Which.
        reference: String,
    },
    /// Give back the space of what nothing uses.
    Gc {
        /// Only tell what would be given back.
        dry_run: bool,
    },
}

impl Job {
    /// Whether the job works on a store; one that does not leaves the store's directory alone.
    pub fn needs_store(&self) -> bool {
        !matches!(self, Job::Integrity(_) | Job::ListLayout { .. })
    }

    /// Whether the job reports progress and looks at [`cancelled`](operation::Progress::cancelled) while it works;
    /// the other jobs only read records and are over in a moment.
    pub fn is_long(&self) -> bool {
        match self {
            Job::Import(_)
            | Job::Integrity(_)
            | Job::StoredIntegrity(_)
            | Job::PackagingDisk(_)
            | Job::Capture(_)
            | Job::Compose(_)
            | Job::Export(_)
            | Job::Show { .. }
            | Job::Files { .. }
            | Job::Diff { .. }
            | Job::Conflicts(_)
            | Job::RegistryExport(_)
            | Job::RegistryDiff(_)
            | Job::ExportLayers(_)
            | Job::ImportLayers(_)
            | Job::ListLayout { .. }
            | Job::Check { .. }
            | Job::Gc { .. } => true,
            Job::Init | Job::List | Job::Remove { .. } => false,
        }
    }
}

/// What a [`Job`] gave: the variant has the name of the job's, unless that says otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "operation", content = "report", rename_all = "kebab-case")]
pub enum Outcome {
    /// The store that was made.
    Init(InitReport),
    /// The OS layer version that was stored.
    Import(VersionReport),
    /// What was found on the disk, be it a file's or in the store; what blocks is an outcome, not a failure.
    Integrity(IntegrityReport),
    /// The packaging disk that was written.
    PackagingDisk(PackagingDiskReport),
    /// The layer version that was stored.
    Capture(VersionReport),
    /// The layered image that was composed.
    Compose(ComposeReport),
    /// The file that was written.
    Export(ExportReport),
    /// Everything in the store.
    List(ListReport),
    /// Everything recorded about one version or image.
    Show(ShowReport),
    /// What a version or image holds.
    Files(FilesReport),
    /// How two versions or images differ.
    Diff(DiffReport),
    /// What layers claim together.
    Conflicts(ConflictsReport),
    /// The registry that was written.
    RegistryExport(RegistryExportReport),
    /// How two registries differ.
    RegistryDiff(RegistryDiffReport),
    /// The layer versions that were written.
    ExportLayers(ExportLayersReport),
    /// The layer versions that were stored.
    ImportLayers(ImportLayersReport),
    /// What the layout holds.
    ListLayout(LayoutReport),
    /// What the check found; problems in the store are an outcome, not a failure.
    Check(CheckReport),
    /// What was removed.
    Remove(RemoveReport),
    /// What was, or would be, given back.
    Gc(GcReport),
}
