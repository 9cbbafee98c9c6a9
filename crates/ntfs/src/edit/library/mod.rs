//! libntfs-3g behind calls that cannot be misused from the rest of the editor: the only place with `unsafe`.
//!
//! **Thread rule.** The library has no locks, and everything but its log handler and its character encoding hangs off
//! one `ntfs_volume`. A [`Volume`] is therefore used by one thread at a time (it may move between threads), different
//! volumes by different threads at once; the character encoding is set once per process, before the first mount. The
//! log handler stays the library's own, which is silent: its messages would go to standard error from inside C.
//!
//! **Panics.** The library calls back into [`BlockDevice`](disk::BlockDevice) code. A panic there is caught before it
//! would unwind through C, kept, and resumed by [`Volume::resume_panic`] once the library has returned.
//!
//! **Handles.** An [`Inode`] is a plain handle: it must not be used after it was closed, nor after its volume was
//! unmounted, and there must never be two of one node, because each has its own copy of the record (ENGINE: closing a
//! file whose directory is open a second time corrupts the directory). The editor keeps both rules with one table of
//! open nodes; nothing outside `edit` sees a handle. A handle that is lost on an error path leaks its memory and
//! nothing else: the volume is thrown away then.

#![allow(unsafe_code)] // calls C; each block says why it is sound

mod attribute;
mod device;
mod index;
mod inode;
mod volume;

pub(super) use attribute::{COMPRESSED, ENCRYPTED, Element, NonResident, SPARSE};
pub(super) use device::OwnedDevice;
pub(super) use index::{NameIndex, ViewIndex};
pub(super) use inode::Inode;
pub(super) use volume::Volume;

use std::io;
use volume::error;

/// Attribute types ([Linux-NTFS] `layout.h`, the numbers of $AttrDef).
pub(super) mod attribute_type {
    pub(crate) const STANDARD_INFORMATION: u32 = 0x10;
    pub(crate) const ATTRIBUTE_LIST: u32 = 0x20;
    pub(crate) const FILE_NAME: u32 = 0x30;
    pub(crate) const OBJECT_ID: u32 = 0x40;
    pub(crate) const SECURITY_DESCRIPTOR: u32 = 0x50;
    pub(crate) const DATA: u32 = 0x80;
    pub(crate) const INDEX_ROOT: u32 = 0x90;
    pub(crate) const REPARSE_POINT: u32 = 0xc0;
    pub(crate) const EA_INFORMATION: u32 = 0xd0;
    pub(crate) const EA: u32 = 0xe0;
    pub(crate) const LOGGED_UTILITY_STREAM: u32 = 0x100;
}

/// Turns the library's `-1 and errno` into a result.
fn checked(status: i32) -> io::Result<()> {
    if status < 0 { Err(error()) } else { Ok(()) }
}
