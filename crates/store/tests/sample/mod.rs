//! Content to store, and ways to look at it, that several tests use.
#![allow(clippy::unwrap_used, dead_code, reason = "test code; not every test uses all of it")]

use std::path::Path;
use store::{BlobId, Object, ObjectId, RefName, Session};

/// A directory of its own, in memory where that is possible: these tests flush thousands of small files. What a process
/// leaves when it is killed is the same there.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Bytes that are always the same for the same seed and have no block of zeros.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A small generator of random numbers that a seed repeats.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        u64::from_le_bytes(blake3::hash(&self.0.to_le_bytes()).as_bytes()[..8].try_into().unwrap()) % limit
    }
}

pub(crate) fn read(session: &Session, id: BlobId) -> Vec<u8> {
    let location = session.locate(id).unwrap().expect("the blob is there");
    let pack = session.store().pack(location.pack).unwrap();
    let mut bytes = vec![0; location.len as usize];
    pack.read_exact_at(location.offset, &mut bytes).unwrap();
    bytes
}

pub(crate) fn name(text: &str) -> RefName {
    text.parse().unwrap()
}

pub(crate) fn files_in(path: &Path) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

/// Stores contents in one pack and gives their ids.
pub(crate) fn store_blobs(session: &Session, contents: &[Vec<u8>]) -> Vec<BlobId> {
    let mut writer = session.pack_writer().unwrap();
    let ids = contents.iter().map(|content| writer.append_bytes(content).unwrap().id).collect();
    writer.finish().unwrap();
    ids
}

pub(crate) fn object(blobs: &[BlobId], links: &[ObjectId], payload: &[u8]) -> Object {
    Object { kind: "sample".into(), links: links.to_vec(), blobs: blobs.to_vec(), payload: payload.to_vec() }
}
