//! The volume's own table of upper-case letters ($UpCase) and the order of names that follows from it.
//!
//! Every volume carries the table of the Windows version that formatted it; comparing with any other would find
//! names equal, or sort them, as that Windows does not.

use crate::attribute::code;
use crate::bytes;
use crate::mft::{Mft, corrupt, system};
use std::cmp::Ordering;
use volume::Result;

/// Code units in the table: one for each 16-bit value.
pub(crate) const UNITS: usize = 1 << 16;

/// Loads $UpCase. A table of any other length than 128 KiB is refused.
pub(crate) fn load(mft: &Mft<'_>) -> Result<Box<[u16]>> {
    let owned = mft.inode(system::UPCASE)?;
    let attributes = owned.attributes()?;
    let table = owned
        .inode(&attributes)
        .value(mft, code::DATA, &[], UNITS as u64 * 2)?
        .filter(|table| table.len() == UNITS * 2)
        .ok_or_else(|| corrupt(system::UPCASE, "$UpCase is not 128 KiB long"))?;
    Ok(bytes::units(&table).collect())
}

/// The order of an index of file names (COLLATION_FILE_NAME): upcased unit by unit, and among names that differ only
/// in case by the units themselves. Names are UTF-16LE.
pub(crate) fn collate(upcase: &[u16], a: &[u8], b: &[u8]) -> Ordering {
    let fold = |unit: u16| upcase.get(usize::from(unit)).copied().unwrap_or(unit);
    bytes::units(a)
        .map(fold)
        .cmp(bytes::units(b).map(fold))
        .then_with(|| bytes::units(a).cmp(bytes::units(b)))
}

/// Whether two names (UTF-16LE) are one to Windows.
pub(crate) fn equal_ignoring_case(upcase: &[u16], a: &[u8], b: &[u8]) -> bool {
    let fold = |unit: u16| upcase.get(usize::from(unit)).copied().unwrap_or(unit);
    a.len() == b.len() && bytes::units(a).map(fold).eq(bytes::units(b).map(fold))
}
