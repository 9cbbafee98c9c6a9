//! The first 4096 bytes of a hive.

use crate::layout::{BASE_BLOCK, BIN_UNIT, LONGEST, put_u32, u32_at, u64_at};
use crate::{Error, Result};

/// Bytes of the part that is backed up in logs and that the checksum covers.
pub(crate) const HEAD: usize = 512;

/// The first block of a hive, kept as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseBlock(Box<[u8]>);

impl BaseBlock {
    /// The base block that begins this file.
    pub(crate) fn read(file: &[u8]) -> Result<BaseBlock> {
        if !file.starts_with(b"regf") {
            return Err(Error::NotAHive { reason: "it does not begin with the letters regf" });
        }
        let Some(block) = file.get(..BASE_BLOCK) else {
            return Err(Error::NotAHive { reason: "it is shorter than the first block of a hive" });
        };
        Ok(BaseBlock(block.into()))
    }

    /// A block for a new hive with this minor version.
    pub(crate) fn new(minor: u32) -> BaseBlock {
        let mut block = vec![0; BASE_BLOCK].into_boxed_slice();
        block[..4].copy_from_slice(b"regf");
        for (at, number) in [(4, 1), (8, 1), (20, 1), (24, minor), (32, 1), (44, 1)] {
            put_u32(&mut block, at, number);
        }
        BaseBlock(block)
    }

    /// Refuses what is no primary file of a known version.
    pub(crate) fn verify(&self) -> Result<()> {
        let unsupported = |what: String| Err(Error::Unsupported { what });
        if self.number(20) != 1 || !(3..=6).contains(&self.minor()) {
            return unsupported(format!("version {}.{}", self.number(20), self.minor()));
        }
        if self.number(28) != 0 {
            return unsupported(format!("file type {} (it is a log, no hive)", self.number(28)));
        }
        if self.number(32) != 1 {
            return unsupported(format!("file format {}", self.number(32)));
        }
        let bins = self.bins_len();
        if bins == 0 || !bins.is_multiple_of(BIN_UNIT) || bins > LONGEST {
            return Err(Error::Damaged {
                offset: 40,
                rule: "the length of the bins is no multiple of 4096 bytes",
            });
        }
        Ok(())
    }

    /// Whether the last write was completed.
    pub(crate) fn is_clean(&self) -> bool {
        self.has_valid_checksum() && self.primary() == self.secondary()
    }

    pub(crate) fn has_valid_checksum(&self) -> bool {
        checksum(&self.0) == self.number(508)
    }

    /// The sequence number that the last write began with.
    pub(crate) fn primary(&self) -> u32 {
        self.number(4)
    }

    /// The sequence number of the last write that was completed.
    pub(crate) fn secondary(&self) -> u32 {
        self.number(8)
    }

    /// Time of the last write, 100 ns since 1601. Zero since Windows 8.1.
    pub(crate) fn last_written(&self) -> u64 {
        u64_at(&self.0, 12)
    }

    pub(crate) fn minor(&self) -> u32 {
        self.number(24)
    }

    /// Offset of the root key's cell.
    pub(crate) fn root(&self) -> u32 {
        self.number(36)
    }

    /// Bytes of all bins.
    pub(crate) fn bins_len(&self) -> usize {
        self.number(40) as usize
    }

    /// Copies what a log backs up over this block.
    pub(crate) fn restore(&mut self, head: &[u8]) {
        self.0[..HEAD].copy_from_slice(&head[..HEAD]);
        put_u32(&mut self.0, 28, 0);
    }

    /// Says that write number `sequence` was completed with these bins.
    pub(crate) fn complete(&mut self, sequence: u32, root: u32, bins_len: u32) {
        for (at, number) in [(4, sequence), (8, sequence), (36, root), (40, bins_len)] {
            put_u32(&mut self.0, at, number);
        }
        let sum = checksum(&self.0);
        put_u32(&mut self.0, 508, sum);
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn number(&self, at: usize) -> u32 {
        u32_at(&self.0, at)
    }
}

/// The checksum of the first 508 bytes; 0 and -1 are never stored.
pub(crate) fn checksum(head: &[u8]) -> u32 {
    match (0..508).step_by(4).fold(0, |sum, at| sum ^ u32_at(head, at)) {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        sum => sum,
    }
}
