//! QCOW2 (QEMU, docs/interop/qcow2.txt), versions 2 and 3. Big endian.
//!
//! Read by us where all is in the file and deflate is all that compresses; qemu-img converts the rest: backing files and
//! external data (if allowed), zstd, subclusters. Either way our own look at header and tables comes first: QEMU reads
//! what lies behind the end of a truncated file as zeros. Written by us: version 3, 64 KiB clusters, not compressed.
//!
//! Deliberately missing: encryption, internal snapshots (the current state is read), dirty bitmaps.

mod check;
mod read;
mod write;

pub(super) use check::backing_name;
pub(super) use read::open;
pub(super) use write::ClusterLayout;

const MAGIC: &[u8; 4] = b"QFI\xfb";
/// Entry flag: the cluster is used once and may be written in place.
const COPIED: u64 = 1 << 63;
/// Entry flag of level 2: the cluster is compressed.
const COMPRESSED: u64 = 1 << 62;
/// Entry flag of level 2, from version 3 on: the cluster reads as zeros.
const ZERO: u64 = 1;
/// Bits of an entry that are a file offset.
const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;

/// Where the data of a compressed cluster is, by its level 2 entry: file offset and length in bytes, the latter rounded
/// up to where a 512-byte sector of the file ends.
fn compressed_range(entry: u64, cluster_bits: u32) -> (u64, u64) {
    // The offset is in the low bits, the number of further sectors in those up to the flags.
    let offset_bits = 62 - (cluster_bits - 8);
    let at = entry & ((1 << offset_bits) - 1);
    let further = (entry & (COMPRESSED - 1)) >> offset_bits;
    (at, (further + 1) * 512 - at % 512)
}
