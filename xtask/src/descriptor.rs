//! Security descriptors for generated files and keys: self-relative, as [MS-DTYP] 2.4.6 lays them out.

/// SYSTEM, the owner and group of everything here.
const SYSTEM: [u32; 1] = [18];
/// BUILTIN\Administrators.
const ADMINISTRATORS: [u32; 2] = [32, 544];

/// BUILTIN\Users.
const USERS: [u32; 2] = [32, 545];

const FULL_CONTROL: u32 = 0x001F_01FF;
const READ_AND_EXECUTE: u32 = 0x0012_00A9;
const KEY_ALL_ACCESS: u32 = 0x000F_003F;
const KEY_READ: u32 = 0x0002_0019;

/// SE_SELF_RELATIVE and SE_DACL_PRESENT.
const CONTROL: u16 = 0x8004;

/// Full control for SYSTEM and Administrators, read and execute for one group of a domain.
pub(crate) fn for_group(group: u32) -> Vec<u8> {
    let group = [21, 1_004_336_348, 1_177_238_915, 682_003_330, group];
    allowing(&[(FULL_CONTROL, &SYSTEM), (FULL_CONTROL, &ADMINISTRATORS), (READ_AND_EXECUTE, &group)])
}

/// What most keys of the registry have: full control for SYSTEM and Administrators, reading for users.
pub(crate) fn for_key() -> Vec<u8> {
    allowing(&[(KEY_ALL_ACCESS, &SYSTEM), (KEY_ALL_ACCESS, &ADMINISTRATORS), (KEY_READ, &USERS)])
}

/// SYSTEM's descriptor with these entries.
fn allowing(entries: &[(u32, &[u32])]) -> Vec<u8> {
    let count = entries.len() as u16;
    let entries: Vec<u8> = entries.iter().flat_map(|(mask, identity)| allow(*mask, identity)).collect();
    let list_bytes = 8 + entries.len();
    let owner = sid(&SYSTEM);
    let owner_at = 20 + list_bytes;

    let mut bytes = vec![1, 0];
    bytes.extend(CONTROL.to_le_bytes());
    for offset in [owner_at, owner_at + owner.len(), 0, 20] {
        bytes.extend((offset as u32).to_le_bytes());
    }
    bytes.extend([2, 0]); // revision of the list
    bytes.extend((list_bytes as u16).to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(0u16.to_le_bytes());
    bytes.extend(entries);
    bytes.extend(&owner);
    bytes.extend(&owner);
    bytes
}

/// An entry that allows `mask` to the identity, not inherited.
fn allow(mask: u32, identity: &[u32]) -> Vec<u8> {
    let sid = sid(identity);
    let mut bytes = vec![0, 0];
    bytes.extend(((8 + sid.len()) as u16).to_le_bytes());
    bytes.extend(mask.to_le_bytes());
    bytes.extend(sid);
    bytes
}

/// A security identifier of the NT authority (5).
fn sid(parts: &[u32]) -> Vec<u8> {
    let mut bytes = vec![1, parts.len() as u8, 0, 0, 0, 0, 0, 5];
    for part in parts {
        bytes.extend(part.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_of_a_descriptor_points_at_what_it_names() {
        let bytes = for_group(1000);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let (owner, group, list) = (word(4), word(8), word(16));
        assert_eq!(&bytes[owner..group], sid(&SYSTEM));
        assert_eq!(&bytes[group..], sid(&SYSTEM));
        let list_bytes = usize::from(u16::from_le_bytes([bytes[list + 2], bytes[list + 3]]));
        assert_eq!(list + list_bytes, owner);
        assert_ne!(for_group(1001), bytes);
    }
}
