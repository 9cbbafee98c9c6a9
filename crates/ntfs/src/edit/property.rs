//! The properties of a node as attributes.

use super::library::attribute_type as kind;
use volume::{Error, Metadata, Property, Result, Security};

/// The name of the $LOGGED_UTILITY_STREAM with the keys of an encrypted file.
pub(super) const EFS: &[u16] = &[b'$' as u16, b'E' as u16, b'F' as u16, b'S' as u16];

/// `FILE_ATTRIBUTE_*` bits that say what other attributes say better; they follow those.
pub(super) mod file_attribute {
    pub(crate) const DIRECTORY: u32 = 0x10;
    pub(crate) const SPARSE: u32 = 0x200;
    pub(crate) const REPARSE_POINT: u32 = 0x400;
    pub(crate) const ENCRYPTED: u32 = 0x4000;
    /// $FILE_NAME's copies of "has a name index" and "has a view index".
    pub(crate) const INDEXES: u32 = 0x3000_0000;
}

/// The properties of one node, checked.
#[derive(Debug, Default)]
pub(super) struct Properties<'a> {
    pub(super) reparse: Option<&'a [u8]>,
    pub(super) object_id: Option<&'a [u8]>,
    pub(super) extended_attributes: Option<&'a [u8]>,
    pub(super) efs: Option<&'a [u8]>,
    /// The value of $EA_INFORMATION that belongs to the extended attributes.
    pub(super) ea_information: [u8; 8],
}

impl<'a> Properties<'a> {
    /// Takes the properties apart; refuses those that NTFS cannot hold.
    pub(super) fn of(metadata: &'a Metadata) -> Result<Properties<'a>> {
        let refuse = |what: &str, reason: &str| {
            Err(Error::NotExpressible { what: what.to_owned(), reason: reason.to_owned() })
        };
        if let Security::Posix { .. } = metadata.security {
            return refuse("a POSIX owner and mode", "NTFS has security descriptors");
        }
        if let Security::Descriptor(descriptor) = &metadata.security
            && !super::security::DESCRIPTOR_BYTES.contains(&descriptor.len())
        {
            return refuse("a security descriptor", "its length is impossible");
        }
        let mut found = Properties::default();
        for property in &metadata.properties {
            let (slot, value, what) = match property {
                Property::Reparse(value) => (&mut found.reparse, value, "a reparse point"),
                Property::ExtendedAttributes(value) => {
                    (&mut found.extended_attributes, value, "extended attributes")
                }
                Property::ObjectId(value) => (&mut found.object_id, value, "an object id"),
                Property::Efs(value) => (&mut found.efs, value, "EFS keys"),
                Property::Xattr { name, .. } => {
                    let name = String::from_utf8_lossy(name);
                    return refuse(&format!("the extended attribute {name}"), "it is one of a POSIX system");
                }
            };
            if slot.replace(value).is_some() {
                return refuse(what, "the node has it twice");
            }
        }
        // [MS-FSCC] 2.1.2: tag, length of the data, reserved; at most 16 KiB of data.
        if found.reparse.is_some_and(|value| !(8..=16 * 1024 + 24).contains(&value.len())) {
            return refuse("a reparse point", "its length is impossible");
        }
        if found.object_id.is_some_and(|value| !(16..=64).contains(&value.len())) {
            return refuse("an object id", "its length is impossible");
        }
        if let Some(value) = found.extended_attributes {
            let Some(information) = ea_information(value) else {
                return refuse("extended attributes", "their entries contradict each other");
            };
            found.ea_information = information;
        }
        Ok(found)
    }

    /// What directories repeat of them.
    pub(super) fn tag_or_ea(&self) -> u32 {
        match (self.reparse, self.extended_attributes) {
            (Some(value), _) => u32::from_le_bytes(value[..4].try_into().expect("checked: at least 8 bytes")),
            (None, Some(_)) => {
                u32::from(u16::from_le_bytes([self.ea_information[0], self.ea_information[1]]))
            }
            (None, None) => 0,
        }
    }

    /// The attributes that hold them: type, name, value, and whether the value may leave the record.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (u32, &'static [u16], &[u8], bool)> {
        let information = self.extended_attributes.map(|_| &self.ea_information[..]);
        let none: &'static [u16] = &[];
        [
            (kind::OBJECT_ID, none, self.object_id, false),
            (kind::REPARSE_POINT, none, self.reparse, true),
            (kind::EA_INFORMATION, none, information, false),
            (kind::EA, none, self.extended_attributes, true),
            (kind::LOGGED_UTILITY_STREAM, EFS, self.efs, true),
        ]
        .into_iter()
        .filter_map(|(kind, name, value, movable)| Some((kind, name, value?, movable)))
    }
}

/// $EA_INFORMATION for a chain of FILE_FULL_EA_INFORMATION entries: packed length, entries that a reader must
/// understand, unpacked length. `None` when the chain is broken.
fn ea_information(value: &[u8]) -> Option<[u8; 8]> {
    const NEED_EA: u8 = 0x80;
    let (mut at, mut packed, mut needed) = (0_usize, 0_usize, 0_u16);
    loop {
        let entry = value.get(at..)?;
        let header: &[u8; 8] = entry.first_chunk()?;
        let next = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let content = usize::from(header[5]) + 1 + usize::from(u16::from_le_bytes([header[6], header[7]]));
        entry.get(..8 + content)?;
        packed += 4 + content;
        needed += u16::from(header[4] & NEED_EA != 0);
        // On disk the last entry points behind itself, in memory it may say 0.
        if next == 0 || at + next >= value.len() {
            break;
        }
        if next < 8 + content {
            return None;
        }
        at += next;
    }
    let mut information = [0; 8];
    information[0..2].copy_from_slice(&u16::try_from(packed).ok()?.to_le_bytes());
    information[2..4].copy_from_slice(&needed.to_le_bytes());
    information[4..8].copy_from_slice(&u32::try_from(value.len()).ok()?.to_le_bytes());
    Some(information)
}
