//! Reading a whole volume into a [`Tree`] by streaming its $MFT.
//!
//! Names come from the $FILE_NAME attributes of the records, not from directory indexes, which say the same thing
//! again; whether they do is the business of [`check`](crate::check). A tree that comes out of here is sound: every
//! parent is a directory that exists, no directory lies in itself, every name is a name.

mod hierarchy;
mod node;

use crate::inode::Inode;
use crate::mft::{Extent, Mft, Visitor, system};
use crate::{secure, upcase};
use disk::ByteSource;
use hierarchy::Candidate;
use operation::{Progress, Unit};
use volume::{Error, FileId, Node, Result, Tree};

/// Reads every file and directory that a user can see. The volume's own metadata files ($MFT, $Extend, ...) are left
/// out.
///
/// # Errors
/// [`Error::Refused`] when there is no NTFS volume, [`Error::Corrupt`] for the first broken rule. Whether the volume is
/// in a state to be layered (clean log, not hibernated) is asked of [`gate`](crate::gate).
pub fn scan(source: &dyn ByteSource, progress: &dyn Progress) -> Result<Tree> {
    let mft = Mft::open(source)?;
    let upcase = upcase::load(&mft)?;
    let descriptors = secure::load(&mft)?;
    progress.step("Reading the file table", Some(mft.stream_bytes(Extent::Used)), Unit::Bytes);
    let mut collector = Collector { builder: node::Builder::new(&mft, descriptors), candidates: Vec::new() };
    mft.stream(Extent::Used, progress, &mut collector)?;
    let nodes = hierarchy::visible(collector.candidates)?;
    Ok(Tree::new(FileId(system::ROOT), nodes, Some(upcase)))
}

/// Reads one file by its number, and nothing of the others. Its place in the tree is not looked at.
///
/// # Errors
/// Those of [`scan`], and [`Error::Corrupt`] when no file has this number.
pub fn file(source: &dyn ByteSource, id: FileId) -> Result<Node> {
    let mft = Mft::open(source)?;
    let inode = mft.inode(id.0)?;
    let candidate =
        node::Builder::new(&mft, secure::load(&mft)?).candidate(&inode.inode(&inode.attributes()?))?;
    Ok(candidate.node)
}

struct Collector<'m, 's> {
    builder: node::Builder<'m, 's>,
    candidates: Vec<Candidate>,
}

impl Visitor for Collector<'_, '_> {
    fn inode(&mut self, inode: &Inode<'_>) -> Result<()> {
        if inode.number >= system::FIRST_FREE || inode.number == system::ROOT {
            self.candidates.push(self.builder.candidate(inode)?);
        }
        Ok(())
    }

    fn defect(&mut self, _record: u64, error: Error) -> Result<()> {
        Err(error)
    }
}
