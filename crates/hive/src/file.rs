//! A hive file whose base block, bins and cells were verified.

use crate::base_block::BaseBlock;
use crate::layout::{BASE_BLOCK, BIN_HEADER, BIN_UNIT, Cell, damaged, u32_at};
use crate::record::KeyRecord;
use crate::recovery::{Recovery, recover};
use crate::{Error, Key, Result};

/// A registry hive in memory, as its file holds it.
///
/// Opening verifies the base block and the chain of bins and cells; keys and values are verified when they are read.
#[derive(Debug)]
pub struct Hive {
    file: Vec<u8>,
    base: BaseBlock,
    cells: CellSet,
    recovery: Recovery,
}

impl Hive {
    /// Opens a hive with the contents of its logs (`.LOG`, `.LOG1`, `.LOG2`, those that exist).
    ///
    /// # Errors
    /// [`Error::Dirty`] when its last write was not completed and no log completes it.
    pub fn open(file: Vec<u8>, logs: &[&[u8]]) -> Result<Hive> {
        Hive::open_as(file, logs, false)
    }

    /// Like [`Hive::open`], but a hive that no log completes is opened as it is: what its last write changed may be
    /// there in part.
    pub fn open_dirty(file: Vec<u8>, logs: &[&[u8]]) -> Result<Hive> {
        Hive::open_as(file, logs, true)
    }

    fn open_as(mut file: Vec<u8>, logs: &[&[u8]], accept_dirty: bool) -> Result<Hive> {
        let recovery = recover(&mut file, logs, accept_dirty)?;
        let base = BaseBlock::read(&file)?;
        base.verify()?;
        let Some(bins) = file.get(BASE_BLOCK..BASE_BLOCK + base.bins_len()) else {
            return Err(Error::Damaged {
                offset: file.len() as u64,
                rule: "the file ends before its bins do",
            });
        };
        let cells = verify_bins(bins)?;
        Ok(Hive { file, base, cells, recovery })
    }

    /// The key that everything is below.
    pub fn root(&self) -> Result<Key<'_>> {
        Ok(Key::new(self, KeyRecord::read(self, self.base.root())?))
    }

    /// What was done to complete the last write.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// The minor version of the format, 3 to 6.
    pub fn minor_version(&self) -> u32 {
        self.base.minor()
    }

    /// The file's bytes, logs applied.
    pub fn as_bytes(&self) -> &[u8] {
        &self.file
    }

    pub(crate) fn base(&self) -> &BaseBlock {
        &self.base
    }

    /// How many cells are in use: no list has more entries.
    pub(crate) fn cell_count(&self) -> usize {
        self.cells.count
    }

    /// A set of cells for this hive, empty.
    pub(crate) fn no_cells(&self) -> CellSet {
        CellSet::new(self.base.bins_len())
    }

    /// The cell in use that begins at `offset`.
    pub(crate) fn cell(&self, offset: u32) -> Result<Cell<'_>> {
        if !self.cells.contains(offset) {
            return Err(damaged(
                offset,
                "something refers to a cell that is not in use or does not begin here",
            ));
        }
        let at = BASE_BLOCK + offset as usize;
        let len = u32_at(&self.file, at).wrapping_neg() as usize;
        Ok(Cell { offset, bytes: &self.file[at + 4..at + len] })
    }
}

/// Walks all bins and cells; gives the cells that are in use.
fn verify_bins(bins: &[u8]) -> Result<CellSet> {
    let mut used = CellSet::new(bins.len());
    let mut bin = 0;
    while bin < bins.len() {
        // the length of the bins is a multiple of the unit, so a header is always there
        let header = &bins[bin..bin + BIN_HEADER];
        let at = bin as u32;
        if !header.starts_with(b"hbin") {
            return Err(damaged(at, "a bin does not begin with the letters hbin"));
        }
        if u32_at(header, 4) != at {
            return Err(damaged(at, "a bin lies elsewhere than it says"));
        }
        let len = u32_at(header, 8) as usize;
        if len == 0 || !len.is_multiple_of(BIN_UNIT) || len > bins.len() - bin {
            return Err(damaged(at, "the length of a bin is no multiple of 4096 bytes, or beyond the end"));
        }
        let mut cell = bin + BIN_HEADER;
        while cell < bin + len {
            let size = u32_at(bins, cell) as i32;
            let cell_len = size.unsigned_abs() as usize;
            if cell_len < 8 || !cell_len.is_multiple_of(8) || cell_len > bin + len - cell {
                return Err(damaged(
                    cell as u32,
                    "the length of a cell is no multiple of 8, or beyond its bin",
                ));
            }
            if size < 0 {
                used.insert(cell as u32);
            }
            cell += cell_len;
        }
        bin += len;
    }
    Ok(used)
}

/// A set of cells, a bit for every eight bytes of the bins.
#[derive(Debug)]
pub(crate) struct CellSet {
    bits: Vec<u64>,
    count: usize,
}

impl CellSet {
    fn new(bins_len: usize) -> CellSet {
        CellSet { bits: vec![0; bins_len.div_ceil(8 * 64)], count: 0 }
    }

    fn contains(&self, offset: u32) -> bool {
        let bit = offset as usize / 8;
        offset.is_multiple_of(8) && self.bits.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// Adds a cell of the hive; `false` when it was in already.
    pub(crate) fn insert(&mut self, offset: u32) -> bool {
        let bit = offset as usize / 8;
        let word = &mut self.bits[bit / 64];
        let new = *word >> (bit % 64) & 1 == 0;
        *word |= 1 << (bit % 64);
        self.count += usize::from(new);
        new
    }
}
