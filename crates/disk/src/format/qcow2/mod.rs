//! QCOW2 (QEMU, docs/interop/qcow2.txt), versions 2 and 3. Big endian.
//!
//! Read with the imago crate, after our own look at header and tables: imago, like QEMU, reads what lies behind the
//! end of a truncated file as zeros. What imago does not know (zstd clusters, subclusters) is converted by qemu-img.
//! Written by us: version 3, 64 KiB clusters, nothing compressed.
//!
//! Deliberately missing: encryption, internal snapshots (the current state is read), dirty bitmaps.

mod check;
mod read;
mod write;

pub(super) use read::open;
pub(super) use write::ClusterLayout;

const MAGIC: &[u8; 4] = b"QFI\xfb";
/// Entry flag: the cluster is used once and may be written in place.
const COPIED: u64 = 1 << 63;
/// Entry flag of level 2: the cluster is compressed.
const COMPRESSED: u64 = 1 << 62;
/// Bits of an entry that are a file offset.
const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
