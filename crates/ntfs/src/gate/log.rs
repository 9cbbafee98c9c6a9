//! The restart areas of $LogFile: whether the log was closed.
//!
//! ```text
//!  page 0, page 1   "RSTR" restart page ── restart area ── clients (NTFS is the only one)
//!  page 2 ..        "RCRD" log records
//! ```
//!
//! The two restart pages are written in turn; the one with the higher log sequence number counts. A log is closed when
//! no client is in use, or when the area says that the volume is clean. A log of version 2.0 (Windows 8 and later)
//! keeps metadata out of place and is turned back to 1.1 by a full shutdown: found open it was fast start-up,
//! hibernation or a power cut.

use super::log_corrupt;
use crate::attribute::code;
use crate::bytes::{u16_at, u32_at, u64_at};
use crate::content::Extents;
use crate::mft::{Mft, system};
use crate::record::apply_fixup;
use disk::ByteSource;
use volume::{Refusal, Result};

/// Restart area flag: the volume was dismounted.
const VOLUME_IS_CLEAN: u16 = 0x0002;
/// No client in the list of clients in use.
const NO_CLIENT: u16 = 0xffff;
/// Log pages are never smaller; a restart page begins with this much at most.
const MIN_PAGE: u64 = 512;
/// Largest page that a restart page may announce, bytes.
const MAX_PAGE: u64 = 64 << 10;

/// What a restart page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Restart {
    /// Major and minor version of the log.
    version: (u16, u16),
    lsn: u64,
    /// A client has the log open.
    open: bool,
    clean: bool,
}

/// Refuses a volume whose log was not closed.
pub(super) fn check(mft: &Mft<'_>) -> Result<()> {
    let owned = mft.inode(system::LOG_FILE)?;
    let attributes = owned.attributes()?;
    let place = owned
        .inode(&attributes)
        .placement(mft, code::DATA, &[])?
        .ok_or_else(|| log_corrupt("it has no contents"))?;
    let valid = place.valid;
    judge(&LogContents { source: mft.source, extents: Extents::new(place.runs), valid })
}

struct LogContents<'s> {
    source: &'s dyn ByteSource,
    extents: Extents,
    valid: u64,
}

impl LogContents<'_> {
    /// Up to `len` bytes from `offset`; fewer at the end.
    fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len.min(self.valid.saturating_sub(offset)) as usize];
        self.extents.read_at(self.source, offset, &mut bytes)?;
        Ok(bytes)
    }
}

fn judge(log: &LogContents<'_>) -> Result<()> {
    if is_empty(log)? {
        return Ok(());
    }
    let Some(restart) = current(log)? else {
        return Err(log_corrupt("neither restart page of the log is valid"));
    };
    match restart.version {
        (1, 1) | (2, 0) => {}
        (major, minor) => {
            return Err(Refusal::Feature { feature: format!("$LogFile version {major}.{minor}") }.into());
        }
    }
    if !restart.open || restart.clean {
        return Ok(());
    }
    if restart.version == (2, 0) {
        let evidence = "$LogFile has version 2.0 and was left open".into();
        return Err(Refusal::Hibernated { evidence }.into());
    }
    Err(Refusal::UncleanLog.into())
}

/// A log that was wiped (all 0xff, as mkntfs and chkdsk leave it) has no restart pages and nothing to apply. Pages at
/// doubling distances tell a wiped log from one that only lost its first page.
fn is_empty(log: &LogContents<'_>) -> Result<bool> {
    let mut offset = 0;
    while offset < log.valid {
        if log.read(offset, 4)? != [0xff; 4] {
            return Ok(false);
        }
        offset = (offset * 2).max(4096);
    }
    Ok(true)
}

/// The restart page that counts.
fn current(log: &LogContents<'_>) -> Result<Option<Restart>> {
    let first = page(log, 0)?;
    let size = first.map_or(4096, |(_, size)| size);
    let second = page(log, size)?;
    Ok(first.into_iter().chain(second).map(|(restart, _)| restart).max_by_key(|restart| restart.lsn))
}

/// The restart page at `offset` and its size, if there is one.
fn page(log: &LogContents<'_>, offset: u64) -> Result<Option<(Restart, u64)>> {
    let head = log.read(offset, MIN_PAGE)?;
    let size = u32_at(&head, 0x10).map(u64::from).unwrap_or_default();
    if !size.is_power_of_two() || !(MIN_PAGE..=MAX_PAGE).contains(&size) {
        return Ok(None);
    }
    Ok(parse(&mut log.read(offset, size)?).map(|restart| (restart, size)))
}

/// Reads a restart page. `CHKD` is the signature that chkdsk leaves.
pub(crate) fn parse(page: &mut [u8]) -> Option<Restart> {
    if apply_fixup(page, b"RSTR").is_err() {
        apply_fixup(page, b"CHKD").ok()?;
    }
    let version = (u16_at(page, 0x1c)?, u16_at(page, 0x1a)?);
    let area = page.get(usize::from(u16_at(page, 0x18)?)..)?;
    let flags = u16_at(area, 0x0e)?;
    Some(Restart {
        version,
        lsn: u64_at(area, 0)?,
        open: u16_at(area, 0x0c)? != NO_CLIENT,
        clean: flags & VOLUME_IS_CLEAN != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use volume::Error;

    struct Bytes(Vec<u8>);

    impl ByteSource for Bytes {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
            buf.copy_from_slice(&self.0[offset as usize..][..buf.len()]);
            Ok(())
        }
    }

    fn judged(bytes: Vec<u8>) -> Result<()> {
        let len = bytes.len() as u64;
        let extents = Extents::new(vec![volume::Run { at: Some(0), len }]);
        judge(&LogContents { source: &Bytes(bytes), extents, valid: len })
    }

    fn restart_page(version: (u16, u16), lsn: u64, client: u16, flags: u16) -> Vec<u8> {
        let mut page = vec![0u8; 4096];
        page[..4].copy_from_slice(b"RSTR");
        page[4] = 0x1e;
        page[6] = 9;
        page[0x10..0x14].copy_from_slice(&4096u32.to_le_bytes());
        page[0x14..0x18].copy_from_slice(&4096u32.to_le_bytes());
        page[0x18] = 0x30;
        page[0x1a..0x1c].copy_from_slice(&version.1.to_le_bytes());
        page[0x1c..0x1e].copy_from_slice(&version.0.to_le_bytes());
        page[0x30..0x38].copy_from_slice(&lsn.to_le_bytes());
        page[0x3c..0x3e].copy_from_slice(&client.to_le_bytes());
        page[0x3e..0x40].copy_from_slice(&flags.to_le_bytes());
        page
    }

    fn log(first: Vec<u8>, second: Vec<u8>) -> Vec<u8> {
        [first, second, vec![0xff; 4096 * 2]].concat()
    }

    #[test]
    fn a_wiped_log_is_clean() {
        judged(vec![0xff; 1 << 16]).unwrap();
    }

    #[test]
    fn the_younger_restart_page_counts() {
        let open = |lsn| restart_page((1, 1), lsn, 0, 0);
        let closed = |lsn| restart_page((1, 1), lsn, NO_CLIENT, VOLUME_IS_CLEAN);
        judged(log(open(5), closed(6))).unwrap();
        let refused = judged(log(open(7), closed(6)));
        assert!(matches!(refused, Err(Error::Refused(Refusal::UncleanLog))), "{refused:?}");
    }

    #[test]
    fn an_open_log_of_version_2_is_fast_start_up() {
        let page = restart_page((2, 0), 9, 0, 0);
        let refused = judged(log(page.clone(), page));
        assert!(matches!(refused, Err(Error::Refused(Refusal::Hibernated { .. }))), "{refused:?}");
    }

    #[test]
    fn a_torn_first_page_leaves_the_second_to_speak() {
        let mut torn = restart_page((1, 1), 9, 0, 0);
        torn[510] = 1;
        judged(log(torn.clone(), restart_page((1, 1), 8, NO_CLIENT, 0))).unwrap();
        assert!(matches!(judged(log(torn.clone(), torn)), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn a_version_nobody_knows_is_refused() {
        let page = restart_page((3, 0), 9, NO_CLIENT, VOLUME_IS_CLEAN);
        assert!(matches!(judged(log(page.clone(), page)), Err(Error::Refused(Refusal::Feature { .. }))));
    }
}
