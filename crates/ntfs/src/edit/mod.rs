//! Changing an NTFS volume: [`NtfsEditor`], on libntfs-3g over any [`BlockDevice`].
//!
//! Nodes are addressed by record number; the library's path functions are not used, and few of its node functions: it
//! keeps $MFT, its bitmap, the cluster bitmap, records with attribute lists, and B+ trees, and everything above that is
//! composed here. That is what makes every property exact: the library's own `ntfs_create`, `ntfs_link` and
//! `ntfs_delete` stamp the current time, mark new directories ARCHIVE, and bring index entries up to date through a
//! second look-up per name.
//!
//! **Times.** The editor never makes a time up. A node has the times that its metadata says, in $STANDARD_INFORMATION,
//! in every $FILE_NAME and in every index entry; a directory keeps its own times when entries come and go, and the
//! system files keep theirs. So equal calls on equal volumes give equal bytes.
//!
//! **Contents** are spliced, not copied. Every cluster that a new stream gets is spliced, written or discarded over its
//! full length, and the clusters that go with a removed stream are discarded: what they held before cannot shine
//! through.
//!
//! **Missing on purpose:** moving and renaming (a link and an unlink do it) but for the case of a name, quotas, USN records (the journal is to be removed:
//! [`NtfsEditor::remove_usn_journal`]), transactions, undo. [`grow()`] makes a volume longer; nothing makes one shorter.

mod attributes;
mod clusters;
mod file_name;
mod grow;
mod library;
mod node;
mod property;
mod security;
mod stream;

pub use grow::grow;

use clusters::Reservation;
use disk::BlockDevice;
use library::{Inode, ViewIndex, Volume};
use security::Descriptors;
use std::collections::HashSet;
use std::fmt::Display;
use std::io;
use volume::{Error, FileId, Metadata, Name, NewStream, Refusal, Result, VolumeEditor};

/// The record number of the root directory.
pub const ROOT: FileId = FileId(5);

/// Records below this belong to the file system itself.
const FIRST_USER_RECORD: u64 = 16;

/// Changes an NTFS volume that fills a device. See [`VolumeEditor`] for the calls and their order.
///
/// The device belongs to the editor until [`finish_into`](Self::finish_into) gives it back. One editor is used by one
/// thread at a time; several editors may work at once.
pub struct NtfsEditor<D> {
    editor: Editor,
    device: std::marker::PhantomData<D>,
}

impl<D: BlockDevice + 'static> NtfsEditor<D> {
    /// Opens the volume whose boot sector is at the beginning of `device`.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is no NTFS volume of version 3, not cleanly shut down, hibernated, or marked dirty;
    /// [`Error::Corrupt`] when its system files contradict each other. The device is dropped then.
    pub fn mount(mut device: D) -> Result<NtfsEditor<D>> {
        let mut sector = [0; 512];
        if device.len() < sector.len() as u64 {
            return Err(Refusal::NotThisFileSystem { expected: "NTFS" }.into());
        }
        device.read_at(0, &mut sector)?;
        crate::boot::Boot::parse(&sector)?; // says what else it may be, which the library does not
        let editor = Editor::mount(Box::new(device))?;
        Ok(NtfsEditor { editor, device: std::marker::PhantomData })
    }

    /// Like [`VolumeEditor::finish`], and gives the device back.
    ///
    /// # Errors
    /// Those of writing. The device is dropped then.
    pub fn finish_into(self) -> Result<D> {
        let device = self.editor.finish()?.into_any().downcast::<D>();
        Ok(*device.expect("the device is the one that `mount` was given"))
    }

    /// Removes the change journal, `$Extend\$UsnJrnl`; `false` when the volume has none. Windows makes a new one, with
    /// a new id, when something asks for it. The journal would be wrong: nothing that the editor does is recorded.
    ///
    /// # Errors
    /// Those of [`unlink`](VolumeEditor::unlink).
    pub fn remove_usn_journal(&mut self) -> Result<bool> {
        self.editor.remove_usn_journal()
    }
}

impl<D: BlockDevice + 'static> VolumeEditor for NtfsEditor<D> {
    fn cluster(&self) -> u64 {
        self.editor.volume.cluster()
    }

    fn reserve(&mut self, bytes: u64) -> Result<()> {
        self.editor.reserve(bytes)
    }

    fn make_directory(
        &mut self,
        parent: FileId,
        name: &Name,
        short: Option<&Name>,
        metadata: &Metadata,
        streams: &[NewStream<'_>],
    ) -> Result<FileId> {
        self.editor.make(true, parent, name, short, metadata, streams)
    }

    fn make_file(
        &mut self,
        parent: FileId,
        name: &Name,
        short: Option<&Name>,
        metadata: &Metadata,
        streams: &[NewStream<'_>],
    ) -> Result<FileId> {
        self.editor.make(false, parent, name, short, metadata, streams)
    }

    fn link(&mut self, file: FileId, parent: FileId, name: &Name) -> Result<()> {
        self.editor.link(file, parent, name)
    }

    fn unlink(&mut self, node: FileId, parent: FileId, name: &Name) -> Result<()> {
        self.editor.unlink(node, parent, name)
    }

    fn set_metadata(&mut self, node: FileId, metadata: &Metadata) -> Result<()> {
        self.editor.set_metadata(node, metadata)
    }

    fn set_streams(&mut self, node: FileId, streams: &[NewStream<'_>]) -> Result<()> {
        self.editor.set_streams(node, streams)
    }

    fn rename(
        &mut self,
        node: FileId,
        parent: FileId,
        name: &Name,
        new: &Name,
        short: Option<&Name>,
    ) -> Result<()> {
        self.editor.rename(node, parent, name, new, short)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.finish_into().map(drop)
    }
}

/// The editor without its device's type.
struct Editor {
    volume: Volume,
    /// The directory that the last call used: calls come directory by directory.
    directory: Option<OpenDirectory>,
    reservation: Reservation,
    descriptors: Descriptors,
    reparse_points: Option<ViewIndex>,
    object_ids: Option<ViewIndex>,
    /// Directories that the editor has made and not entered anything into.
    empty_directories: HashSet<u64>,
    /// A call failed half-way: what is in memory may not be written any more.
    broken: bool,
}

struct OpenDirectory {
    inode: Inode,
    /// Upcased names, where the editor made the directory itself and so knows all of them: saves a search of the
    /// index for every new name.
    names: Option<HashSet<Vec<u16>>>,
}

impl Editor {
    fn mount(device: Box<dyn library::OwnedDevice>) -> Result<Editor> {
        const VOLUME_IS_DIRTY: u16 = 1;
        let volume = Volume::mount(device).map_err(|reason| {
            if Volume::mount_refused_hibernated(&reason) {
                let evidence = "hiberfil.sys or a log that Windows has kept open".to_owned();
                Refusal::Hibernated { evidence }.into()
            } else if Volume::mount_refused_unclean(&reason) {
                Refusal::UncleanLog.into()
            } else if Volume::mount_found_damage(&reason) {
                let what = "the system files do not fit together".to_owned();
                Error::Corrupt { what, place: reason.to_string() }
            } else {
                Error::Library { operation: "mount", what: "the volume".to_owned(), source: reason }
            }
        })?;
        if volume.major_version() < 3 {
            let feature = format!("NTFS version {}", volume.major_version());
            return Err(Refusal::Feature { feature }.into());
        }
        if volume.flags() & VOLUME_IS_DIRTY != 0 {
            return Err(Refusal::Dirty.into());
        }
        Ok(Editor {
            volume,
            directory: None,
            reservation: Reservation::default(),
            descriptors: Descriptors::default(),
            reparse_points: None,
            object_ids: None,
            empty_directories: HashSet::new(),
            broken: false,
        })
    }

    fn finish(mut self) -> Result<Box<dyn library::OwnedDevice>> {
        self.usable()?;
        self.close_directory()?;
        let freed = self.reservation.release(&mut self.volume);
        self.check("free clusters", &"the reservation", freed)?;
        for index in [self.reparse_points.take(), self.object_ids.take()].into_iter().flatten() {
            let closed = index.close();
            self.check("close", &"an index of $Extend", closed)?;
        }
        self.volume.unmount().map_err(Error::Device)
    }

    fn reserve(&mut self, bytes: u64) -> Result<()> {
        self.usable()?;
        let clusters = bytes.div_ceil(self.volume.cluster());
        let reserved = self.reservation.reserve(&mut self.volume, clusters);
        self.check("reserve clusters", &"the volume", reserved)
    }

    /// Refuses to go on after a call that failed half-way.
    fn usable(&self) -> Result<()> {
        if self.broken {
            let source = io::Error::other("an earlier change failed half-way");
            return Err(Error::Library { operation: "continue", what: "the volume".to_owned(), source });
        }
        Ok(())
    }

    /// Gives a failure of the library its reason and what it happened on; from then on the volume is unusable.
    fn check<T>(&mut self, operation: &'static str, what: &dyn Display, result: io::Result<T>) -> Result<T> {
        let source = match result {
            Ok(value) => return Ok(value),
            Err(source) => source,
        };
        self.broken = true;
        self.volume.resume_panic();
        if let Some(device) = self.volume.take_device_error() {
            return Err(Error::Device(device));
        }
        Err(match source.kind() {
            io::ErrorKind::StorageFull => {
                Error::Full { what: what.to_string(), needed: self.volume.cluster() }
            }
            io::ErrorKind::InvalidData => {
                Error::Corrupt { what: source.to_string(), place: what.to_string() }
            }
            _ => Error::Library { operation, what: what.to_string(), source },
        })
    }

    fn close_directory(&mut self) -> Result<()> {
        let Some(open) = self.directory.take() else { return Ok(()) };
        let number = open.inode.number();
        let closed = open.inode.close();
        self.check("close", &format_args!("directory {number}"), closed)
    }

    /// The open directory `id`, opened if the last call used another one.
    fn directory(&mut self, id: u64) -> Result<Inode> {
        if let Some(open) = &self.directory
            && open.inode.number() == id
        {
            return Ok(open.inode);
        }
        self.close_directory()?;
        let opened = Inode::open(&self.volume, id);
        let inode = self.check("open", &format_args!("directory {id}"), opened)?;
        if !inode.is_directory() {
            self.close_node(inode)?;
            let reason = "it is no directory".to_owned();
            return Err(Error::NotExpressible { what: format!("an entry of node {id}"), reason });
        }
        let names = self.empty_directories.remove(&id).then(HashSet::new);
        self.directory = Some(OpenDirectory { inode, names });
        Ok(inode)
    }

    /// Opens a node to change it; it is not the open directory then.
    fn node(&mut self, id: FileId) -> Result<Inode> {
        self.usable()?;
        if id.0 < FIRST_USER_RECORD && id != ROOT {
            let reason = "it belongs to the file system itself".to_owned();
            return Err(Error::NotExpressible { what: format!("a change of record {}", id.0), reason });
        }
        self.open_node(id.0)
    }

    fn open_node(&mut self, number: u64) -> Result<Inode> {
        if self.directory.as_ref().is_some_and(|open| open.inode.number() == number) {
            self.close_directory()?;
        }
        let opened = Inode::open(&self.volume, number);
        self.check("open", &format_args!("node {number}"), opened)
    }

    fn close_node(&mut self, inode: Inode) -> Result<()> {
        let number = inode.number();
        let closed = inode.close();
        self.check("close", &format_args!("node {number}"), closed)
    }

    fn remove_usn_journal(&mut self) -> Result<bool> {
        const EXTEND: u64 = 11;
        let name = Name::from("$UsnJrnl");
        self.usable()?;
        let extend = self.directory(EXTEND)?;
        let units = name.to_utf16().unwrap_or_default();
        let found = library::NameIndex(extend).find(&self.volume, &units);
        let Some(number) = self.check("find", &name, found)? else { return Ok(false) };
        self.unlink(FileId(number), FileId(EXTEND), &name)?;
        Ok(true)
    }
}
