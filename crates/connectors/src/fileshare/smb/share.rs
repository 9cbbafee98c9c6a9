//! The operations of a share, over one session.

use super::failure;
use super::file::{
    ATTRIBUTE_HIDDEN, DIRECTORY_FILE, EXAMINE, Opening, READ, SHARE_ALL, SHARE_NOTHING, SHARE_READ, SmbFile,
    WRITE,
};
use super::session::Session;
use crate::connector::{DiskStamp, Usage};
use crate::error::{Error, Result};
use crate::fileshare::share::{self, RawEntry, Share, SharePath, Sink, Source};
use async_trait::async_trait;
use smb2::RenameOptions;
use smb2::msg::create::CreateDisposition;
use smb2::types::status::NtStatus;

/// A share that was reached over SMB.
pub(super) struct SmbShare(Session);

impl SmbShare {
    pub(super) fn new(session: Session) -> SmbShare {
        SmbShare(session)
    }

    /// Whether there is the configured folder.
    pub(super) async fn has_root(&self) -> Result<bool> {
        self.folder_exists("").await
    }

    async fn folder_exists(&self, below: &str) -> Result<bool> {
        match if_there(self.folder(below, CreateDisposition::FileOpen, 0).await)? {
            Some(opened) => opened.shut().await.map(|()| true),
            None => Ok(false),
        }
    }

    fn fail<'a>(&'a self, doing: &'a str, what: &'a SharePath) -> impl Fn(smb2::Error) -> Error + 'a {
        move |error| failure::working(&self.0.place, doing, what.as_str(), error)
    }

    async fn folder(&self, below: &str, disposition: CreateDisposition, attributes: u32) -> Result<SmbFile> {
        let opening =
            Opening { rights: EXAMINE, share: SHARE_ALL, disposition, options: DIRECTORY_FILE, attributes };
        SmbFile::open(&self.0, below, opening).await
    }

    async fn rename(&self, from: &SharePath, to: &SharePath, replace: bool) -> Result<()> {
        let options = RenameOptions::new().replace_if_exists(replace);
        let (old, new) = (self.0.smb2_path(from.as_str()), self.0.smb2_path(to.as_str()));
        let mut connection = self.0.connection.clone();
        let renamed = self.0.tree.rename_with(&mut connection, &old, &new, options).await;
        renamed.map_err(|error| match error.status() {
            Some(NtStatus::OBJECT_NAME_NOT_FOUND) => self.fail("renaming", from)(error),
            _ => self.fail("naming", to)(error),
        })
    }
}

/// `None` for the error that there is nothing.
fn if_there<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Err(Error::NoDisk { .. }) => Ok(None),
        outcome => outcome.map(Some),
    }
}

#[async_trait]
impl Share for SmbShare {
    async fn list(&self, folder: Option<&SharePath>, see: &mut (dyn FnMut(RawEntry) + Send)) -> Result<()> {
        let below = folder.map_or("", SharePath::as_str);
        let path = self.0.smb2_path(below);
        let fail = |error| match failure::working(&self.0.place, "listing", below, error) {
            Error::NoDisk { place, .. } => {
                let place = if below.is_empty() { place } else { format!("folder {below} in {place}") };
                Error::NoShare { place, reason: "the server does not find the folder".to_owned() }
            }
            other => other,
        };
        let connection = self.0.connection.clone();
        let mut reader = self.0.tree.open_directory_reader(connection, &path).await.map_err(fail)?;
        while let Some(batch) = reader.next_batch().await.map_err(fail)? {
            for entry in batch {
                if entry.name != "." && entry.name != ".." && entry.reparse_tag.is_none() {
                    let bytes = (!entry.is_directory).then_some(entry.size);
                    see(RawEntry { name: entry.name, folder: entry.is_directory, bytes });
                }
            }
        }
        Ok(())
    }

    async fn has_folder(&self, folder: &SharePath) -> Result<bool> {
        self.folder_exists(folder.as_str()).await
    }

    async fn stamp(&self, file: &SharePath) -> Result<Option<DiskStamp>> {
        let opened = SmbFile::open(&self.0, file.as_str(), Opening::file(EXAMINE, SHARE_ALL)).await;
        let Some(opened) = if_there(opened)? else { return Ok(None) };
        let stamp = opened.stamp().await;
        opened.shut().await?;
        stamp.map(Some)
    }

    async fn usage(&self, file: &SharePath) -> Result<Usage> {
        // Opened for ourselves alone, which no server grants while a client has the file open.
        match SmbFile::open(&self.0, file.as_str(), Opening::file(READ, SHARE_NOTHING)).await {
            Ok(opened) => opened.shut().await.map(|()| Usage::NotSeen),
            Err(Error::InUse { reason, .. }) => Ok(Usage::InUse(reason)),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, file: &SharePath) -> Result<(Box<dyn Source>, DiskStamp)> {
        let opened = SmbFile::open(&self.0, file.as_str(), Opening::file(READ, SHARE_READ)).await?;
        let stamp = opened.stamp().await?;
        Ok((Box::new(opened), stamp))
    }

    async fn write(&self, file: &SharePath, opening: share::Opening) -> Result<Box<dyn Sink>> {
        // Shared with everybody: an earlier run of ours may not have been noticed to be dead.
        let existing = Opening::file(WRITE, SHARE_ALL);
        let opened = match opening {
            share::Opening::Existing => SmbFile::open(&self.0, file.as_str(), existing).await?,
            share::Opening::New => {
                let new = Opening { disposition: CreateDisposition::FileCreate, ..existing };
                let opened = SmbFile::open(&self.0, file.as_str(), new).await?;
                opened.make_sparse().await?;
                opened
            }
        };
        Ok(Box::new(opened))
    }

    async fn make_hidden_folder(&self, folder: &SharePath) -> Result<()> {
        let made = self.folder(folder.as_str(), CreateDisposition::FileOpenIf, ATTRIBUTE_HIDDEN).await?;
        made.shut().await
    }

    async fn make_folder(&self, folder: &SharePath) -> Result<()> {
        self.folder(folder.as_str(), CreateDisposition::FileOpenIf, 0).await?.shut().await
    }

    async fn rename_new(&self, from: &SharePath, to: &SharePath) -> Result<()> {
        self.rename(from, to, false).await
    }

    async fn replace(&self, from: &SharePath, to: &SharePath) -> Result<()> {
        self.rename(from, to, true).await
    }

    async fn remove(&self, file: &SharePath) -> Result<bool> {
        let mut connection = self.0.connection.clone();
        let path = self.0.smb2_path(file.as_str());
        let removed = self.0.tree.delete_file(&mut connection, &path).await;
        if_there(removed.map_err(self.fail("removing", file))).map(|removed| removed.is_some())
    }

    async fn remove_folder(&self, folder: &SharePath) -> Result<bool> {
        let mut connection = self.0.connection.clone();
        let path = self.0.smb2_path(folder.as_str());
        let removed = self.0.tree.delete_directory(&mut connection, &path).await;
        if_there(removed.map_err(self.fail("removing", folder))).map(|removed| removed.is_some())
    }

    async fn free(&self) -> Result<u64> {
        let mut connection = self.0.connection.clone();
        let facts = self.0.tree.fs_info(&mut connection).await;
        facts
            .map(|facts| facts.free_bytes)
            .map_err(|error| failure::working(&self.0.place, "measuring", "it", error))
    }

    async fn leave(&self) {
        self.0.leave().await;
    }
}
