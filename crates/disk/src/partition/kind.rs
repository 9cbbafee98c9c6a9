//! Types of partitions and their names.

use std::fmt;
use uuid::{Uuid, uuid};

/// EFI system partition.
pub const GPT_EFI_SYSTEM: Uuid = uuid!("C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
/// Microsoft reserved partition.
pub const GPT_MICROSOFT_RESERVED: Uuid = uuid!("E3C9E316-0B5C-4DB8-817D-F92DF00215AE");
/// Windows volumes.
pub const GPT_BASIC_DATA: Uuid = uuid!("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7");
/// Windows recovery environment.
pub const GPT_WINDOWS_RECOVERY: Uuid = uuid!("DE94BBA4-06D1-4D40-A16A-BFD50179D6AC");
/// Linux file systems.
pub const GPT_LINUX: Uuid = uuid!("0FC63DAF-8483-4772-8E79-3D69D8477DE4");

/// MBR type of NTFS and exFAT volumes.
pub const MBR_NTFS: u8 = 0x07;
/// MBR type of the Windows recovery environment.
pub const MBR_WINDOWS_RECOVERY: u8 = 0x27;
/// MBR type of Linux file systems.
pub const MBR_LINUX: u8 = 0x83;

const GPT_NAMES: &[(Uuid, &str)] = &[
    (GPT_EFI_SYSTEM, "EFI system partition"),
    (GPT_MICROSOFT_RESERVED, "Microsoft reserved"),
    (GPT_BASIC_DATA, "basic data"),
    (GPT_WINDOWS_RECOVERY, "Windows recovery"),
    (uuid!("5808C8AA-7E8F-42E0-85D2-E1E90434CFB3"), "dynamic disk metadata"),
    (uuid!("AF9B60A0-1431-4F62-BC68-3311714A69AD"), "dynamic disk data"),
    (uuid!("E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D"), "storage spaces"),
    (uuid!("21686148-6449-6E6F-744E-656564454649"), "BIOS boot"),
    (GPT_LINUX, "Linux"),
    (uuid!("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"), "Linux root (x86-64)"),
    (uuid!("BC13C2FF-59E6-4262-A352-B275FD6F7172"), "Linux extended boot"),
    (uuid!("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"), "Linux swap"),
    (uuid!("E6D6D379-F507-44C2-A23C-238F2A3DF928"), "Linux LVM"),
];

const MBR_NAMES: &[(u8, &str)] = &[
    (0x01, "FAT12"),
    (0x04, "FAT16"),
    (0x06, "FAT16"),
    (MBR_NTFS, "NTFS or exFAT"),
    (0x0b, "FAT32"),
    (0x0c, "FAT32"),
    (0x0e, "FAT16"),
    (MBR_WINDOWS_RECOVERY, "Windows recovery"),
    (0x42, "dynamic disk"),
    (0x82, "Linux swap"),
    (MBR_LINUX, "Linux"),
    (0x8e, "Linux LVM"),
    (0xef, "EFI system partition"),
];

/// What a partition is for, as its table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartitionKind {
    /// The type GUID of a GPT entry.
    Gpt(Uuid),
    /// The type byte of an MBR entry.
    Mbr(u8),
    /// There is no table: the file system takes the whole disk.
    WholeDisk,
}

impl PartitionKind {
    /// What this type is called, if it is a known one.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            PartitionKind::Gpt(guid) => {
                GPT_NAMES.iter().find(|(known, _)| known == guid).map(|known| known.1)
            }
            PartitionKind::Mbr(byte) => {
                MBR_NAMES.iter().find(|(known, _)| known == byte).map(|known| known.1)
            }
            PartitionKind::WholeDisk => Some("whole disk"),
        }
    }

    /// Whether this is a Windows recovery partition.
    pub fn is_recovery(&self) -> bool {
        matches!(*self, PartitionKind::Gpt(GPT_WINDOWS_RECOVERY) | PartitionKind::Mbr(MBR_WINDOWS_RECOVERY))
    }
}

/// The name of the type, or its number where it has none.
impl fmt::Display for PartitionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self) {
            (Some(name), _) => f.write_str(name),
            (None, PartitionKind::Gpt(guid)) => write!(f, "type {guid:X}"),
            (None, PartitionKind::Mbr(byte)) => write!(f, "type 0x{byte:02x}"),
            (None, PartitionKind::WholeDisk) => f.write_str("whole disk"),
        }
    }
}
