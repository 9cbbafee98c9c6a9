//! Writing blobs: hash, look whether the content is there already, keep it if not.

use crate::digest::{BlobHasher, blocks_of, is_zero, zero_block_digest};
use crate::durable::{remove_if_there, sync_directory};
use crate::error::{Error, IoContext, Result};
use crate::index::{Entry, Index, MOST_BLOBS, SEGMENT};
use crate::spool::{Data, Digests};
use crate::{BLOCK, BlobId, BlockDigest, PackId, Session};
use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::sync::Arc;

/// A pack that has grown to this many blocks (64 GiB) is finished and another begun.
const ENOUGH_BLOCKS: u64 = 1 << 24;
/// How many bytes of a source are asked for at a time.
const PIECE: usize = 1 << 20;

/// What became of some content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its digest.
    pub id: BlobId,
    /// Its length in bytes.
    pub len: u64,
    /// Whether it was written; otherwise the store, or this pack, had it already.
    pub new: bool,
}

/// Adds blobs to the store. Nothing is visible before [`PackWriter::finish`]; dropping it instead leaves nothing.
///
/// Each writer has a pack of its own (a further one when it grows beyond 64 GiB), so any number can work side by
/// side; they do not see each other's unfinished blobs.
pub struct PackWriter {
    session: Session,
    pack: Option<OpenPack>,
    finished: Vec<PackId>,
    /// An earlier write failed half-way.
    poisoned: bool,
}

struct OpenPack {
    id: PackId,
    data: Data,
    digests: Digests,
    entries: Vec<Entry>,
    seen: HashSet<BlobId>,
}

impl Drop for OpenPack {
    fn drop(&mut self) {
        // After a successful finish both have other names. Otherwise only tidiness: garbage collection would do it.
        _ = remove_if_there(self.data.path());
        _ = remove_if_there(self.digests.path());
    }
}

impl PackWriter {
    pub(crate) fn new(session: Session) -> PackWriter {
        PackWriter { session, pack: None, finished: Vec::new(), poisoned: false }
    }

    /// Appends all that `from` gives. `len_hint` is its length in bytes where known; a wrong one costs a little time.
    pub fn append(&mut self, from: &mut dyn Read, len_hint: Option<u64>) -> Result<Appended> {
        self.append_unless_there(len_hint, false, &mut |_, mut buf| {
            let mut filled = 0;
            while !buf.is_empty() {
                match from.read(buf) {
                    Ok(0) => break,
                    Ok(count) => {
                        filled += count;
                        buf = buf
                            .get_mut(count..)
                            .ok_or_else(|| io::Error::other("a reader gave more than fits"))?;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(filled)
        })
    }

    /// Appends these bytes as a blob.
    pub fn append_bytes(&mut self, bytes: &[u8]) -> Result<Appended> {
        self.append_with(bytes.len() as u64, &mut |offset, buf| {
            buf.copy_from_slice(&bytes[offset as usize..][..buf.len()]);
            Ok(())
        })
    }

    /// Appends a blob of `len` bytes that `fill` gathers: it is called with ascending offsets and fills each buffer.
    /// Saves a copy over [`PackWriter::append`].
    pub fn append_with(
        &mut self,
        len: u64,
        fill: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
    ) -> Result<Appended> {
        self.append_unless_there(Some(len), true, &mut |offset, buf| fill(offset, buf).map(|()| buf.len()))
    }

    /// Like [`PackWriter::append_with`] for content whose block digests are known: `fill` is not called if the store
    /// has it. If what `fill` gives is something else, nothing is appended and the error is [`Error::Changed`].
    pub fn append_known(
        &mut self,
        len: u64,
        digests: &[BlockDigest],
        fill: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
    ) -> Result<Appended> {
        if digests.len() as u64 != blocks_of(len) {
            return Err(Error::Source(io::Error::other("there are not as many block digests as blocks")));
        }
        let mut hasher = BlobHasher::new(len);
        hasher.update(digests);
        let expected = hasher.finish();
        if self.has(&expected)? {
            return Ok(Appended { id: expected, len, new: false });
        }
        let mut fill = |offset, buf: &mut [u8]| fill(offset, buf).map(|()| buf.len());
        self.append_checked(Some(len), true, &mut fill, |id| {
            if id == expected { Ok(true) } else { Err(Error::Changed { expected, found: id }) }
        })
    }

    /// Copies a blob although the store has it: what compaction does. The content must be right.
    pub(crate) fn append_copy(
        &mut self,
        blob: Entry,
        fill: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
    ) -> Result<()> {
        let mut fill = |offset, buf: &mut [u8]| fill(offset, buf).map(|()| buf.len());
        self.append_checked(Some(blob.len), true, &mut fill, |id| {
            if id == blob.id { Ok(true) } else { Err(Error::Changed { expected: blob.id, found: id }) }
        })?;
        Ok(())
    }

    fn append_unless_there(
        &mut self,
        len: Option<u64>,
        exact: bool,
        fill: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<usize>,
    ) -> Result<Appended> {
        let session = self.session.clone();
        self.append_checked(len, exact, fill, |id| Ok(session.find(&id)?.is_none()))
    }

    fn has(&self, id: &BlobId) -> Result<bool> {
        let seen = self.pack.as_ref().is_some_and(|pack| pack.seen.contains(id));
        Ok(seen || self.session.find(id)?.is_some())
    }

    /// Appends a blob, then asks `keep` with its digest whether it shall stay.
    fn append_checked(
        &mut self,
        len: Option<u64>,
        exact: bool,
        fill: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<usize>,
        keep: impl FnOnce(BlobId) -> Result<bool>,
    ) -> Result<Appended> {
        if self.poisoned {
            return Err(Error::Poisoned);
        }
        let enough = |pack: &OpenPack| {
            pack.entries.len() as u64 >= MOST_BLOBS || pack.digests.blocks() >= ENOUGH_BLOCKS
        };
        if self.pack.as_ref().is_some_and(enough) {
            self.finish_pack()?;
        }
        let pack = match &mut self.pack {
            Some(pack) => pack,
            none => none.insert(OpenPack::create(&self.session)?),
        };
        let start = pack.digests.blocks();
        let outcome = pack.append(len, exact, fill).and_then(|(id, len)| {
            let new = !pack.seen.contains(&id) && keep(id)?;
            Ok(Appended { id, len, new })
        });
        match outcome {
            Ok(appended) if appended.new => {
                pack.entries.push(Entry { id: appended.id, offset: start * BLOCK, len: appended.len });
                pack.seen.insert(appended.id);
                return Ok(appended);
            }
            // The caller's fault, or a duplicate: the pack goes on without it.
            Ok(_) | Err(Error::Source(_) | Error::Changed { .. }) => {
                pack.digests.rewind(start);
                let rewound = pack.data.rewind(start * BLOCK);
                self.poisoned = rewound.is_err();
                rewound?;
            }
            Err(_) => self.poisoned = true,
        }
        outcome
    }

    fn finish_pack(&mut self) -> Result<()> {
        let Some(mut pack) = self.pack.take() else { return Ok(()) };
        if pack.entries.is_empty() {
            return Ok(());
        }
        let index = pack.finish(&self.session)?;
        self.finished.push(pack.id);
        self.session.store().catalog().add(&Arc::new(index));
        Ok(())
    }

    /// Makes everything that was appended durable and visible; gives the packs that it went to (none if nothing was
    /// new). The session keeps them from garbage collection until objects that need them are referenced.
    pub fn finish(mut self) -> Result<Vec<PackId>> {
        if self.poisoned {
            return Err(Error::Poisoned);
        }
        self.finish_pack()?;
        Ok(std::mem::take(&mut self.finished))
    }
}

impl OpenPack {
    fn create(session: &Session) -> Result<OpenPack> {
        let directory = session.store().directory();
        let id = PackId::random().on("name a pack in", &directory.packs())?;
        let data = Data::create(session.temporary())?;
        let digests = Digests::create(session.temporary());
        let digests = digests.inspect_err(|_| _ = remove_if_there(data.path()))?;
        Ok(OpenPack { id, data, digests, entries: Vec::new(), seen: HashSet::new() })
    }

    /// Takes a blob's blocks in; gives its digest and its length in bytes. `exact` says that `len` is no mere hint.
    fn append(
        &mut self,
        len: Option<u64>,
        exact: bool,
        fill: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<usize>,
    ) -> Result<(BlobId, u64)> {
        let start = self.digests.blocks();
        let mut hasher = len.map(BlobHasher::new);
        let mut done = 0;
        loop {
            let left = if exact { len.map_or(u64::MAX, |len| len - done) } else { u64::MAX };
            if left == 0 {
                break;
            }
            let space = self.data.space()?;
            let want = left.min(space.len().min(PIECE) as u64) as usize;
            let got = fill(done, &mut space[..want]).map_err(Error::Source)?;
            if got < want && exact {
                return Err(Error::Source(io::ErrorKind::UnexpectedEof.into()));
            }
            done += got as u64;
            space[got..got.next_multiple_of(BLOCK as usize)].fill(0);
            for _ in 0..blocks_of(got as u64) {
                let block = &self.data.space()?[..BLOCK as usize];
                let zero = is_zero(block);
                let digest = if zero { zero_block_digest() } else { *blake3::hash(block).as_bytes() };
                self.data.take_block(zero);
                self.digests.push(digest)?;
                if let Some(hasher) = &mut hasher {
                    hasher.update(&[digest]);
                }
            }
            if got < want {
                break;
            }
        }
        let id = match hasher {
            Some(hasher) if len == Some(done) => hasher.finish(),
            // The digest begins with the length, which is known only now.
            _ => {
                let mut hasher = BlobHasher::new(done);
                self.digests.read_back(start, SEGMENT, &mut |digests| hasher.update(digests))?;
                hasher.finish()
            }
        };
        Ok((id, done))
    }

    fn finish(&mut self, session: &Session) -> Result<Index> {
        self.data.finish()?;
        let mut segments = Vec::new();
        let sum =
            &mut |digests: &[BlockDigest]| segments.push(*blake3::hash(digests.as_flattened()).as_bytes());
        self.digests.read_back(0, SEGMENT, sum)?;
        let index = Index::new(self.id, self.digests.blocks(), segments, std::mem::take(&mut self.entries));
        let (header, tail) = index.encode();
        self.digests.finish(&header, &tail)?;
        let directory = session.store().directory();
        // Listed before it is visible, so that no collection can take it for garbage in between.
        session.pin(&[self.id], &[])?;
        let (data, idx) = (directory.pack_data(self.id), directory.pack_index(self.id));
        fs::rename(self.data.path(), &data).on("rename into place", &data)?;
        sync_directory(&directory.packs())?;
        if let Err(error) = fs::rename(self.digests.path(), &idx).on("rename into place", &idx) {
            remove_if_there(&data)?;
            return Err(error);
        }
        sync_directory(&directory.packs())?;
        Ok(index)
    }
}
