//! One open node: its record, its extent records, and the fields that the library keeps beside them.

use super::attribute::{Attribute, NonResident};
use super::volume::error;
use super::{Volume, attribute_type, checked};
use ntfs_sys as sys;
use std::io;
use std::ptr::{self, NonNull};
use volume::Times;

/// An open node. See the handle rules of [`super`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inode(NonNull<sys::ntfs_inode>);

const ATTRIBUTE_LIST: u64 = 1 << sys::ntfs_inode_state_bits_NI_AttrList;
const NAMES_DIRTY: u64 = 1 << sys::ntfs_inode_state_bits_NI_FileNameDirty;
const VERSION_3: u64 = 1 << sys::ntfs_inode_state_bits_NI_v3_Extensions;
const TIMES_SET: u64 = 1 << sys::ntfs_inode_state_bits_NI_TimesSet;
const KNOWN_SIZE: u64 = 1 << sys::ntfs_inode_state_bits_NI_KnownSize;

/// `flags` of a record: it is a directory.
pub(crate) const RECORD_IS_DIRECTORY: u16 = 2;

/// Bytes of a resident attribute before its name and value.
const RESIDENT_HEADER: usize = 24;

/// Rounds up to the 8 bytes that everything in a record is aligned to.
pub(crate) fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(8)
}

impl Inode {
    pub(super) fn from_raw(raw: *mut sys::ntfs_inode) -> Option<Inode> {
        NonNull::new(raw).map(Inode)
    }

    pub(super) fn raw(self) -> *mut sys::ntfs_inode {
        self.0.as_ptr()
    }

    /// Opens a node by its record number.
    pub(crate) fn open(volume: &Volume, number: u64) -> io::Result<Inode> {
        // SAFETY: mounted.
        Inode::from_raw(unsafe { sys::ntfs_inode_open(volume.raw(), number) }).ok_or_else(error)
    }

    /// Takes an unused record for a new node. It has no attributes yet.
    pub(crate) fn create(volume: &Volume) -> io::Result<Inode> {
        // SAFETY: mounted. A record that is used again may still be in the library's cache of closed nodes.
        unsafe {
            let raw = sys::ntfs_mft_record_alloc(volume.raw(), ptr::null_mut());
            let inode = Inode::from_raw(raw).ok_or_else(error)?;
            sys::ntfs_inode_invalidate(volume.raw(), (*raw).mft_no);
            (*raw).state |= VERSION_3;
            Ok(inode)
        }
    }

    /// Writes the record and its extents and lets go of the node.
    ///
    /// The library would also bring the index entries of the names up to date, through a second handle of the parent
    /// directory; the editor has done that itself, so the request is withdrawn.
    pub(crate) fn close(self) -> io::Result<()> {
        // SAFETY: open, and not used again.
        unsafe {
            (*self.raw()).state &= !NAMES_DIRTY;
            checked(sys::ntfs_inode_close(self.raw()))
        }
    }

    /// Writes the record and its extents; the node stays open.
    pub(crate) fn sync(self) -> io::Result<()> {
        // SAFETY: open.
        unsafe {
            (*self.raw()).state &= !NAMES_DIRTY;
            checked(sys::ntfs_inode_sync(self.raw()))
        }
    }

    /// Gives the record and its extents back to $MFT. The clusters of its attributes are the caller's to free.
    pub(crate) fn delete(self, volume: &Volume) -> io::Result<()> {
        self.attach_extents()?;
        let ni = self.raw();
        // SAFETY: open, all extents attached; neither the node nor an extent is used again. Extents are cut off first,
        // otherwise the library would put freed ones into its cache (`ntfs_delete` does the same).
        unsafe {
            while (*ni).nr_extents > 0 {
                let last = (*ni).nr_extents - 1;
                let extent = *(*ni).__bindgen_anon_1.extent_nis.add(last as usize);
                (*extent).__bindgen_anon_1.base_ni = ptr::null_mut();
                (*extent).nr_extents = 0;
                (*ni).nr_extents = last;
                checked(sys::ntfs_mft_record_free(volume.raw(), extent))?;
            }
            sys::free((*ni).__bindgen_anon_1.extent_nis.cast());
            (*ni).__bindgen_anon_1.extent_nis = ptr::null_mut();
            (*ni).state &= !NAMES_DIRTY;
            checked(sys::ntfs_mft_record_free(volume.raw(), ni))
        }
    }

    /// Its record number.
    pub(crate) fn number(self) -> u64 {
        // SAFETY: open.
        unsafe { (*self.raw()).mft_no }
    }

    /// The reference that directories and extents use: sequence number above record number.
    pub(crate) fn reference(self) -> u64 {
        // SAFETY: open.
        let sequence = unsafe { (*(*self.raw()).mrec).sequence_number };
        self.number() | u64::from(sequence) << 48
    }

    /// Whether it is a directory.
    pub(crate) fn is_directory(self) -> bool {
        // SAFETY: open.
        unsafe { (*(*self.raw()).mrec).flags & RECORD_IS_DIRECTORY != 0 }
    }

    /// Makes a new record that of a directory.
    pub(crate) fn set_directory(self) {
        // SAFETY: open.
        unsafe { (*(*self.raw()).mrec).flags |= RECORD_IS_DIRECTORY }
    }

    /// How many names it has, short ones included.
    pub(crate) fn names(self) -> u16 {
        // SAFETY: open.
        unsafe { (*(*self.raw()).mrec).link_count }
    }

    /// Sets how many names it has.
    pub(crate) fn set_names(self, count: u16) {
        // SAFETY: open.
        unsafe { (*(*self.raw()).mrec).link_count = count }
        self.mark_dirty();
    }

    /// Has the record written when the node is closed.
    pub(crate) fn mark_dirty(self) {
        // SAFETY: open.
        unsafe { sys::ntfs_inode_mark_dirty(self.raw()) }
    }

    /// The attribute flags, as $STANDARD_INFORMATION will have them.
    pub(crate) fn flags(self) -> u32 {
        // SAFETY: open.
        unsafe { (*self.raw()).flags }
    }

    /// Sets the attribute flags: all 32 bits; the library's own call masks most of the newer ones away.
    pub(crate) fn set_flags(self, flags: u32) {
        // SAFETY: open.
        unsafe { (*self.raw()).flags = flags }
        self.mark_dirty();
    }

    /// All four time stamps.
    pub(crate) fn times(self) -> Times {
        // SAFETY: open.
        let ni = unsafe { &*self.raw() };
        Times {
            created: ni.creation_time,
            modified: ni.last_data_change_time,
            changed: ni.last_mft_change_time,
            accessed: ni.last_access_time,
        }
    }

    /// Sets all four time stamps; the library writes them into $STANDARD_INFORMATION when it closes the node.
    pub(crate) fn set_times(self, times: &Times) {
        // SAFETY: open; the borrow ends here.
        let ni = unsafe { &mut *self.raw() };
        ni.creation_time = times.created;
        ni.last_data_change_time = times.modified;
        ni.last_mft_change_time = times.changed;
        ni.last_access_time = times.accessed;
        ni.state &= !TIMES_SET;
        self.mark_dirty();
    }

    /// The number of its security descriptor in $Secure; 0 when it has none there.
    pub(crate) fn security_id(self) -> u32 {
        // SAFETY: open.
        unsafe { (*self.raw()).security_id }
    }

    /// Sets the number of its security descriptor. $STANDARD_INFORMATION must have its long form.
    pub(crate) fn set_security_id(self, id: u32) {
        // SAFETY: open.
        unsafe {
            (*self.raw()).security_id = id;
            (*self.raw()).state |= VERSION_3;
        }
        self.mark_dirty();
    }

    /// Sets the length of the main stream and the bytes that it takes, as directories show them.
    pub(crate) fn set_main_stream(self, size: u64, allocated: u64) {
        // SAFETY: open.
        unsafe {
            (*self.raw()).data_size = size as i64;
            (*self.raw()).allocated_size = allocated as i64;
            (*self.raw()).state |= KNOWN_SIZE;
        }
    }

    /// The length of the main stream and the bytes that it takes.
    pub(crate) fn main_stream(self) -> (u64, u64) {
        // SAFETY: open.
        unsafe { ((*self.raw()).data_size as u64, (*self.raw()).allocated_size as u64) }
    }

    /// Bytes that are unused in the base record.
    pub(crate) fn room(self) -> usize {
        // SAFETY: open.
        unsafe { room((*self.raw()).mrec) }
    }

    /// Walks the attributes of one type (0: of all), those in extent records too, in order.
    pub(crate) fn attributes(self, type_code: u32) -> io::Result<Attributes> {
        // SAFETY: open.
        let context = unsafe { sys::ntfs_attr_get_search_ctx(self.raw(), ptr::null_mut()) };
        match NonNull::new(context) {
            Some(context) => Ok(Attributes { context, type_code }),
            None => Err(error()),
        }
    }

    fn has_attribute_list(self) -> bool {
        // SAFETY: open.
        unsafe { (*self.raw()).state & ATTRIBUTE_LIST != 0 }
    }

    fn attach_extents(self) -> io::Result<()> {
        // SAFETY: open.
        checked(unsafe { sys::ntfs_inode_attach_all_extents(self.raw()) })
    }

    /// Gives the node an attribute list if it has none yet.
    fn need_attribute_list(self) -> io::Result<()> {
        if self.has_attribute_list() {
            return Ok(());
        }
        // SAFETY: open, without an attribute list.
        checked(unsafe { sys::ntfs_inode_add_attrlist(self.raw()) })
    }

    /// The record of this node, base or extent, that has `bytes` of room, or a new extent.
    fn record_with_room(self, volume: &Volume, bytes: usize, type_code: u32) -> io::Result<Inode> {
        if self.room() >= bytes {
            return Ok(self);
        }
        self.need_attribute_list()?;
        if self.room() >= bytes {
            return Ok(self); // making the list moved other attributes out
        }
        self.attach_extents()?;
        // SAFETY: open, all extents attached.
        let (count, extents) =
            unsafe { ((*self.raw()).nr_extents.max(0), (*self.raw()).__bindgen_anon_1.extent_nis) };
        for i in 0..count as usize {
            // SAFETY: `extent_nis` has `nr_extents` elements.
            let extent = unsafe { *extents.add(i) };
            // A record that is full of one attribute's runs is left alone: other attributes of a type whose pieces
            // may not share a record go elsewhere.
            // SAFETY: attached extents are open.
            if unsafe { room((*extent).mrec) } >= bytes && type_code != attribute_type::ATTRIBUTE_LIST {
                return Inode::from_raw(extent).ok_or_else(error);
            }
        }
        self.new_extent(volume)
    }

    fn new_extent(self, volume: &Volume) -> io::Result<Inode> {
        // SAFETY: mounted, open; the extent belongs to the node from now on.
        Inode::from_raw(unsafe { sys::ntfs_mft_record_alloc(volume.raw(), self.raw()) }).ok_or_else(error)
    }

    /// Bytes that a resident attribute takes in a record.
    pub(crate) fn resident_bytes(name_units: usize, value_bytes: usize) -> usize {
        RESIDENT_HEADER + aligned(name_units * 2) + aligned(value_bytes)
    }

    /// Adds a resident attribute, in an extent record if the base has no room.
    pub(crate) fn add_resident(
        self,
        volume: &Volume,
        type_code: u32,
        name: &[u16],
        value: &[u8],
        flags: u16,
    ) -> io::Result<()> {
        let bytes = Inode::resident_bytes(name.len(), value.len());
        let record = self.record_with_room(volume, bytes, type_code)?;
        // SAFETY: both nodes are open; name and value are copied. The library calls the empty name `AT_UNNAMED` and
        // compares pointers.
        checked(unsafe {
            sys::ntfs_resident_attr_record_add(
                record.raw(),
                type_code,
                name_pointer(name),
                name.len() as u8,
                value.as_ptr(),
                value.len() as u32,
                flags,
            )
        })
    }

    /// Adds an attribute whose value is in clusters; its runs spread over as many extent records as they need.
    pub(crate) fn add_non_resident(
        self,
        volume: &Volume,
        type_code: u32,
        name: &[u16],
        stream: &NonResident,
    ) -> io::Result<()> {
        let header = stream.header_bytes(name.len());
        let whole = stream.encode(0, usize::MAX);
        if self.room() >= header + aligned(whole.bytes.len()) {
            return self.add_piece(type_code, name, stream, 0, &whole.bytes, whole.next);
        }
        self.need_attribute_list()?;
        let mut from = 0;
        loop {
            let record = self.new_extent(volume)?;
            let piece = stream.encode(from, (record.room() - header) & !7);
            if piece.next == from {
                return Err(io::Error::other("a record has no room for a single run"));
            }
            record.add_piece(type_code, name, stream, from, &piece.bytes, piece.next)?;
            if piece.next >= stream.clusters() {
                return Ok(());
            }
            from = piece.next;
        }
    }

    /// Adds the piece of an attribute that covers the clusters `from .. next` to this very record.
    fn add_piece(
        self,
        type_code: u32,
        name: &[u16],
        stream: &NonResident,
        from: u64,
        mapping_pairs: &[u8],
        next: u64,
    ) -> io::Result<()> {
        // SAFETY: open; the name is copied.
        let offset = unsafe {
            sys::ntfs_non_resident_attr_record_add(
                self.raw(),
                type_code,
                name_pointer(name),
                name.len() as u8,
                from as i64,
                mapping_pairs.len() as i32,
                stream.flags,
            )
        };
        let Ok(offset) = usize::try_from(offset) else { return Err(error()) };
        // SAFETY: the library answers the offset of the attribute in this record, whose length it has just set.
        let record = unsafe {
            let mrec = (*self.raw()).mrec;
            std::slice::from_raw_parts_mut(mrec.cast::<u8>(), (*mrec).bytes_allocated as usize)
        };
        stream.fill(&mut record[offset..], from, mapping_pairs, next);
        self.mark_dirty();
        Ok(())
    }

    /// Brings a $STANDARD_INFORMATION of 48 bytes (NTFS 1.x, and what the library makes for nodes with a descriptor
    /// of their own) to the 72 that hold a security id.
    pub(crate) fn lengthen_standard_information(self) -> io::Result<()> {
        const LONG: i64 = 72;
        // SAFETY: open; the attribute is closed again.
        unsafe {
            let attribute = sys::ntfs_attr_open(
                self.raw(),
                attribute_type::STANDARD_INFORMATION,
                ptr::addr_of_mut!(sys::AT_UNNAMED).cast(),
                0,
            );
            if attribute.is_null() {
                return Err(error());
            }
            let result = if (*attribute).data_size < LONG {
                checked(sys::ntfs_attr_truncate(attribute, LONG))
            } else {
                Ok(())
            };
            sys::ntfs_attr_close(attribute);
            result
        }
    }

    /// Writes into a named data stream of this node through the library, which lengthens the stream as needed.
    pub(crate) fn write_stream(self, name: &'static [u16], offset: u64, bytes: &[u8]) -> io::Result<()> {
        // SAFETY: open; the library does not write through the name.
        let written = unsafe {
            sys::ntfs_attr_data_write(
                self.raw(),
                name.as_ptr().cast_mut(),
                name.len() as i32,
                bytes.as_ptr().cast(),
                bytes.len(),
                offset as i64,
            )
        };
        if written as i64 == bytes.len() as i64 { Ok(()) } else { Err(stream_error(written)) }
    }

    /// Reads from a named data stream of this node through the library.
    pub(crate) fn read_stream(self, name: &'static [u16], offset: u64, into: &mut [u8]) -> io::Result<()> {
        // SAFETY: open; the library does not write through the name.
        let read = unsafe {
            sys::ntfs_attr_data_read(
                self.raw(),
                name.as_ptr().cast_mut(),
                name.len() as i32,
                into.as_mut_ptr().cast(),
                into.len(),
                offset as i64,
            )
        };
        if read as i64 == into.len() as i64 { Ok(()) } else { Err(stream_error(read)) }
    }

    /// Cuts a named data stream off where its contents end.
    pub(crate) fn end_stream(self, name: &'static [u16], size: u64) -> io::Result<()> {
        // SAFETY: open; the library does not write through the name.
        checked(unsafe {
            sys::ntfs_attr_shrink_size(self.raw(), name.as_ptr().cast_mut(), name.len() as i32, size as i64)
        })?;
        self.mark_dirty();
        Ok(())
    }
}

/// The library's calls on whole streams answer a negative errno, or less than was asked.
fn stream_error(answer: i32) -> io::Error {
    if answer < 0 { io::Error::from_raw_os_error(-answer) } else { io::ErrorKind::UnexpectedEof.into() }
}

fn name_pointer(name: &[u16]) -> *const u16 {
    if name.is_empty() { ptr::addr_of!(sys::AT_UNNAMED).cast() } else { name.as_ptr() }
}

/// # Safety
/// `mrec` is a record that the library has checked.
unsafe fn room(mrec: *const sys::MFT_RECORD) -> usize {
    // SAFETY: see above.
    let (allocated, used) = unsafe { ((*mrec).bytes_allocated, (*mrec).bytes_in_use) };
    allocated.saturating_sub(used) as usize
}

/// A walk over attributes.
pub(crate) struct Attributes {
    context: NonNull<sys::ntfs_attr_search_ctx>,
    type_code: u32,
}

impl Attributes {
    /// The next attribute, or `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Attribute<'_>>> {
        // SAFETY: the context is valid until dropped; a null name finds every name.
        let status = unsafe {
            sys::ntfs_attr_lookup(self.type_code, ptr::null(), 0, 0, 0, ptr::null(), 0, self.context.as_ptr())
        };
        if status == 0 {
            // SAFETY: the library found an attribute and checked that it lies within its record.
            return Ok(Some(unsafe { Attribute::new(self.context) }));
        }
        let reason = error();
        if reason.raw_os_error() == Some(super::device::ENOENT) { Ok(None) } else { Err(reason) }
    }

    /// Removes the attribute that `next` found last, and starts again from the first one: the library moves what
    /// follows. Clusters stay allocated.
    pub(crate) fn remove_found(&mut self) -> io::Result<()> {
        // SAFETY: the context holds an attribute.
        unsafe {
            checked(sys::ntfs_attr_record_rm(self.context.as_ptr()))?;
            sys::ntfs_attr_reinit_search_ctx(self.context.as_ptr());
        }
        Ok(())
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: made by `ntfs_attr_get_search_ctx`.
        unsafe { sys::ntfs_attr_put_search_ctx(self.context.as_ptr()) }
    }
}
