//! What Lamina relies on beyond the declarations: sizes and offsets of on-disk structures (bindgen's own layout checks
//! compare with the compiler, these with the NTFS documentation), and the library's flag bits that are macros in C and
//! so have no declaration of their own.

use ntfs_sys as sys;
use std::mem::{offset_of, size_of};

#[test]
fn on_disk_structures_have_the_documented_sizes() {
    assert_eq!(size_of::<sys::FILE_NAME_ATTR>(), 66, "$FILE_NAME up to the name");
    assert_eq!(size_of::<sys::NTFS_BOOT_SECTOR>(), 512);
    assert_eq!(offset_of!(sys::MFT_RECORD, sequence_number), 16);
    assert_eq!(offset_of!(sys::MFT_RECORD, link_count), 18);
    assert_eq!(offset_of!(sys::MFT_RECORD, flags), 22);
    assert_eq!(offset_of!(sys::MFT_RECORD, bytes_in_use), 24);
    assert_eq!(offset_of!(sys::MFT_RECORD, bytes_allocated), 28);
    assert_eq!(offset_of!(sys::ATTR_RECORD, flags), 12);
}

#[test]
fn run_list_elements_are_three_64_bit_numbers() {
    assert_eq!(size_of::<sys::runlist_element>(), 24);
    assert_eq!(sys::ntfs_lcn_special_values_LCN_HOLE, -1);
}

#[test]
fn state_bits_that_are_set_by_hand_keep_their_numbers() {
    assert_eq!(sys::ntfs_device_state_bits_ND_Open, 0);
    assert_eq!(sys::ntfs_device_state_bits_ND_ReadOnly, 1);
    assert_eq!(sys::ntfs_inode_state_bits_NI_Dirty, 0);
    assert_eq!(sys::ntfs_inode_state_bits_NI_AttrList, 1);
    assert_eq!(sys::ntfs_inode_state_bits_NI_AttrListDirty, 2);
    assert_eq!(sys::ntfs_inode_state_bits_NI_FileNameDirty, 3);
    assert_eq!(sys::ntfs_inode_state_bits_NI_v3_Extensions, 4);
    assert_eq!(sys::ntfs_volume_state_bits_NV_CaseSensitive, 1);
    assert_eq!(sys::ntfs_volume_state_bits_NV_Compression, 6);
}
