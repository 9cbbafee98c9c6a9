//! Index B-trees: directories (`$I30`) and the view indexes of $Secure and $Extend.
//!
//! ```text
//!  $INDEX_ROOT (in the record)  ─ entries ─┬─ entry ─ key
//!                                          └─ last entry
//!       each entry of an inner node points to the node with the keys before its own
//!  $INDEX_ALLOCATION  INDX blocks, addressed in clusters, or in 512-byte units when clusters are larger than blocks
//!  $BITMAP            which blocks are in use
//! ```

use crate::attribute::{Body, code};
use crate::bytes::{slice_at, u16_at, u32_at, u64_at};
use crate::content::Extents;
use crate::inode::Inode;
use crate::mft::{Mft, corrupt};
use crate::record::{Reference, apply_fixup};
use volume::Result;

/// Entry flag: a node lies before this entry.
const HAS_NODE: u16 = 0x01;
/// Entry flag: the last of its node, without a key.
const LAST: u16 = 0x02;
/// Levels that no index of a volume can have.
const MAX_DEPTH: usize = 64;
/// Offset of the node header in an INDX block.
const BLOCK_HEADER: usize = 0x18;
/// Offset of the node header in an $INDEX_ROOT value.
const ROOT_HEADER: usize = 0x10;

/// An index as a whole.
pub(crate) struct Index<'m, 's> {
    mft: &'m Mft<'s>,
    record: u64,
    root: Vec<u8>,
    allocation: Extents,
    /// Blocks that were ever written.
    blocks: u64,
    block: usize,
    /// Bytes that block numbers count.
    unit: u64,
    bitmap: Vec<u8>,
}

/// One key of an index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// The file that the key belongs to (indexes of file names only).
    pub(crate) file: Reference,
    pub(crate) key: &'a [u8],
    /// What a view index keeps beside its key.
    pub(crate) data: &'a [u8],
}

/// What a walk finds.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// Keys, in the order in which the tree holds them.
    Entry(Entry<'a>),
    /// A broken rule; the walk goes on after the broken node.
    Defect(String),
}

/// A node being walked.
struct Frame {
    node: Vec<u8>,
    at: usize,
    end: usize,
    /// The node before the entry at `at` was walked.
    descended: bool,
}

impl<'m, 's> Index<'m, 's> {
    /// The index called `name` (UTF-16LE) of a file; `None` when it has none.
    pub(crate) fn open(mft: &'m Mft<'s>, inode: &Inode<'_>, name: &[u8]) -> Result<Option<Index<'m, 's>>> {
        let Some(group) = inode.group(code::INDEX_ROOT, name) else { return Ok(None) };
        let broken = |what: &str| corrupt(inode.number, format!("index: {what}"));
        let Body::Resident { value: root, .. } = group[0].body else {
            return Err(broken("$INDEX_ROOT is not resident"));
        };
        let block = u32_at(root, 8).unwrap_or_default() as usize;
        if !block.is_power_of_two() || !(512..=65536).contains(&block) {
            return Err(broken("the block size is none"));
        }
        let (mut allocation, mut blocks, mut bitmap) = (Extents::default(), 0, Vec::new());
        if let Some(place) = inode.placement(mft, code::INDEX_ALLOCATION, name)? {
            blocks = place.valid / block as u64;
            allocation = Extents::new(place.runs);
            let limit = (blocks / 8).saturating_add(64 << 10);
            bitmap = inode
                .value(mft, code::BITMAP, name, limit)?
                .ok_or_else(|| broken("$INDEX_ALLOCATION has no $BITMAP"))?;
        }
        let cluster = mft.boot.cluster;
        let unit = if cluster <= block as u64 { cluster } else { 512 };
        Ok(Some(Index {
            mft,
            record: inode.number,
            root: root.to_vec(),
            allocation,
            blocks,
            block,
            unit,
            bitmap,
        }))
    }

    /// Walks the whole index in order. Every block is visited at most once, whatever the pointers say; afterwards the
    /// bitmap is compared with what was visited.
    ///
    /// # Errors
    /// Those of `visit` and of reading; broken structure is told to `visit`.
    pub(crate) fn walk(&self, visit: &mut dyn FnMut(Found<'_>) -> Result<()>) -> Result<()> {
        let mut visited = vec![0u8; self.bitmap.len()];
        let mut stack = Vec::new();
        match frame(self.root.clone(), ROOT_HEADER) {
            Some(frame) => stack.push(frame),
            None => visit(Found::Defect("the header of $INDEX_ROOT contradicts itself".into()))?,
        }
        while let Some(top) = stack.last_mut() {
            let Some(raw) = RawEntry::parse(&top.node[..top.end], top.at) else {
                visit(Found::Defect("an entry leaves its node".into()))?;
                stack.pop();
                continue;
            };
            if let (Some(node), false) = (raw.node, top.descended) {
                top.descended = true;
                if stack.len() >= MAX_DEPTH {
                    visit(Found::Defect("the index is too deep".into()))?;
                    return Ok(());
                }
                match self.load(node, &mut visited)? {
                    Ok(frame) => stack.push(frame),
                    Err(what) => visit(Found::Defect(what))?,
                }
                continue;
            }
            if raw.last {
                stack.pop();
                continue;
            }
            visit(Found::Entry(raw.entry))?;
            top.at += raw.len;
            top.descended = false;
        }
        if visited != self.bitmap {
            visit(Found::Defect("the bitmap of the index and the blocks that it consists of differ".into()))?;
        }
        Ok(())
    }

    /// Reads the block with this number, once.
    fn load(&self, number: u64, visited: &mut [u8]) -> Result<std::result::Result<Frame, String>> {
        let offset = number.checked_mul(self.unit).filter(|offset| offset % self.block as u64 == 0);
        let Some(index) = offset.map(|offset| offset / self.block as u64).filter(|&at| at < self.blocks)
        else {
            return Ok(Err(format!("there is no index block {number}")));
        };
        let (byte, bit) = ((index / 8) as usize, 1u8 << (index % 8));
        match visited.get_mut(byte) {
            Some(seen) if *seen & bit != 0 => {
                return Ok(Err(format!("two entries lead to index block {number}")));
            }
            Some(seen) => *seen |= bit,
            None => return Ok(Err(format!("the bitmap of the index does not reach to block {number}"))),
        }
        let mut block = vec![0; self.block];
        self.allocation.read_at(self.mft.source, index * self.block as u64, &mut block)?;
        if let Err(error) = apply_fixup(&mut block, b"INDX") {
            return Ok(Err(format!("index block {number} of record {}: {error}", self.record)));
        }
        if u64_at(&block, 0x10) != Some(number) {
            return Ok(Err(format!("index block {number} says that it is another")));
        }
        Ok(frame(block, BLOCK_HEADER)
            .ok_or_else(|| format!("the header of index block {number} contradicts itself")))
    }
}

/// A node whose header begins at `header`.
fn frame(node: Vec<u8>, header: usize) -> Option<Frame> {
    let at = header.checked_add(u32_at(&node, header)? as usize)?;
    let end = header.checked_add(u32_at(&node, header + 4)? as usize)?;
    (at < end && end <= node.len()).then_some(Frame { node, at, end, descended: false })
}

struct RawEntry<'a> {
    entry: Entry<'a>,
    len: usize,
    last: bool,
    node: Option<u64>,
}

impl<'a> RawEntry<'a> {
    fn parse(node: &'a [u8], at: usize) -> Option<RawEntry<'a>> {
        let len = usize::from(u16_at(node, at.checked_add(8)?)?);
        let bytes = slice_at(node, at, len).filter(|_| len >= 0x10 && len % 8 == 0)?;
        let flags = u16_at(bytes, 12)?;
        let child = if flags & HAS_NODE != 0 { Some(u64_at(bytes, len.checked_sub(8)?)?) } else { None };
        let last = flags & LAST != 0;
        let key = if last { &[][..] } else { slice_at(bytes, 0x10, usize::from(u16_at(bytes, 10)?))? };
        let data = slice_at(bytes, usize::from(u16_at(bytes, 0)?), usize::from(u16_at(bytes, 2)?));
        let entry = Entry { file: Reference(u64_at(bytes, 0)?), key, data: data.unwrap_or_default() };
        Some(RawEntry { entry, len, last, node: child })
    }
}
