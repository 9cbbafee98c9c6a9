//! Planning a composition: which names, files and directories the OS volume is to gain and lose. Pure.
//!
//! The layers are folded over the OS volume's tree, lowest first, in a view that loads directories only when
//! a layer touches them. What is left at the end is compared with the tree: only what wins is ever written.

mod apply;
mod claims;
mod removals;
mod shorts;
mod steps;
mod view;

pub(crate) use claims::{MOST_PATHS, warning};
pub use steps::{Creation, DirectoryHandle, FileHandle, FileSource, LinkStep, RenameStep, Steps, Unlink};

use crate::manifest::Manifest;
use crate::report::{ConflictRow, Warning};
use crate::{Error, Result};
use operation::Progress;
use store::BlobId;
use volume::{Name, Stream, Tree};

/// A layer version to be folded in.
#[derive(Debug, Clone)]
pub struct PlanLayer<'m> {
    /// Reference of the version, for reports.
    pub label: String,
    /// What it changes.
    pub manifest: &'m Manifest,
    /// Whether it was captured on the very OS version that is being composed: the OS cannot have changed since.
    pub same_os_version: bool,
}

/// What planning needs to know of the bytes of the OS volume.
pub trait OsContents {
    /// Digest of a stream.
    fn digest(&mut self, stream: &Stream) -> Result<BlobId>;
    /// Version resource of a binary.
    fn binary_version(&mut self, name: &Name, stream: &Stream) -> Result<Option<[u16; 4]>>;
}

/// What composing will do.
#[derive(Debug)]
pub struct Plan {
    /// What to do to the volume, in order.
    pub steps: Steps,
    /// Remarks.
    pub warnings: Vec<Warning>,
    /// Paths that several layers claim, or that the OS has changed since.
    pub conflicts: Vec<ConflictRow>,
    /// Which of the removals had something to remove, by position.
    pub removed: Vec<usize>,
}

/// Folds `layers`, lowest priority first, over the OS volume `tree`, and takes away what is at the `removals`: paths from
/// the root, names separated by `\`. `os_label` is the reference of the OS version.
pub fn plan(
    tree: &Tree,
    os_label: &str,
    layers: &[PlanLayer<'_>],
    removals: &[&str],
    os: &mut dyn OsContents,
    progress: &dyn Progress,
) -> Result<Plan> {
    let mut view = view::View::new(tree);
    let mut remarks = claims::Remarks::new(os_label, layers);
    for (index, layer) in layers.iter().enumerate() {
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        apply::Application::new(&mut view, layer.manifest, index, &mut remarks).run()?;
    }
    let removed = removals::remove(&mut view, removals);
    apply::settle(&mut view, &mut remarks);
    let steps = steps::steps(&view, layers)?;
    let (warnings, conflicts) = remarks.finish(&view, tree, layers, os)?;
    Ok(Plan { steps, warnings, conflicts, removed })
}

/// Whether a path exists once `layers` are folded over `tree`.
pub fn exists_after(tree: &Tree, layers: &[PlanLayer<'_>]) -> Result<impl Fn(&[&Name], &Name) -> bool> {
    let mut view = view::View::new(tree);
    let mut remarks = claims::Remarks::new("", layers);
    for (index, layer) in layers.iter().enumerate() {
        apply::Application::new(&mut view, layer.manifest, index, &mut remarks).run()?;
    }
    apply::settle(&mut view, &mut remarks);
    Ok(move |directory: &[&Name], name: &Name| view.exists(directory, name))
}
