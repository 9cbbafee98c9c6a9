//! What can go wrong with an exchange layout, in words for the person who has to do something about it.

use operation::Explain;
use std::io;
use std::path::PathBuf;

/// Why layers could not be exported to, or imported from, an OCI image layout.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The directory does not exist.
    #[error("there is no OCI image layout at {}: the directory does not exist", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The directory is something else.
    #[error("{} is no OCI image layout: {why}", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
        /// What is there instead.
        why: String,
    },
    /// Something was written by a later program.
    #[error("{} holds {what} in a later format than this program knows", path.display())]
    Newer {
        /// The file or directory.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A file does not hold what it should.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A blob that a version needs is not in the layout.
    #[error("{of} is not complete: its {part} {digest} is missing")]
    BlobMissing {
        /// The version, or the index that names it.
        of: String,
        /// What the blob is.
        part: &'static str,
        /// Its digest, `sha256:` and hexadecimal.
        digest: String,
    },
    /// No pack of a version has some of its contents.
    #[error("{of} is not complete: none of its packs holds {blobs} of its contents, such as {example}")]
    ContentMissing {
        /// The version.
        of: String,
        /// How many blobs.
        blobs: u64,
        /// Digest of one of them, as the store names it.
        example: store::BlobId,
    },
    /// Something is longer than is accepted.
    #[error("{} has {size} bytes; the most that is accepted of {what} is {limit}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// Bytes that it has, or says it has.
        size: u64,
        /// Most bytes.
        limit: u64,
    },
    /// A version whose record is too long, or whose contents are too many, to be exchanged.
    #[error(
        "{of} cannot be exchanged: its {what} has {size} bytes, and the most that a reader accepts is {limit}"
    )]
    NotExchangeable {
        /// The version.
        of: String,
        /// What is too long.
        what: &'static str,
        /// Bytes.
        size: u64,
        /// Most bytes.
        limit: u64,
    },
    /// The layout has no such version.
    #[error("{} holds no {reference:?}", path.display())]
    NotHeld {
        /// The layout.
        path: PathBuf,
        /// As written.
        reference: String,
    },
    /// The layout has no layer versions at all.
    #[error("{} holds no layer versions", path.display())]
    Nothing {
        /// The layout.
        path: PathBuf,
    },
    /// The layout has two different versions of one name.
    #[error("{} holds two different versions called {reference}: {first} and {second}", path.display())]
    Several {
        /// The layout.
        path: PathBuf,
        /// Their name.
        reference: String,
        /// Identity of the one.
        first: String,
        /// Identity of the other.
        second: String,
    },
    /// The store lacks the OS layer that a version belongs to, and so does the layout.
    #[error(
        "{version} belongs to the OS layer {os_layer:?}, of which neither the store nor the layout has a version"
    )]
    NoOs {
        /// The version.
        version: String,
        /// Name of the OS layer.
        os_layer: String,
    },
    /// The store has another version of the same name.
    #[error(
        "{what} in the store ({here}) is not the one in the layout ({there}); what is stored never changes"
    )]
    Differs {
        /// Reference.
        what: String,
        /// Identity of the one in the store, and when it was made.
        here: String,
        /// Identity of the one in the layout, and when it was made.
        there: String,
    },
    /// A version has more content than is accepted.
    #[error("{of} has contents of {content} bytes, more than the {max} that are accepted of one version")]
    TooMuch {
        /// The version.
        of: String,
        /// Bytes, zeros included.
        content: u64,
        /// Most bytes.
        max: u64,
    },
    /// Somebody else exports to the layout.
    #[error("another export to {} is going on", path.display())]
    Busy {
        /// The layout.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl LayoutError {
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> LayoutError {
        let path = path.into();
        move |source| LayoutError::Io { action, path, source }
    }

    pub(super) fn damaged(path: impl Into<PathBuf>, why: impl Into<String>) -> LayoutError {
        LayoutError::Damaged { path: path.into(), why: why.into() }
    }

    fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let kind = match self {
            LayoutError::Io { source, .. } => source.kind(),
            _ => return false,
        };
        matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)
    }
}

impl Explain for LayoutError {
    fn code(&self) -> &'static str {
        match self {
            LayoutError::Missing { .. } => "layout-missing",
            LayoutError::NotALayout { .. } => "layout-not-a-layout",
            LayoutError::Newer { .. } => "layout-newer",
            LayoutError::Damaged { .. } => "layout-damaged",
            LayoutError::BlobMissing { .. } | LayoutError::ContentMissing { .. } => "layout-incomplete",
            LayoutError::TooLong { .. } => "layout-too-long",
            LayoutError::NotExchangeable { .. } => "layer-not-exchangeable",
            LayoutError::NotHeld { .. } => "layout-not-held",
            LayoutError::Nothing { .. } => "layout-empty",
            LayoutError::Several { .. } => "layout-ambiguous",
            LayoutError::NoOs { .. } => "layout-no-os-layer",
            LayoutError::Differs { .. } => "layout-differs",
            LayoutError::TooMuch { .. } => "layout-too-much",
            LayoutError::Busy { .. } => "layout-busy",
            LayoutError::Io { .. } if self.is_full() => "layout-full",
            LayoutError::Io { .. } => "layout-io",
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            LayoutError::Missing { .. } => "Check the path, and that the share is there.",
            LayoutError::NotALayout { .. } => {
                "Name a directory that is empty or does not exist, or a layout."
            }
            LayoutError::Newer { .. } => {
                "Import it with the version of Lamina that wrote it, or a later one."
            }
            LayoutError::Damaged { .. } => {
                "Copy the layout again. Where it was exported: remove the damaged file and export again, which writes \
                 only what is missing."
            }
            LayoutError::BlobMissing { .. } | LayoutError::ContentMissing { .. } => {
                "Copy the layout again, all of it, or export the version again, which writes only what is missing."
            }
            LayoutError::NotHeld { .. } | LayoutError::Nothing { .. } => {
                "List what the layout holds; export to it what is missing."
            }
            LayoutError::Several { .. } => "Export them to layouts of their own.",
            LayoutError::NoOs { .. } => {
                "Import a version of that OS layer first, or export it to the layout too."
            }
            LayoutError::Differs { .. } => "Import it under another layer name, or leave it out.",
            LayoutError::TooMuch { .. } => "Allow more, if the layout comes from somebody you trust.",
            LayoutError::Busy { .. } => "Wait until it is over, or export to another directory.",
            LayoutError::Io { .. } if self.is_full() => {
                "Make room and start again: what was written is kept and used."
            }
            LayoutError::TooLong { .. } | LayoutError::NotExchangeable { .. } | LayoutError::Io { .. } => {
                return None;
            }
        };
        Some(text.to_owned())
    }
}
