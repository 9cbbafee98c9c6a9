//! Why an engine operation failed or was refused.

use crate::exchange::error::LayoutError;
use crate::manifest::ManifestError;
use crate::path_list::PatternError;
use crate::platform::Purpose;
use crate::recipes;
use crate::reference::NameError;
use operation::Explain;
use std::io;
use std::path::PathBuf;

/// Result of engine operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an engine operation failed or was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name or reference is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A request breaks a rule of the product.
    #[error(transparent)]
    Rule(#[from] Rule),
    /// The store failed or refused.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An exchange of layers failed or was refused.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A volume failed or was refused.
    #[error("{context}: {source}")]
    Volume {
        /// Which volume.
        context: String,
        /// Why.
        source: volume::Error,
    },
    /// A registry hive cannot be read or written.
    #[error("{context}: {source}")]
    Hive {
        /// Which hive, of what.
        context: String,
        /// Why.
        source: hive::Error,
    },
    /// An image file failed or was refused.
    #[error(transparent)]
    Format(#[from] disk::format::Error),
    /// A partition table failed or was refused.
    #[error("{context}: {source}")]
    Partition {
        /// Which disk.
        context: String,
        /// Why.
        source: disk::partition::PartitionError,
    },
    /// Reading or writing failed.
    #[error("{doing} failed: {source}")]
    Io {
        /// What was being done, on what.
        doing: String,
        /// Why.
        source: io::Error,
    },
    /// A stored record is not what it should be.
    #[error("{record} in the store is damaged: {reason}")]
    Record {
        /// Which.
        record: String,
        /// What is wrong.
        reason: String,
    },
    /// One of the store's own lists is malformed.
    #[error("the store's list {path} is malformed: {source}")]
    Patterns {
        /// The file.
        path: PathBuf,
        /// Which line.
        source: PatternError,
    },
    /// More things than the formats can number.
    #[error("too many {what} for one layer version")]
    TooMany {
        /// Of what.
        what: &'static str,
    },
    /// The caller asked to stop.
    #[error("cancelled; nothing was changed")]
    Cancelled,
    /// A bug: an invariant of the engine does not hold.
    #[error("the engine contradicts itself: {what}")]
    Internal {
        /// What was found.
        what: &'static str,
    },
}

/// Rules of the product that a request can break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// Nothing has this name.
    #[error("there is no {what} {reference:?}")]
    NotFound {
        /// Kind of thing.
        what: &'static str,
        /// As written.
        reference: String,
    },
    /// A version or image has no such path.
    #[error("there is no {path:?} in {within}")]
    NoPath {
        /// As written.
        path: String,
        /// Reference of the version or image.
        within: String,
    },
    /// This is no name of a registry hive.
    #[error("{text:?} names no registry hive")]
    HiveName {
        /// As written.
        text: String,
    },
    /// A version or image has no such hive.
    #[error("there is no registry hive {hive:?} in {within}; there is {found}")]
    NoHive {
        /// As written.
        hive: String,
        /// Reference of the version or image.
        within: String,
        /// What it has instead.
        found: String,
    },
    /// A version or image has no such registry key.
    #[error("there is no registry key {key:?} in {within}")]
    NoKey {
        /// As written.
        key: String,
        /// Reference of the version or image, and the hive.
        within: String,
    },
    /// More rows of the registry than can be kept in memory.
    #[error("the registry rows of {what} are too many to list: more than {limit} MiB of text")]
    TooManyRows {
        /// Of what.
        what: String,
        /// Most text in rows, MiB.
        limit: u64,
    },
    /// Several kinds have this name.
    #[error("{reference:?} is ambiguous: there is {kinds}")]
    Ambiguous {
        /// As written.
        reference: String,
        /// The kinds that have it.
        kinds: String,
    },
    /// A reference leads to another kind than is needed here.
    #[error("{reference:?} is {found}, but {needed} is needed here")]
    WrongKind {
        /// As written.
        reference: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        needed: &'static str,
    },
    /// The version or image exists.
    #[error("{what} exists already; what is stored never changes")]
    Exists {
        /// Reference.
        what: String,
    },
    /// Layers of different OS layers.
    #[error("{layer} belongs to the OS layer {belongs:?}, not to {os:?}")]
    OtherOs {
        /// Reference of the layer version.
        layer: String,
        /// Its OS layer.
        belongs: String,
        /// The OS layer of the request.
        os: String,
    },
    /// The base is a version of another layer.
    #[error("{base} is no version of {layer}: a new version starts from one of its own layer")]
    OtherLayer {
        /// Reference of the base.
        base: String,
        /// The layer.
        layer: String,
    },
    /// A layer is listed twice.
    #[error("{layer} is listed more than once")]
    Twice {
        /// Which.
        layer: String,
    },
    /// No volume could be the OS volume.
    #[error("{disk} has no NTFS volume{detail}")]
    NoVolume {
        /// The disk.
        disk: String,
        /// What it has instead.
        detail: String,
    },
    /// Several volumes could be the OS volume.
    #[error("{disk} has several volumes that could be the OS volume: partitions {candidates}")]
    SeveralVolumes {
        /// The disk.
        disk: String,
        /// Their numbers.
        candidates: String,
    },
    /// The chosen partition is none.
    #[error("{disk} has no partition {number}{detail}")]
    NoPartition {
        /// The disk.
        disk: String,
        /// As asked.
        number: u32,
        /// Which there are.
        detail: String,
    },
    /// The returned disk is not one that was made from this composite.
    #[error("{disk} does not descend from the composite that was named: {reason}")]
    NotDescended {
        /// The disk.
        disk: String,
        /// How one can tell.
        reason: String,
    },
    /// Two entries of a directory have names that are the same but for case, and one of them changed.
    #[error(
        "{path} was changed, and its directory has another entry, or had, whose name is the same but for case"
    )]
    NamesCollide {
        /// The entry.
        path: String,
    },
    /// The disk's Windows has not finished something, or is not what a version may be made of.
    #[error("{disk} is not ready:\n{}", findings.join("\n"))]
    Integrity {
        /// The disk.
        disk: String,
        /// What blocks, each with its evidence on lines of their own.
        findings: Vec<String>,
    },
    /// An override without words.
    #[error("an override needs a reason, and this one is empty")]
    NoReason,
    /// More is added than allowed.
    #[error("{what} adds {}, more than its maximum size of {}", Bytes(*added), Bytes(*max))]
    TooLarge {
        /// The version.
        what: String,
        /// Bytes.
        added: u64,
        /// Bytes.
        max: u64,
    },
    /// An image smaller than its OS disk.
    #[error("an image of {} is smaller than the OS disk, which has {}", Bytes(*size), Bytes(*os))]
    SmallerThanOs {
        /// Bytes.
        size: u64,
        /// Bytes.
        os: u64,
    },
    /// Sizes are whole MiB.
    #[error("an image of {} is no whole number of MiB", Bytes(*size))]
    NotWholeMib {
        /// Bytes.
        size: u64,
    },
    /// Something still needs it.
    #[error("{what} is in use: {users}")]
    InUse {
        /// What was to be removed.
        what: String,
        /// References of what uses it.
        users: String,
    },
    /// A platform layer without types, another with them, or types that do not go together.
    #[error("{what}")]
    PlatformTypes {
        /// What is wrong.
        what: String,
    },
    /// A platform layer of the other purpose.
    #[error("{layer} is a {purpose} platform layer, but a {needed} one is needed here")]
    PlatformPurpose {
        /// Reference of the platform layer version.
        layer: String,
        /// What it is for.
        purpose: Purpose,
        /// What it should be for.
        needed: Purpose,
    },
    /// A file of lines for a recipe that does not exist.
    #[error("{path} adds to no recipe: none has this name")]
    NoRecipe {
        /// The file.
        path: String,
    },
    /// The operation makes no sense for this kind.
    #[error("{what}")]
    NotApplicable {
        /// Why.
        what: String,
    },
}

/// Bytes for people: rounded, and exact behind.
struct Bytes(u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Bytes(bytes) = *self;
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.into_iter().find(|(shift, _)| bytes >> shift > 0) {
            Some((shift, unit)) => {
                let tenths = (u128::from(bytes) * 10) >> shift;
                write!(f, "{}.{} {unit} ({bytes} bytes)", tenths / 10, tenths % 10)
            }
            None => write!(f, "{bytes} bytes"),
        }
    }
}

impl Error {
    /// An I/O error with what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let doing = doing.into();
        move |source| if is_cancel(&source) { Error::Cancelled } else { Error::Io { doing, source } }
    }

    /// A volume error with which volume it was.
    pub(crate) fn volume(context: impl Into<String>) -> impl FnOnce(volume::Error) -> Error {
        let context = context.into();
        move |source| match source {
            volume::Error::Device(source) if is_cancel(&source) => Error::Cancelled,
            source => Error::Volume { context, source },
        }
    }

    /// A damaged record.
    pub(crate) fn record(record: impl Into<String>, error: &dyn std::fmt::Display) -> Error {
        Error::Record { record: record.into(), reason: error.to_string() }
    }
}

/// The crates below, which have no word of their own for it, end what was cancelled with this kind. A system call that
/// a signal interrupts never gets here: readers try those again.
fn is_cancel(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

impl From<ManifestError> for Error {
    fn from(error: ManifestError) -> Error {
        Error::record("a manifest", &error)
    }
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Name(error) => error.code(),
            Error::Rule(rule) => rule.code(),
            Error::Store(error) => error.code(),
            Error::Layout(error) => error.code(),
            Error::Volume { source, .. } => source.code(),
            Error::Hive { source, .. } => source.code(),
            Error::Format(error) => error.code(),
            Error::Partition { source, .. } => source.code(),
            Error::Io { .. } => "io",
            Error::Record { .. } => "store-record-damaged",
            Error::Patterns { .. } => "list-malformed",
            Error::TooMany { .. } => "layer-too-many",
            Error::Cancelled => "cancelled",
            Error::Internal { .. } => "internal",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Name(error) => error.hint(),
            Error::Rule(rule) => rule.hint(),
            Error::Store(error) => error.hint(),
            Error::Layout(error) => error.hint(),
            Error::Volume { source, .. } => source.hint(),
            Error::Hive { source, .. } => source.hint(),
            Error::Format(error) => error.hint(),
            Error::Partition { source, .. } => source.hint(),
            Error::Record { .. } => {
                Some("Run lamina plumbing check --read-data to see what else is affected.".into())
            }
            Error::Patterns { .. } => Some("Mend the file or remove it.".into()),
            Error::Io { .. } | Error::TooMany { .. } | Error::Cancelled | Error::Internal { .. } => None,
        }
    }
}

impl Explain for Rule {
    fn code(&self) -> &'static str {
        match self {
            Rule::NotFound { .. } => "not-found",
            Rule::NoPath { .. } => "path-not-found",
            Rule::HiveName { .. } => "hive-name",
            Rule::NoHive { .. } => "hive-not-found",
            Rule::NoKey { .. } => "key-not-found",
            Rule::TooManyRows { .. } => "registry-rows",
            Rule::Ambiguous { .. } => "reference-ambiguous",
            Rule::WrongKind { .. } => "reference-kind",
            Rule::Exists { .. } => "exists",
            Rule::OtherOs { .. } => "other-os-layer",
            Rule::OtherLayer { .. } => "other-layer",
            Rule::Twice { .. } => "layer-twice",
            Rule::NoVolume { .. } => "no-os-volume",
            Rule::SeveralVolumes { .. } => "several-os-volumes",
            Rule::NoPartition { .. } => "no-partition",
            Rule::NotDescended { .. } => "not-descended",
            Rule::NamesCollide { .. } => "names-collide",
            Rule::Integrity { .. } => "integrity-blocks",
            Rule::NoReason => "override-reason",
            Rule::TooLarge { .. } => "layer-too-large",
            Rule::SmallerThanOs { .. } => "image-too-small",
            Rule::NotWholeMib { .. } => "image-size",
            Rule::InUse { .. } => "in-use",
            Rule::PlatformTypes { .. } => "platform-types",
            Rule::PlatformPurpose { .. } => "platform-purpose",
            Rule::NoRecipe { .. } => "recipe-unknown",
            Rule::NotApplicable { .. } => "not-applicable",
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Rule::NotFound { .. } => "List what there is; the name may be misspelt or the object removed.",
            Rule::NoPath { .. } => "List the files without a path to see what there is.",
            Rule::HiveName { .. } => {
                "Write SYSTEM, SOFTWARE, DEFAULT, SAM, SECURITY, COMPONENTS, DRIVERS, USER:NAME, CLASSES:NAME or the \
                 path of the hive's file."
            }
            Rule::NoHive { .. } => "List the files to see which hives there are.",
            Rule::NoKey { .. } => {
                "A key is named below its hive, without HKEY_LOCAL_MACHINE and the hive's name; of an app or platform \
                 layer only keys that it changes are there."
            }
            Rule::TooManyRows { .. } => {
                "Ask for a part with lamina plumbing registry diff --hive and --key, or write a file with lamina \
                 plumbing registry export."
            }
            Rule::Ambiguous { .. } => "Put os:, platform:, app: or image: before the name.",
            Rule::Exists { .. } => "Choose another name or version.",
            Rule::OtherOs { .. } => "Choose layers that were made on this OS layer.",
            Rule::SeveralVolumes { .. } | Rule::NoPartition { .. } => "Say which partition is the OS volume.",
            Rule::NotDescended { .. } => {
                "Name the same OS version, layers, base and platform as when the packaging disk was made."
            }
            Rule::NamesCollide { .. } => {
                "Rename or delete one of the two on the packaging disk: Windows programs see only one of them."
            }
            Rule::Integrity { .. } => {
                "Do what is said about each. If it has to be, an override with a reason stores the version all the same \
                 and records why."
            }
            Rule::NoReason => {
                "Say in a few words why the findings do not matter here; the version records it."
            }
            Rule::TooLarge { .. } => {
                "Remove what does not belong in the layer, or allow a larger size of the layer."
            }
            Rule::SmallerThanOs { .. } | Rule::NotWholeMib { .. } => {
                "Choose a larger size of the disk, in whole MiB."
            }
            Rule::InUse { .. } => "Remove what uses it first.",
            Rule::PlatformTypes { .. } => {
                "Give purpose and hypervisor for platform layers, provisioning and broker for publishing ones, and none \
                 of them for other layers."
            }
            Rule::PlatformPurpose { needed: Purpose::Packaging, .. } => {
                "Packaging disks take packaging platform layers; publishing ones are for images."
            }
            Rule::PlatformPurpose { needed: Purpose::Publishing, .. } => {
                "Images take publishing platform layers; packaging ones are for packaging disks."
            }
            Rule::NoRecipe { .. } => {
                let names: Vec<&str> = recipes::names().collect();
                return Some(format!("Rename the file or remove it; recipes are {}.", names.join(", ")));
            }
            Rule::WrongKind { .. }
            | Rule::OtherLayer { .. }
            | Rule::Twice { .. }
            | Rule::NoVolume { .. }
            | Rule::NotApplicable { .. } => return None,
        };
        Some(text.to_owned())
    }
}
