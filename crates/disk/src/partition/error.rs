//! What can go wrong with partition tables.

use operation::Explain;
use std::io;

/// Why a partition table could not be read, written or changed.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// Reading or writing the disk failed.
    #[error("cannot access the disk: {0}")]
    Io(#[from] io::Error),
    /// There is neither a table nor a file system that Lamina knows.
    #[error("the disk has no partition table, and no file system begins at its start")]
    NotPartitioned,
    /// The disk has 4096-byte logical sectors.
    #[error("the disk has 4096-byte sectors (4Kn): its partition table begins at byte 4096")]
    FourKn,
    /// On-disk structures contradict each other or their specification.
    #[error("the partition table is damaged: {what}")]
    Damaged {
        /// Which rule is broken, where.
        what: String,
    },
    /// A partition reaches beyond the end of the disk.
    #[error("partition {number} ends at byte {end}, but the disk has only {len} bytes")]
    BeyondDisk {
        /// Which partition.
        number: u32,
        /// First byte after the partition.
        end: u64,
        /// Length of the disk, bytes.
        len: u64,
    },
    /// No partition has this number.
    #[error("the disk has no partition {number}")]
    NoSuchPartition {
        /// The number asked for.
        number: u32,
    },
    /// A partition lies behind the one to grow, and nothing was said about it.
    #[error("partition {number} cannot grow: partition {behind} ({kind}, {len} bytes) lies behind it")]
    InTheWay {
        /// The partition to grow.
        number: u32,
        /// The partition behind it.
        behind: u32,
        /// What that is.
        kind: String,
        /// Its length, bytes.
        len: u64,
    },
    /// A partition was to be dropped that is not a recovery partition.
    #[error("partition {number} is not dropped: it is no recovery partition ({kind})")]
    NotRecovery {
        /// The partition.
        number: u32,
        /// What it is.
        kind: String,
    },
    /// The table has an extended partition.
    #[error("an MBR disk with an extended partition cannot be grown")]
    LogicalPartitions,
    /// Besides the protective entry there are others, which would have to be kept equal to the GPT.
    #[error("a disk with a hybrid MBR cannot be grown")]
    HybridMbr,
    /// An MBR cannot say where something lies beyond 2 TiB.
    #[error("an MBR disk cannot have {len} bytes: 2 TiB is the most that its partition table can describe")]
    MbrLimit {
        /// The length asked for, bytes.
        len: u64,
    },
    /// A disk was to get shorter.
    #[error("the disk has {len} bytes and is not shortened to {new_len}")]
    Shrink {
        /// Length of the disk, bytes.
        len: u64,
        /// The length asked for, bytes.
        new_len: u64,
    },
    /// A length that is no whole number of sectors.
    #[error("a disk cannot have {len} bytes: that is no whole number of 512-byte sectors")]
    NotWholeSectors {
        /// The length asked for, bytes.
        len: u64,
    },
    /// A table that cannot be written.
    #[error("the partition table cannot be written: {what}")]
    NotExpressible {
        /// Which partition or field, and why.
        what: String,
    },
}

impl Explain for PartitionError {
    fn code(&self) -> &'static str {
        match self {
            PartitionError::Io(_) => "disk-access",
            PartitionError::NotPartitioned => "disk-not-partitioned",
            PartitionError::FourKn => "disk-4kn",
            PartitionError::Damaged { .. } => "partition-table-damaged",
            PartitionError::BeyondDisk { .. } => "partition-beyond-disk",
            PartitionError::NoSuchPartition { .. } => "partition-not-found",
            PartitionError::InTheWay { .. } => "partition-in-the-way",
            PartitionError::NotRecovery { .. } => "partition-not-recovery",
            PartitionError::LogicalPartitions => "partition-logical",
            PartitionError::HybridMbr => "partition-hybrid-mbr",
            PartitionError::MbrLimit { .. } => "disk-beyond-mbr",
            PartitionError::Shrink { .. } => "disk-shrink",
            PartitionError::NotWholeSectors { .. } => "disk-length",
            PartitionError::NotExpressible { .. } => "partition-not-expressible",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            PartitionError::NotPartitioned => {
                "Check that this is the disk image itself, not an archive of it or an encrypted disk."
            }
            PartitionError::FourKn => "Copy the system to a disk with 512-byte logical sectors (512e).",
            PartitionError::BeyondDisk { .. } => {
                "The image is probably truncated: compare its length with the original's."
            }
            PartitionError::InTheWay { .. } => {
                "Say --recovery move to move the partition behind to the end of the disk or, if it is a recovery \
                 partition, --recovery drop to leave it out."
            }
            PartitionError::NotRecovery { .. } => "Choose to move it to the end of the disk instead.",
            PartitionError::MbrLimit { .. } => {
                "Choose at most 2 TiB, or convert the disk to GPT (mbr2gpt) and import it again."
            }
            PartitionError::HybridMbr => {
                "Replace the hybrid MBR by a protective one and import the disk again."
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
