//! What the connector writes down on the share about a delivery, so that it can be repeated and undone.
//!
//! ```text
//! .lamina-KEY/             hidden; made by `placement`, gone after `withdraw` or `conclude`
//!     disk                 the image while it is not complete or has no name yet
//!     delivery.json        this note, replaced as a whole
//! ```

use super::share::{Opening, Share, SharePath};
use crate::connector::FileIdentity;
use crate::error::{Error, Result};
use crate::key::OperationKey;
use crate::name::DiskName;
use serde::{Deserialize, Serialize};

/// More than any note needs, bytes.
const MOST_BYTES: u64 = 16 << 10;

/// The names of one operation's files on the share.
pub(super) struct OwnFiles {
    pub(super) folder: SharePath,
    pub(super) disk: SharePath,
    note: SharePath,
    new_note: SharePath,
}

impl OwnFiles {
    pub(super) fn of(key: &OperationKey) -> OwnFiles {
        let folder = SharePath::own_folder(key);
        OwnFiles {
            disk: folder.join("disk"),
            note: folder.join("delivery.json"),
            new_note: folder.join("delivery.new"),
            folder,
        }
    }
}

/// How far a delivery is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    /// The name that the disk gets.
    pub(super) name: DiskName,
    pub(super) stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Stage {
    /// A copy of this local file is going on; everything before `durable` (bytes) is there.
    Copying { source: FileStamp, durable: u64 },
    /// The copy is complete, and is this file, whatever name it has by now.
    Complete { identity: FileIdentity },
}

/// Which state of which local file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileStamp {
    pub(super) inode: u64,
    pub(super) bytes: u64,
    pub(super) modified: i64,
}

/// Reads the note of an operation.
pub(super) async fn read(share: &dyn Share, place: &str, own: &OwnFiles) -> Result<Option<Note>> {
    let Some(stamp) = share.stamp(&own.note).await? else { return Ok(None) };
    let damaged =
        |reason: String| Error::Note { place: place.to_owned(), name: own.note.as_str().to_owned(), reason };
    if stamp.bytes > MOST_BYTES {
        return Err(damaged(format!("it is {} bytes long", stamp.bytes)));
    }
    let (source, stamp) = share.read(&own.note).await?;
    let bytes = source.read(0, stamp.bytes.min(MOST_BYTES) as usize).await;
    source.close().await?;
    serde_json::from_slice(&bytes?).map(Some).map_err(|error| damaged(error.to_string()))
}

/// Puts a note in the place of the one before, durably.
pub(super) async fn write(share: &dyn Share, own: &OwnFiles, note: &Note) -> Result<()> {
    let bytes = serde_json::to_vec(note).expect("names and numbers can be written as JSON");
    share.remove(&own.new_note).await?;
    let sink = share.write(&own.new_note, Opening::New).await?;
    let written = async {
        sink.set_len(bytes.len() as u64).await?;
        sink.write(0, bytes).await?;
        sink.flush().await
    };
    let written = written.await;
    sink.close().await?;
    written?;
    share.replace(&own.new_note, &own.note).await
}

/// Removes the folder of an operation with everything in it; fine when there is none.
pub(super) async fn remove(share: &dyn Share, own: &OwnFiles) -> Result<bool> {
    if !share.has_folder(&own.folder).await? {
        return Ok(false);
    }
    let mut names = Vec::new();
    share.list(Some(&own.folder), &mut |entry| names.push(entry)).await?;
    // The note goes last: as long as it is there, a repeated removal knows what to look for.
    names.sort_by_key(|entry| own.folder.join(&entry.name) == own.note);
    for entry in names.iter().filter(|entry| !entry.folder) {
        share.remove(&own.folder.join(&entry.name)).await?;
    }
    share.remove_folder(&own.folder).await
}
