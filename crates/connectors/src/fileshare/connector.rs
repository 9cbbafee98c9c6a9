//! A file share as a connector: the same steps for every way in which a share is reached.

use super::note::{self, FileStamp, Note, OwnFiles, Stage};
use super::share::{Access, Opening, Share, SharePath};
use super::transfer::{self, Progressed};
use super::{fetch, folder, listing, trials};
use crate::connector::{
    Browse, Connector, Delivered, DiskStamp, Fetched, Folder, FolderFile, Found, Listing, MachineState,
    Placement, Removal, Shipment, Trial, Usage,
};
use crate::description::{Capabilities, Purpose};
use crate::error::{Error, Result};
use crate::fileshare::local_file::{LocalFile, blocking};
use crate::key::OperationKey;
use crate::name::DiskName;
use crate::watch::Watch;
use async_trait::async_trait;
use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The connector of one share.
pub(crate) struct ShareConnector {
    access: Box<dyn Access>,
    capabilities: Capabilities,
}

impl ShareConnector {
    pub(crate) fn new(access: Box<dyn Access>) -> ShareConnector {
        ShareConnector { access, capabilities: super::capabilities() }
    }

    fn place(&self) -> &str {
        self.access.place()
    }

    fn no_disk(&self, name: &DiskName) -> Error {
        Error::NoDisk { place: self.place().to_owned(), name: name.to_string() }
    }

    fn changed(&self, name: &DiskName, reason: &'static str) -> Error {
        Error::Changed { place: self.place().to_owned(), name: name.to_string(), reason }
    }

    async fn place_on(
        &self,
        share: &dyn Share,
        key: &OperationKey,
        shipment: &Shipment,
    ) -> Result<Placement> {
        let own = OwnFiles::of(key);
        let name = SharePath::from(&shipment.name);
        let noted = note::read(share, self.place(), &own).await?;
        if let Some(there) = share.stamp(&name).await? {
            if noted.is_some_and(|note| note.is_complete(&shipment.name, &there)) {
                // It was delivered already; `deliver` will say so, whatever is written until then.
                return self.room(share, &own).await;
            }
            return Err(self.taken(&shipment.name));
        }
        if let Some(folder) = name.parent()
            && !share.has_folder(&folder).await?
        {
            let place = format!("folder {} in {}", folder.as_str(), self.place());
            return Err(Error::NoShare {
                place,
                reason: "it has to exist before a disk is put there".into(),
            });
        }
        self.room(share, &own).await
    }

    /// The place for an image that is about to be written.
    async fn room(&self, share: &dyn Share, own: &OwnFiles) -> Result<Placement> {
        let Some(path) = self.access.here(&own.disk) else { return Ok(Placement::Scratch) };
        share.make_hidden_folder(&own.folder).await?;
        share.remove(&own.disk).await?;
        Ok(Placement::Here(path))
    }

    fn taken(&self, name: &DiskName) -> Error {
        Error::Taken { place: self.place().to_owned(), name: name.to_string() }
    }

    async fn deliver_on(
        &self,
        share: &dyn Share,
        key: &OperationKey,
        shipment: &Shipment,
        file: &Path,
        watch: &Watch,
    ) -> Result<Delivered> {
        let own = OwnFiles::of(key);
        let name = SharePath::from(&shipment.name);
        let noted = note::read(share, self.place(), &own).await?.filter(|note| note.name == shipment.name);
        if let Some(there) = share.stamp(&name).await? {
            if noted.is_some_and(|note| note.is_complete(&shipment.name, &there)) {
                share.remove(&own.disk).await?;
                return Ok(self.delivered(shipment));
            }
            return Err(self.taken(&shipment.name));
        }
        let waiting = share.stamp(&own.disk).await?;
        let complete = match (&noted, &waiting) {
            (Some(note), Some(disk)) => note.is_complete(&shipment.name, disk),
            _ => false,
        };
        if !complete {
            if self.access.here(&own.disk).as_deref() != Some(file) {
                self.copy_in(share, &own, noted, shipment, file, watch).await?;
            } else if waiting.is_none() {
                return Err(Error::NothingToDeliver { path: file.to_owned() });
            } else {
                let sink = share.write(&own.disk, Opening::Existing).await?;
                sink.flush().await?;
                sink.close().await?;
            }
            let disk =
                share.stamp(&own.disk).await?.ok_or_else(|| self.changed(&shipment.name, "it is gone"))?;
            let stage = Stage::Complete { identity: disk.identity };
            note::write(share, &own, &Note { name: shipment.name.clone(), stage }).await?;
        }
        watch.check()?;
        share.rename_new(&own.disk, &name).await?;
        Ok(self.delivered(shipment))
    }

    /// Copies `file` to the operation's own place, going on with an earlier copy of the same file.
    async fn copy_in(
        &self,
        share: &dyn Share,
        own: &OwnFiles,
        noted: Option<Note>,
        shipment: &Shipment,
        file: &Path,
        watch: &Watch,
    ) -> Result<()> {
        let (local, source) = open_local(file).await?;
        let most = self.capabilities.limits.disk_bytes;
        if source.bytes > most {
            let (place, name) = (self.place().to_owned(), shipment.name.to_string());
            return Err(Error::TooLarge { place, name, bytes: source.bytes, most });
        }
        let from = match noted {
            Some(Note { stage: Stage::Copying { source: of, durable }, .. })
                if of == source
                    && share.stamp(&own.disk).await?.is_some_and(|disk| disk.bytes == of.bytes) =>
            {
                durable.min(source.bytes)
            }
            _ => 0,
        };
        share.make_hidden_folder(&own.folder).await?;
        let mut progress = Copying { share, own, name: &shipment.name, source: source.clone() };
        let sink = if from > 0 {
            share.write(&own.disk, Opening::Existing).await?
        } else {
            share.remove(&own.disk).await?;
            let sink = share.write(&own.disk, Opening::New).await?;
            sink.set_len(source.bytes).await?;
            progress.reached(0).await?;
            sink
        };
        watch.step("copy to the share", source.bytes);
        watch.advance(from);
        let copied = transfer::copy(&local, &*sink, from..source.bytes, watch, &mut progress).await;
        sink.close().await?;
        copied?;
        match open_local(file).await? {
            (_, after) if after == source => Ok(()),
            _ => Err(self.changed(&shipment.name, "the file to deliver was changed while it was copied")),
        }
    }

    fn delivered(&self, shipment: &Shipment) -> Delivered {
        let location = self.access.location(&shipment.name);
        let (description, next_action) = if shipment.purpose == Purpose::Package {
            let description = format!(
                "The Packaging Disk is on the file share: {}. Create a machine that starts from this disk, install \
                 your software there and shut the machine down with Shutdown For Finalize. If the machine used a \
                 copy, put that copy back under the same name.",
                location.text
            );
            (description, Some("Finalize".to_owned()))
        } else {
            (format!("The Layered Image is on the file share: {}.", location.text), None)
        };
        Delivered { location, description, next_action }
    }

    async fn withdraw_on(
        &self,
        share: &dyn Share,
        key: &OperationKey,
        shipment: &Shipment,
    ) -> Result<Removal> {
        let own = OwnFiles::of(key);
        let name = SharePath::from(&shipment.name);
        let mut outcome = Removal::WasGone;
        if let Some(note) = note::read(share, self.place(), &own).await?
            && let Some(there) = share.stamp(&name).await?
        {
            if note.is_complete(&shipment.name, &there) {
                share.remove(&name).await?;
                outcome = Removal::Removed;
            } else if matches!(note.stage, Stage::Complete { .. }) {
                outcome = Removal::Left(format!(
                    "{} stays, because it is not the file that was put there",
                    self.access.location(&shipment.name).text
                ));
            }
        }
        let had_own = note::remove(share, &own).await?;
        if had_own && outcome == Removal::WasGone {
            outcome = Removal::Removed;
        }
        Ok(outcome)
    }

    async fn delete_on(&self, share: &dyn Share, name: &DiskName, stamp: &DiskStamp) -> Result<Removal> {
        let path = SharePath::from(name);
        match share.stamp(&path).await? {
            None => return Ok(Removal::WasGone),
            Some(there) if there.identity != stamp.identity => {
                return Err(self.changed(name, "another file has its name"));
            }
            Some(there) if there != *stamp => return Err(self.changed(name, "it was written since")),
            Some(_) => {}
        }
        if let Usage::InUse(reason) = share.usage(&path).await? {
            return Err(Error::InUse { place: self.place().to_owned(), name: name.to_string(), reason });
        }
        Ok(if share.remove(&path).await? { Removal::Removed } else { Removal::WasGone })
    }

    async fn locate_on(&self, share: &dyn Share, name: &DiskName) -> Result<Option<Found>> {
        let path = SharePath::from(name);
        if share.stamp(&path).await?.is_none() {
            return Ok(None);
        }
        let usage = share.usage(&path).await?;
        // After the look at its use, which may take a moment.
        let stamp = share.stamp(&path).await?;
        Ok(stamp.map(|stamp| Found { stamp, location: self.access.location(name), usage }))
    }
}

impl Note {
    /// Whether this is the note of a complete delivery of that name, and `file` is what was delivered.
    fn is_complete(&self, name: &DiskName, file: &DiskStamp) -> bool {
        self.name == *name && self.stage == Stage::Complete { identity: file.identity.clone() }
    }
}

/// Opens a file that is to be delivered and says which state of it that is.
pub(super) async fn open_local(path: &Path) -> Result<(LocalFile, FileStamp)> {
    let owned = path.to_owned();
    let opened = blocking(move || {
        let file = File::open(&owned)?;
        let facts = file.metadata()?;
        Ok((file, facts))
    })
    .await;
    let shown = path.display().to_string();
    let (file, facts): (File, Metadata) = opened.map_err(|source: std::io::Error| match source.kind() {
        ErrorKind::NotFound => Error::NothingToDeliver { path: path.to_owned() },
        _ => Error::io(format!("opening {shown}"), &shown, source),
    })?;
    let modified = facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = modified.map_or(0, |age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
    let stamp = FileStamp { inode: facts.ino(), bytes: facts.len(), modified };
    Ok((LocalFile::new(file, &shown), stamp))
}

struct Copying<'a> {
    share: &'a dyn Share,
    own: &'a OwnFiles,
    name: &'a DiskName,
    source: FileStamp,
}

#[async_trait]
impl Progressed for Copying<'_> {
    async fn reached(&mut self, offset: u64) -> Result<()> {
        let stage = Stage::Copying { source: self.source.clone(), durable: offset };
        note::write(self.share, self.own, &Note { name: self.name.clone(), stage }).await
    }
}

/// Does something on the share and leaves it again, whatever came of that.
macro_rules! on_share {
    ($self:ident, $share:ident => $work:expr) => {{
        let opened = $self.access.open().await?;
        let $share = &*opened;
        let outcome = $work.await;
        opened.leave().await;
        outcome
    }};
}

#[async_trait]
impl Connector for ShareConnector {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn check_credentials(&self) -> Result<()> {
        on_share!(self, share => async { share.free().await.map(drop) })
    }

    async fn test(&self) -> Vec<Trial> {
        trials::run(&*self.access).await
    }

    async fn browse(&self, what: &Browse) -> Result<Listing> {
        if what.what != "disks" {
            return Err(Error::Unsupported { place: self.place().to_owned(), what: "list that" });
        }
        on_share!(self, share => listing::page(share, what))
    }

    async fn locate(&self, name: &DiskName) -> Result<Option<Found>> {
        on_share!(self, share => self.locate_on(share, name))
    }

    async fn fetch(
        &self,
        key: &OperationKey,
        name: &DiskName,
        scratch: &Path,
        watch: &Watch,
    ) -> Result<Fetched> {
        on_share!(self, share => async {
            let found = self.locate_on(share, name).await?.ok_or_else(|| self.no_disk(name))?;
            if let Usage::InUse(reason) = found.usage {
                let (place, name) = (self.place().to_owned(), name.to_string());
                return Err(Error::InUse { place, name, reason });
            }
            let most = self.capabilities.limits.disk_bytes;
            if found.stamp.bytes > most {
                let (place, name) = (self.place().to_owned(), name.to_string());
                return Err(Error::TooLarge { place, name, bytes: found.stamp.bytes, most });
            }
            if let Some(path) = self.access.here(&SharePath::from(name)) {
                return Ok(Fetched { path, in_place: true, stamp: found.stamp, changed: None });
            }
            let copy = fetch::Copy::new(key, name, scratch);
            let (path, stamp) = copy.make(share, found.stamp, self.place(), watch).await?;
            Ok(Fetched { path, in_place: false, stamp, changed: None })
        })
    }

    async fn release(&self, key: &OperationKey, scratch: &Path) -> Result<()> {
        fetch::release(key, scratch).await
    }

    async fn placement(&self, key: &OperationKey, shipment: &Shipment) -> Result<Placement> {
        self.offers(shipment)?;
        on_share!(self, share => self.place_on(share, key, shipment))
    }

    async fn deliver(
        &self,
        key: &OperationKey,
        shipment: &Shipment,
        file: &Path,
        watch: &Watch,
    ) -> Result<Delivered> {
        self.offers(shipment)?;
        on_share!(self, share => self.deliver_on(share, key, shipment, file, watch))
    }

    async fn withdraw(&self, key: &OperationKey, shipment: &Shipment) -> Result<Removal> {
        on_share!(self, share => self.withdraw_on(share, key, shipment))
    }

    async fn conclude(&self, key: &OperationKey) -> Result<()> {
        let own = OwnFiles::of(key);
        on_share!(self, share => note::remove(share, &own)).map(drop)
    }

    async fn machine_state(&self, _disk: &DiskName) -> Result<MachineState> {
        Ok(MachineState::NotManaged)
    }

    async fn delete_machine(&self, _disk: &DiskName) -> Result<Removal> {
        Ok(Removal::NotManaged)
    }

    async fn delete_disk(&self, name: &DiskName, stamp: &DiskStamp) -> Result<Removal> {
        on_share!(self, share => self.delete_on(share, name, stamp))
    }

    async fn folder(&self, name: &DiskName) -> Result<Folder> {
        let exists = on_share!(self, share => folder::exists(share, name, self.place()))?;
        let here = self.access.here(&SharePath::from(name));
        Ok(Folder { exists, here, location: self.access.location(name) })
    }

    async fn folder_files(&self, folder: &DiskName) -> Result<Vec<FolderFile>> {
        on_share!(self, share => folder::files(share, folder, self.place()))
    }

    async fn fetch_files(
        &self,
        folder: &DiskName,
        files: &[FolderFile],
        target: &Path,
        watch: &Watch,
    ) -> Result<()> {
        on_share!(self, share => folder::fetch(share, folder, files, target, self.place(), watch))
    }

    async fn deliver_files(
        &self,
        key: &OperationKey,
        folder: &DiskName,
        files: &[DiskName],
        source: &Path,
        watch: &Watch,
    ) -> Result<()> {
        on_share!(self, share => folder::deliver(share, key, folder, files, source, watch))
    }

    async fn remove_files(
        &self,
        key: &OperationKey,
        folder: &DiskName,
        files: &[DiskName],
    ) -> Result<Removal> {
        on_share!(self, share => folder::remove(share, key, folder, files))
    }
}

impl ShareConnector {
    fn offers(&self, shipment: &Shipment) -> Result<()> {
        let outgoing = shipment.purpose != Purpose::Import;
        if outgoing && self.capabilities.takes(shipment.purpose, shipment.format) {
            Ok(())
        } else {
            Err(Error::Unsupported {
                place: self.place().to_owned(),
                what: "take disks of that purpose and format",
            })
        }
    }
}
