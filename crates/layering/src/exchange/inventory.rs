//! What packs of a layout have already: the reason why exports resume and versions share.
//!
//! A pack that a manifest of the layout names was flushed before the index that leads to it, so its length is looked at
//! and no more. One that nothing names was left by an export that was interrupted, or is somebody's: before it is
//! used, all of it is read and its digest verified.

use super::error::LayoutError;
use super::layout::Layout;
use super::oci::{Descriptor, Digest};
use super::pack::{Directory, HEADER, LONGEST};
use super::plan::PlannedPack;
use super::{PACK_TYPE, pack};
use crate::Result;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use store::BlobId;

/// The packs of a layout that have blobs which are to be exported.
#[derive(Default)]
pub(super) struct Inventory {
    packs: Vec<ExistingPack>,
    /// Every blob that is to be exported, and where it is.
    places: HashMap<BlobId, Place>,
}

struct ExistingPack {
    digest: Digest,
    /// Bytes.
    size: u64,
    trusted: bool,
}

#[derive(Default)]
struct Place {
    whole: Option<usize>,
    /// By how many parts there are and which one it is.
    parts: BTreeMap<(u64, u64), Part>,
}

#[derive(Clone, Copy)]
struct Part {
    pack: usize,
    /// Where it begins in the blob and how much it holds, bytes.
    extent: (u64, u64),
}

impl Place {
    /// The packs that together have the blob.
    fn packs(&self) -> Option<Vec<usize>> {
        if let Some(pack) = self.whole {
            return Some(vec![pack]);
        }
        let counts: BTreeSet<u64> = self.parts.keys().map(|(parts, _)| *parts).collect();
        counts.into_iter().find_map(|parts| {
            let found: Vec<usize> =
                self.parts.range((parts, 0)..(parts, parts)).map(|(_, part)| part.pack).collect();
            (found.len() as u64 == parts).then_some(found)
        })
    }
}

impl Inventory {
    /// Looks which of these blobs the layout has. `named` are the packs that its manifests name, with their lengths.
    pub(super) fn scan(
        layout: &Layout,
        blobs: impl IntoIterator<Item = BlobId>,
        named: &HashMap<Digest, u64>,
    ) -> Result<Inventory> {
        let places = blobs.into_iter().map(|blob| (blob, Place::default())).collect();
        let mut inventory = Inventory { packs: Vec::new(), places };
        let (first, then): (Vec<Digest>, Vec<Digest>) =
            layout.blobs()?.into_iter().partition(|digest| named.contains_key(digest));
        for digest in first.into_iter().chain(then) {
            let Some(size) = layout.blob_len(&digest).filter(|size| *size <= LONGEST) else { continue };
            // A file that is not what was written is none; its content is written anew.
            let trusted = match named.get(&digest) {
                Some(expected) if *expected != size => continue,
                expected => expected.is_some(),
            };
            let Some(file) = layout.blob(&digest, size)? else { continue };
            if let Ok((directory, _)) = peek(file) {
                inventory.add(ExistingPack { digest, size, trusted }, &directory);
            }
        }
        Ok(inventory)
    }

    fn add(&mut self, pack: ExistingPack, directory: &Directory) {
        let number = self.packs.len();
        let mut used = false;
        for blob in &directory.blobs {
            let Some(place) = self.places.get_mut(&blob.id) else { continue };
            used = true;
            if directory.parts == 1 {
                place.whole.get_or_insert(number);
            } else {
                let extent = (first_offset(&directory.runs), directory.content);
                place.parts.entry((directory.parts, directory.part)).or_insert(Part { pack: number, extent });
            }
        }
        if used {
            self.packs.push(pack);
        }
    }

    /// Adds a pack that was just written.
    pub(super) fn wrote(&mut self, digest: Digest, size: u64, directory: &Directory) {
        self.add(ExistingPack { digest, size, trusted: true }, directory);
    }

    /// Verifies the packs that will be used for these blobs and that nobody vouches for; forgets those that are not what
    /// their names say. Gives how many bytes were read.
    pub(super) fn settle(&mut self, layout: &Layout, blobs: &[BlobId]) -> Result<u64> {
        let mut used: BTreeSet<usize> = BTreeSet::new();
        for place in blobs.iter().filter_map(|blob| self.places.get(blob)) {
            used.extend(place.whole);
            used.extend(place.parts.values().map(|part| part.pack));
        }
        let mut read = 0;
        for number in used {
            let pack = &mut self.packs[number];
            if pack.trusted {
                continue;
            }
            read += pack.size;
            let found = layout.read(&Descriptor::new(PACK_TYPE, pack.digest, pack.size), "a pack", LONGEST);
            pack.trusted = matches!(found, Ok(Some(bytes)) if pack::open(&bytes).is_ok());
            if !pack.trusted {
                for place in self.places.values_mut() {
                    place.whole = place.whole.filter(|whole| *whole != number);
                    place.parts.retain(|_, part| part.pack != number);
                }
            }
        }
        Ok(read)
    }

    /// The blobs among these that no packs have.
    pub(super) fn lacking(&self, blobs: &[BlobId]) -> Vec<BlobId> {
        let there = |blob: &BlobId| self.places.get(blob).is_some_and(|place| place.packs().is_some());
        blobs.iter().filter(|blob| !there(blob)).copied().collect()
    }

    /// Whether a part of a blob is there already, in the very same cut.
    pub(super) fn has_part(&self, planned: &PlannedPack) -> bool {
        let (part, parts) = planned.part;
        let Some(blob) = planned.blobs.first().filter(|_| parts > 1) else { return false };
        let found = self.places.get(&blob.id).and_then(|place| place.parts.get(&(parts, part)));
        found.is_some_and(|found| found.extent == (first_offset(&blob.runs), planned.content))
    }

    /// The packs that have these blobs, each once, in the order in which they were found and written.
    pub(super) fn packs_of(&self, blobs: &[BlobId]) -> Vec<Descriptor> {
        let places = blobs.iter().filter_map(|blob| self.places.get(blob)?.packs());
        let numbers: BTreeSet<usize> = places.flatten().collect();
        let describe = |pack: &ExistingPack| Descriptor::new(PACK_TYPE, pack.digest, pack.size);
        numbers.into_iter().map(|number| describe(&self.packs[number])).collect()
    }
}

fn first_offset(runs: &[pack::Run]) -> u64 {
    runs.first().map_or(0, |run| run.offset)
}

/// Reads the directory of a pack, which is not verified then, and gives the digest of what was read.
pub(super) fn peek(mut file: File) -> io::Result<(Directory, blake3::Hash)> {
    let mut bytes = vec![0; HEADER];
    file.read_exact(&mut bytes)?;
    let length = Directory::length(&bytes).ok_or_else(|| io::Error::other("it is no pack"))?;
    bytes.resize(length, 0);
    file.read_exact(&mut bytes[HEADER..])?;
    let directory = Directory::decode(&bytes).map_err(io::Error::other)?;
    Ok((directory, blake3::hash(&bytes)))
}

/// Reads all of a pack, verifies it, and takes it apart.
pub(super) fn load(
    layout: &Layout,
    of: &str,
    pack: &Descriptor,
    peeked: &blake3::Hash,
) -> Result<(Directory, Vec<u8>)> {
    let bytes = layout.read(pack, "a pack", LONGEST)?;
    let bytes = bytes.ok_or_else(|| LayoutError::BlobMissing {
        of: of.to_owned(),
        part: "pack",
        digest: pack.digest.to_string(),
    })?;
    let damaged = |why: &str| LayoutError::damaged(layout.blob_path(&pack.digest), why);
    let opened = pack::open(&bytes).map_err(damaged)?;
    let directory = Directory::length(&bytes).and_then(|length| bytes.get(..length));
    if directory.map(blake3::hash) != Some(*peeked) {
        return Err(damaged("it changed while it was read").into());
    }
    Ok(opened)
}
