//! What every connector does, and the data that goes in and out.

use crate::description::{Capabilities, Purpose};
use crate::error::{Error, Result};
use crate::key::OperationKey;
use crate::name::DiskName;
use crate::watch::Watch;
use async_trait::async_trait;
use disk::format::Format;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One place where disks come from and go to: a kind, the values of its fields and its secrets.
///
/// Every operation with an [`OperationKey`] may be called again with the same key, after an error, after a crash at
/// any instant, or although it succeeded: it goes on or answers the same. Two calls with one key do not run at the
/// same time; the caller sees to that. An operation that fails or is cancelled leaves nothing half-made under a name
/// that a person sees. What it keeps to go on later is removed by the operation that undoes it.
#[async_trait]
pub trait Connector: Send + Sync {
    /// What this connector can do.
    fn capabilities(&self) -> &Capabilities;

    /// Sees whether the platform can be reached and accepts the credentials. Changes nothing.
    async fn check_credentials(&self) -> Result<()>;

    /// Tries what the connector needs, one thing after the other, and tells what came of each. What it makes for that
    /// it removes.
    async fn test(&self) -> Vec<Trial>;

    /// Lists what can be chosen, one page at a time.
    async fn browse(&self, what: &Browse) -> Result<Listing>;

    /// Where a disk is and whether somebody uses it; `None` when there is none.
    async fn locate(&self, name: &DiskName) -> Result<Option<Found>>;

    /// Makes a disk readable as a local file: where it is, if that is possible, else as a sparse copy in the folder
    /// `scratch`, which survives restarts. Undone by [`release`](Connector::release).
    ///
    /// # Errors
    /// `disk-not-found`, `disk-in-use`, and `disk-changed` when it was written while it was read.
    async fn fetch(
        &self,
        key: &OperationKey,
        name: &DiskName,
        scratch: &Path,
        watch: &Watch,
    ) -> Result<Fetched>;

    /// Removes what [`fetch`](Connector::fetch) put into `scratch`. Fine when there is nothing.
    async fn release(&self, key: &OperationKey, scratch: &Path) -> Result<()>;

    /// Where the image of a packaging disk or a published image is to be written before
    /// [`deliver`](Connector::deliver). What an earlier, interrupted run with this key wrote there is removed, so call
    /// it right before writing. Undone by [`withdraw`](Connector::withdraw).
    ///
    /// # Errors
    /// `disk-name-taken` when something else has the name already.
    async fn placement(&self, key: &OperationKey, shipment: &Shipment) -> Result<Placement>;

    /// Brings the image `file`, which is complete, under its name, and makes of it what the platform makes of such
    /// images. A [`Placement::Here`] file is moved, any other is copied and left alone. Something else that has the
    /// name is never overwritten. Undone by [`withdraw`](Connector::withdraw), until [`conclude`](Connector::conclude).
    async fn deliver(
        &self,
        key: &OperationKey,
        shipment: &Shipment,
        file: &Path,
        watch: &Watch,
    ) -> Result<Delivered>;

    /// Undoes [`placement`](Connector::placement) and [`deliver`](Connector::deliver), whatever became of them.
    /// A file under the name that is not the delivered one stays.
    async fn withdraw(&self, key: &OperationKey, shipment: &Shipment) -> Result<Removal>;

    /// Removes what is kept on the platform only so that a delivery can be repeated or undone. The delivery stays.
    async fn conclude(&self, key: &OperationKey) -> Result<()>;

    /// What the machine that runs on a disk is doing.
    async fn machine_state(&self, disk: &DiskName) -> Result<MachineState>;

    /// Deletes the machine that runs on a disk, running or not; the disk stays.
    async fn delete_machine(&self, disk: &DiskName) -> Result<Removal>;

    /// Deletes a disk, if it is still the one of `stamp`.
    ///
    /// # Errors
    /// `disk-changed` when another file has the name or this one was written since, `disk-in-use`.
    async fn delete_disk(&self, name: &DiskName, stamp: &DiskStamp) -> Result<Removal>;

    /// A folder for files that belong together, such as exported layers, whether it is there or not. The one that it
    /// is to lie in has to exist. Only where [`Capabilities::keeps_folders`]; so for the following, too.
    ///
    /// # Errors
    /// `share-not-found`, and `disk-not-plain` when something else has the name.
    async fn folder(&self, name: &DiskName) -> Result<Folder> {
        let _ = name;
        Err(no_folders())
    }

    /// The files of a folder and of the folders in it, by name. What this connector could not name is left out: hidden
    /// names, links and devices.
    ///
    /// # Errors
    /// `folder-too-large` when there are more files than are handled.
    async fn folder_files(&self, folder: &DiskName) -> Result<Vec<FolderFile>> {
        let _ = folder;
        Err(no_folders())
    }

    /// Copies files of a folder to the same names in the local folder `target`. A file that is there with its length
    /// is not copied again, so an interrupted call goes on; one has its name only when it is complete.
    ///
    /// # Errors
    /// `disk-changed` when a file is not as long as was said, or was written while it was read.
    async fn fetch_files(
        &self,
        folder: &DiskName,
        files: &[FolderFile],
        target: &Path,
        watch: &Watch,
    ) -> Result<()> {
        let _ = (folder, files, target, watch);
        Err(no_folders())
    }

    /// Copies files of the local folder `source` to the same names in a folder, one after the other in this order, and
    /// makes the folders that they need. A file that is there already with the same contents stays, another one is
    /// replaced, and each has its name only when it is complete. So an interrupted call goes on.
    async fn deliver_files(
        &self,
        key: &OperationKey,
        folder: &DiskName,
        files: &[DiskName],
        source: &Path,
        watch: &Watch,
    ) -> Result<()> {
        let _ = (key, folder, files, source, watch);
        Err(no_folders())
    }

    /// Removes files of a folder and, where nothing else is in them, the folders that they were in, this one included,
    /// for which hidden files of this program do not count. What an interrupted
    /// [`deliver_files`](Connector::deliver_files) with this key left goes, too.
    async fn remove_files(
        &self,
        key: &OperationKey,
        folder: &DiskName,
        files: &[DiskName],
    ) -> Result<Removal> {
        let _ = (key, folder, files);
        Err(no_folders())
    }
}

fn no_folders() -> Error {
    Error::Unsupported { place: "this connector".to_owned(), what: "keep folders of files" }
}

/// A folder for files that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Whether it is there.
    pub exists: bool,
    /// Its path, if programs on this machine may work in it themselves.
    pub here: Option<PathBuf>,
    /// Where, for people.
    pub location: Location,
}

/// A file in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FolderFile {
    /// Its name below the folder.
    pub name: DiskName,
    /// Its length, bytes.
    pub bytes: u64,
}

/// One thing that a test of a connector tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ConnectorTrial))]
pub struct Trial {
    /// Stable name, such as `write`.
    pub name: &'static str,
    /// What was tried, as a sentence.
    pub tried: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Facts when it passed, the reason when it did not.
    pub detail: String,
    /// What to do about a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What came of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = TrialOutcome))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It works.
    Passed,
    /// It does not.
    Failed,
    /// It was not tried, because something before it failed.
    Skipped,
}

/// What to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browse {
    /// One of [`Capabilities::browses`]: `disks`, or the name of a field.
    pub what: String,
    /// The folder to list, or `None` for the outermost level.
    pub folder: Option<DiskName>,
    /// Only names that begin with this, without regard to ASCII case.
    pub prefix: String,
    /// Only what comes after this: [`Listing::next`] of the page before.
    pub after: Option<String>,
    /// Entries in the page; what is beyond 1000 is taken as 1000.
    pub limit: usize,
}

/// A page of names, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ConnectorListing))]
pub struct Listing {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next page begins; absent when this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One name that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ConnectorEntry))]
pub struct Entry {
    /// Its last component, what is shown.
    pub title: String,
    /// What is stored when it is chosen: for disks the whole name.
    pub value: String,
    /// Whether it can be chosen or opened.
    pub kind: EntryKind,
    /// Length of a disk's file, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What can be done with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ConnectorEntryKind))]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// It has entries of its own.
    Folder,
    /// It can be chosen.
    Item,
}

/// What tells one file from every other that had or will have its name, as far as the platform knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileIdentity(pub(crate) String);

/// A disk at one moment: another stamp means other contents, or another file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStamp {
    /// Length of the file, bytes.
    pub bytes: u64,
    /// When it was last written, in the platform's own count.
    pub modified: i64,
    /// Which file it is.
    pub identity: FileIdentity,
}

/// A disk that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which state of which file.
    pub stamp: DiskStamp,
    /// Where, for people.
    pub location: Location,
    /// Whether somebody has it open.
    pub usage: Usage,
}

/// Whether somebody has a disk open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usage {
    /// Somebody has, and how that is known.
    InUse(String),
    /// Nothing speaks for it. That is no proof: a program may hold a file without any sign that can be seen.
    NotSeen,
}

/// A disk that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The local file, in whatever format it has.
    pub path: PathBuf,
    /// Whether that is the disk itself and not a copy. It can then still be changed by others: compare `stamp` with
    /// [`Connector::locate`] after reading.
    pub in_place: bool,
    /// Which state of which file was read.
    pub stamp: DiskStamp,
    /// The ranges of the disk (not the file), bytes, that may have changed since it was delivered; `None` when that
    /// is not known.
    pub changed: Option<Vec<Range<u64>>>,
}

/// What is to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    /// [`Purpose::Package`] or [`Purpose::Publish`].
    pub purpose: Purpose,
    /// The name it gets.
    pub name: DiskName,
    /// The format of the file, by [`Format::name`].
    #[serde(with = "format_name")]
    pub format: Format,
}

mod format_name {
    use disk::format::Format;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(format: &Format, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(format.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Where an image is written before it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// Straight to the platform, into this file, which does not exist yet; its folder does.
    Here(PathBuf),
    /// Anywhere; it is copied from there.
    Scratch,
}

/// A place for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// As it would be written in a sentence, such as `\\nas\disks\office.vhdx`.
    pub text: String,
    /// The same as a path on the server's machine, where it is one.
    pub path: Option<PathBuf>,
    /// Something to click, such as a page of a portal.
    pub link: Option<String>,
}

/// What was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// Where it is.
    pub location: Location,
    /// The text of the task, in sentences.
    pub description: String,
    /// What the person has to do next, or `None` when all is done.
    pub next_action: Option<String>,
}

/// What a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MachineState {
    /// It is shut down.
    Off,
    /// It runs, or is starting or stopping.
    Running,
    /// There is none.
    Absent,
    /// The connector does not know machines.
    NotManaged,
}

/// What became of something that was to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// It was there and is gone.
    Removed,
    /// There was nothing.
    WasGone,
    /// Something stays, and why.
    Left(String),
    /// The connector does not have such things.
    NotManaged,
}
