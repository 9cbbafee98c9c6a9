//! The boot sector: the geometry that everything else is measured in.
//!
//! Only the fields that a reader needs are kept. Boot code and the fields that NTFS does not use are not looked at.

use crate::bytes::{slice_at, u16_at, u64_at};
use disk::{ByteSource, SECTOR};
use volume::{Error, Refusal, Result};

/// Largest cluster that Windows makes (since version 1709), in bytes.
const MAX_CLUSTER: u64 = 2 << 20;

/// The geometry of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot {
    /// Bytes in a cluster: a power of two from 512 to 2 MiB.
    pub cluster: u64,
    /// Bytes in a record of the $MFT: 1024, 2048 or 4096.
    pub record: usize,
    /// Bytes in an index block of a directory: a power of two from 512 to 64 KiB.
    pub index_block: usize,
    /// Sectors of the volume, without the backup boot sector that follows them.
    pub sectors: u64,
    /// Whole clusters of the volume.
    pub clusters: u64,
    /// Cluster in which the $MFT begins.
    pub mft: u64,
    /// Cluster in which $MFTMirr begins.
    pub mirror: u64,
    /// Volume serial number.
    pub serial: u64,
}

impl Boot {
    /// Reads and judges the boot sector of the volume that `source` holds.
    ///
    /// # Errors
    /// [`Refusal::BitLocker`], [`Refusal::NotThisFileSystem`], [`Refusal::SectorSize`]; [`Error::Corrupt`] when the
    /// geometry contradicts itself or the volume is longer than the source.
    pub fn read(source: &dyn ByteSource) -> Result<Boot> {
        if source.len() < SECTOR {
            return Err(not_ntfs());
        }
        let mut sector = [0; SECTOR as usize];
        source.read_exact_at(0, &mut sector)?;
        let boot = Boot::parse(&sector)?;
        if boot.len() > source.len() {
            return Err(corrupt(format!(
                "the volume is {} bytes long but its partition only {}",
                boot.len(),
                source.len()
            )));
        }
        Ok(boot)
    }

    /// Judges a boot sector by itself.
    pub fn parse(sector: &[u8; 512]) -> Result<Boot> {
        match &sector[3..11] {
            b"-FVE-FS-" => return Err(Refusal::BitLocker.into()),
            b"NTFS    " => {}
            _ => return Err(not_ntfs()),
        }
        let field16 = |at| u16_at(sector, at).unwrap_or_default();
        let field64 = |at| u64_at(sector, at).unwrap_or_default();
        let sector_size = u32::from(field16(0x0b));
        if u64::from(sector_size) != SECTOR {
            return Err(match sector_size {
                256 | 1024 | 2048 | 4096 => Refusal::SectorSize { bytes: sector_size }.into(),
                _ => not_ntfs(),
            });
        }
        // Above 0x80 the byte is a negative power of two: 0xf4 is 2^12 sectors (2 MiB clusters, Windows 10 1709).
        let per_cluster = match sector[0x0d] {
            count @ 1..=0x80 if count.is_power_of_two() => u64::from(count),
            negative @ 0xf4..=0xff => 1 << (256 - u32::from(negative)),
            other => return Err(corrupt(format!("{other} is no number of sectors per cluster"))),
        };
        let cluster = per_cluster * SECTOR;
        if cluster > MAX_CLUSTER {
            return Err(corrupt(format!("clusters of {cluster} bytes are larger than NTFS allows")));
        }
        let sectors = field64(0x28);
        if sectors == 0 || sectors > u64::MAX / SECTOR / 2 {
            return Err(corrupt(format!("{sectors} is no number of sectors")));
        }
        let clusters = sectors / per_cluster;
        let boot = Boot {
            cluster,
            record: unit(sector[0x40], cluster, 1024, 4096, "file record")?,
            index_block: unit(sector[0x44], cluster, 512, 65536, "index block")?,
            sectors,
            clusters,
            mft: field64(0x30),
            mirror: field64(0x38),
            serial: field64(0x48),
        };
        for (what, at) in [("$MFT", boot.mft), ("$MFTMirr", boot.mirror)] {
            if at == 0 || at >= clusters {
                return Err(corrupt(format!("{what} lies outside the volume, in cluster {at}")));
            }
        }
        Ok(boot)
    }

    /// Length of the volume in bytes, without the backup boot sector.
    pub fn len(&self) -> u64 {
        self.sectors * SECTOR
    }

    /// Never: a volume of no sectors is refused.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Bytes in whole clusters: what runs can point into.
    pub fn cluster_bytes(&self) -> u64 {
        self.clusters * self.cluster
    }
}

/// The size of a record or index block: a count of clusters, or as a negative number the power of two of the bytes.
fn unit(field: u8, cluster: u64, min: u64, max: u64, what: &str) -> Result<usize> {
    let bytes = match field.cast_signed() {
        shift @ -31..=-9 => 1u64 << -shift,
        count @ 1.. => u64::from(count.unsigned_abs()) * cluster,
        other => return Err(corrupt(format!("{other} is no size of a {what}"))),
    };
    if !bytes.is_power_of_two() || !(min..=max).contains(&bytes) {
        return Err(corrupt(format!("a {what} cannot have {bytes} bytes")));
    }
    Ok(bytes as usize)
}

fn not_ntfs() -> Error {
    Refusal::NotThisFileSystem { expected: "NTFS" }.into()
}

fn corrupt(what: String) -> Error {
    Error::Corrupt { what, place: "boot sector".into() }
}

/// Whether the backup boot sector, behind the last sector of the volume, is there and equal. `None` when the source
/// ends before it.
pub(crate) fn backup_matches(source: &dyn ByteSource, boot: &Boot) -> Result<Option<bool>> {
    if source.len() < boot.len() + SECTOR {
        return Ok(None);
    }
    let (mut first, mut last) = ([0u8; 512], [0u8; 512]);
    source.read_exact_at(0, &mut first)?;
    source.read_exact_at(boot.len(), &mut last)?;
    Ok(Some(slice_at(&first, 0, 0x54) == slice_at(&last, 0, 0x54)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector() -> [u8; 512] {
        let mut s = [0; 512];
        s[3..11].copy_from_slice(b"NTFS    ");
        s[0x0b..0x0d].copy_from_slice(&512u16.to_le_bytes());
        s[0x0d] = 8;
        s[0x28..0x30].copy_from_slice(&80_000u64.to_le_bytes());
        s[0x30] = 4;
        s[0x38] = 2;
        s[0x40] = 0xf6;
        s[0x44] = 1;
        s
    }

    #[test]
    fn ordinary_geometry_is_understood() {
        let boot = Boot::parse(&sector()).unwrap();
        assert_eq!((boot.cluster, boot.record, boot.index_block, boot.clusters), (4096, 1024, 4096, 10_000));
    }

    #[test]
    fn clusters_of_two_mebibytes_are_understood() {
        let mut s = sector();
        s[0x0d] = 0xf4;
        s[0x44] = 0xf4;
        s[0x30] = 1;
        s[0x38] = 3;
        let boot = Boot::parse(&s).unwrap();
        assert_eq!((boot.cluster, boot.index_block), (2 << 20, 4096));
    }

    #[test]
    fn bitlocker_and_large_sectors_are_refused_by_name() {
        let mut s = sector();
        s[3..11].copy_from_slice(b"-FVE-FS-");
        assert!(matches!(Boot::parse(&s), Err(Error::Refused(Refusal::BitLocker))));
        let mut s = sector();
        s[0x0c] = 0x10;
        assert!(matches!(Boot::parse(&s), Err(Error::Refused(Refusal::SectorSize { bytes: 4096 }))));
        assert!(matches!(Boot::parse(&[0; 512]), Err(Error::Refused(Refusal::NotThisFileSystem { .. }))));
    }

    #[test]
    fn a_table_outside_the_volume_is_corrupt() {
        let mut s = sector();
        s[0x30..0x38].copy_from_slice(&10_000u64.to_le_bytes());
        assert!(matches!(Boot::parse(&s), Err(Error::Corrupt { .. })));
    }
}
