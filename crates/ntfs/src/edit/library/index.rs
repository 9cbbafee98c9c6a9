//! The two kinds of index: the names of a directory, and the view indexes of $Secure and $Extend.

use super::device::{EEXIST, ENOENT};
use super::volume::error;
use super::{Inode, Volume, checked};
use ntfs_sys as sys;
use std::io;
use std::ptr::{self, NonNull};

/// Bytes of a $FILE_NAME value that directories duplicate: from the times to the reparse tag, after the parent.
const DUPLICATED: std::ops::Range<usize> = 8..64;
/// Where a $FILE_NAME value says in which namespace it is.
const NAMESPACE: usize = 65;

/// The names in a directory.
pub(crate) struct NameIndex(pub(crate) Inode);

impl NameIndex {
    fn context(&self) -> io::Result<Context> {
        // SAFETY: open; the library compares this name by its address.
        let raw = unsafe {
            sys::ntfs_index_ctx_get(self.0.raw(), ptr::addr_of_mut!(sys::NTFS_INDEX_I30).cast(), 4)
        };
        NonNull::new(raw).map(Context).ok_or_else(error)
    }

    /// Enters a name; `file_name` is a whole $FILE_NAME value. `false` when exactly this name exists already.
    pub(crate) fn insert(&self, file_name: &[u8], reference: u64) -> io::Result<bool> {
        // SAFETY: open; the value is as long as its own length byte says (it was built from a name), and is copied.
        let status = unsafe {
            sys::ntfs_index_add_filename(self.0.raw(), file_name.as_ptr().cast_mut().cast(), reference)
        };
        match checked(status) {
            Err(reason) if reason.raw_os_error() == Some(EEXIST) => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Takes exactly this name out.
    pub(crate) fn remove(&self, file_name: &[u8]) -> io::Result<()> {
        // SAFETY: open; the key is only read.
        checked(unsafe {
            sys::ntfs_index_remove(
                self.0.raw(),
                ptr::null_mut(),
                file_name.as_ptr().cast(),
                file_name.len() as i32,
            )
        })
    }

    /// Brings what the directory repeats of this name's node up to date, and its namespace.
    pub(crate) fn update(&self, file_name: &[u8]) -> io::Result<()> {
        let context = self.context()?;
        // SAFETY: the context is valid until dropped; after a successful look-up `data` is the entry's key, `data_len`
        // long, and stays writable until the context is put back.
        unsafe {
            let raw = context.0.as_ptr();
            checked(sys::ntfs_index_lookup(file_name.as_ptr().cast(), file_name.len() as i32, raw))?;
            let entry =
                std::slice::from_raw_parts_mut((*raw).data.cast::<u8>(), usize::from((*raw).data_len));
            if entry.len() != file_name.len() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the index has another name here"));
            }
            entry[DUPLICATED].copy_from_slice(&file_name[DUPLICATED]);
            entry[NAMESPACE] = file_name[NAMESPACE];
            sys::ntfs_index_entry_mark_dirty(raw);
        }
        Ok(())
    }

    /// The node with this name, compared without case through the volume's own table.
    pub(crate) fn find(&self, volume: &Volume, name: &[u16]) -> io::Result<Option<u64>> {
        const CASE_SENSITIVE: u64 = 1 << sys::ntfs_volume_state_bits_NV_CaseSensitive;
        // SAFETY: mounted and open; the flag is set back before anything else is called.
        let found = unsafe {
            (*volume.raw()).state &= !CASE_SENSITIVE;
            let found = sys::ntfs_inode_lookup_by_name(self.0.raw(), name.as_ptr(), name.len() as i32);
            let reason = error();
            (*volume.raw()).state |= CASE_SENSITIVE;
            if found == u64::MAX { Err(reason) } else { Ok(found) }
        };
        match found {
            Ok(reference) => Ok(Some(reference & 0xffff_ffff_ffff)),
            Err(reason) if reason.raw_os_error() == Some(ENOENT) => Ok(None),
            Err(reason) => Err(reason),
        }
    }
}

/// A context of the library's that is put back when dropped.
struct Context(NonNull<sys::ntfs_index_context>);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by `ntfs_index_ctx_get`. Putting it back writes a changed block.
        unsafe { sys::ntfs_index_ctx_put(self.0.as_ptr()) }
    }
}

/// An index of fixed-size keys and values: $SII, $SDH, $R, $O.
pub(crate) struct ViewIndex {
    context: NonNull<sys::ntfs_index_context>,
    /// The node that was opened for it, or `None` when the library owns both.
    node: Option<Inode>,
}

impl ViewIndex {
    /// Opens index `name` of a node in $Extend. `None` when $Extend has no such node.
    pub(crate) fn open_in_extend(
        volume: &Volume,
        node: &[u16],
        name: &'static [u16],
    ) -> io::Result<Option<ViewIndex>> {
        const EXTEND: u64 = 11;
        let extend = Inode::open(volume, EXTEND)?;
        let found = NameIndex(extend).find(volume, node);
        extend.close()?;
        let Some(number) = found? else { return Ok(None) };
        let node = Inode::open(volume, number)?;
        // SAFETY: open; the name lives for ever, and the library does not write through it.
        let raw = unsafe { sys::ntfs_index_ctx_get(node.raw(), name.as_ptr().cast_mut(), name.len() as u32) };
        let context = NonNull::new(raw).ok_or_else(error)?;
        Ok(Some(ViewIndex { context, node: Some(node) }))
    }

    /// The index of security ids of $Secure and that of descriptor hashes.
    pub(crate) fn of_secure(volume: &Volume) -> Option<(ViewIndex, ViewIndex)> {
        let (sii, sdh) = volume.secure_indexes();
        Some((
            ViewIndex { context: NonNull::new(sii)?, node: None },
            ViewIndex { context: NonNull::new(sdh)?, node: None },
        ))
    }

    /// Forgets where the last call left off, and writes a changed block.
    pub(crate) fn rest(&mut self) {
        // SAFETY: valid.
        unsafe { sys::ntfs_index_ctx_reinit(self.context.as_ptr()) }
    }

    /// Enters a key with its value. `false` when the key exists.
    ///
    /// `value_offset` is where the entry has its value; `length` that of the whole entry.
    pub(crate) fn insert(
        &mut self,
        key: &[u8],
        value: &[u8],
        value_offset: usize,
        length: usize,
    ) -> io::Result<bool> {
        self.insert_filled(key, value, value.len(), value_offset, length)
    }

    /// Like [`insert`](Self::insert); only the first `counted` bytes of `value` count as the value.
    pub(crate) fn insert_filled(
        &mut self,
        key: &[u8],
        value: &[u8],
        counted: usize,
        value_offset: usize,
        length: usize,
    ) -> io::Result<bool> {
        const HEADER: usize = 16;
        let mut entry = vec![0_u64; length.div_ceil(8)]; // aligned like the library's own
        {
            let mut bytes = vec![0; entry.len() * 8];
            bytes[0..2].copy_from_slice(&(value_offset as u16).to_le_bytes());
            bytes[2..4].copy_from_slice(&(counted as u16).to_le_bytes());
            bytes[8..10].copy_from_slice(&(length as u16).to_le_bytes());
            bytes[10..12].copy_from_slice(&(key.len() as u16).to_le_bytes());
            bytes[HEADER..HEADER + key.len()].copy_from_slice(key);
            bytes[value_offset..value_offset + value.len()].copy_from_slice(value);
            for (word, bytes) in entry.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = u64::from_ne_bytes(bytes.try_into().expect("chunks of 8"));
            }
        }
        self.rest();
        // SAFETY: valid; the entry is copied.
        let status = unsafe { sys::ntfs_ie_add(self.context.as_ptr(), entry.as_mut_ptr().cast()) };
        let result = match checked(status) {
            Err(reason) if reason.raw_os_error() == Some(EEXIST) => Ok(false),
            other => other.map(|()| true),
        };
        self.rest();
        self.mark_dirty();
        result
    }

    /// Takes a key out. `false` when it is not there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> io::Result<bool> {
        const SEARCH_AGAIN: i32 = -3; // STATUS_KEEP_SEARCHING: a block was split, the entry is elsewhere now
        self.rest();
        loop {
            // SAFETY: valid.
            let status = unsafe {
                if sys::ntfs_index_lookup(key.as_ptr().cast(), key.len() as i32, self.context.as_ptr()) < 0 {
                    let reason = error();
                    self.rest();
                    return if reason.raw_os_error() == Some(ENOENT) { Ok(false) } else { Err(reason) };
                }
                sys::ntfs_index_rm(self.context.as_ptr())
            };
            if status != SEARCH_AGAIN {
                checked(status)?;
            }
            self.mark_dirty();
            self.rest();
            if status != SEARCH_AGAIN {
                return Ok(true);
            }
        }
    }

    /// Calls `each` with the key and value of every entry in order.
    pub(crate) fn walk(&mut self, first: &[u8], mut each: impl FnMut(&[u8], &[u8])) -> io::Result<()> {
        self.rest();
        // SAFETY: valid; entries that the library hands out lie within a block that it has checked. Keys and values are
        // cut at the entry's own length.
        unsafe {
            let raw = self.context.as_ptr();
            if sys::ntfs_index_lookup(first.as_ptr().cast(), first.len() as i32, raw) < 0 {
                let reason = error();
                if reason.raw_os_error() != Some(ENOENT) {
                    return Err(reason);
                }
            }
            const END: u16 = 2;
            let mut entry = (*raw).entry;
            if !entry.is_null() && (*entry).ie_flags & END != 0 {
                entry = sys::ntfs_index_next(entry, raw);
            }
            while !entry.is_null() {
                let bytes = std::slice::from_raw_parts(entry.cast::<u8>(), usize::from((*entry).length));
                let number = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
                if let (Some(key), Some(value)) =
                    (bytes.get(16..16 + number(10)), bytes.get(number(0)..number(0) + number(2)))
                {
                    each(key, value);
                }
                entry = sys::ntfs_index_next(entry, raw);
            }
        }
        self.rest();
        Ok(())
    }

    fn mark_dirty(&self) {
        // SAFETY: valid; the context knows its open node.
        unsafe { sys::ntfs_inode_mark_dirty((*self.context.as_ptr()).ni) }
    }

    /// Writes everything and lets go of the node.
    pub(crate) fn close(self) -> io::Result<()> {
        let Some(node) = self.node else { return Ok(()) };
        // SAFETY: made by `ntfs_index_ctx_get`, not used again.
        unsafe { sys::ntfs_index_ctx_put(self.context.as_ptr()) };
        node.close()
    }
}
