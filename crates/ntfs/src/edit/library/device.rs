//! The library's device operations over a [`BlockDevice`].

use disk::BlockDevice;
use ntfs_sys as sys;
use std::any::Any;
use std::ffi::{c_int, c_ulong, c_void};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// A device that can be given back as what it was.
pub(crate) trait OwnedDevice: BlockDevice {
    /// The device itself, for a downcast.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<D: BlockDevice + 'static> OwnedDevice for D {
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// What the library's `d_private` points to.
pub(super) struct Bridge {
    /// The device.
    pub(super) device: Box<dyn OwnedDevice>,
    /// The first I/O error that a callback met: `errno` alone would lose its text.
    pub(super) error: Option<io::Error>,
    /// The first panic of a callback.
    pub(super) panic: Option<Box<dyn Any + Send>>,
}

/// The table that the library calls through. `read` and `write` are never called on a mounted volume.
pub(super) fn operations() -> sys::ntfs_device_operations {
    sys::ntfs_device_operations {
        open: Some(open),
        close: Some(close),
        seek: Some(seek),
        read: None,
        write: None,
        pread: Some(pread),
        pwrite: Some(pwrite),
        sync: Some(sync),
        stat: Some(stat),
        ioctl: Some(ioctl),
    }
}

const OPEN: u64 = 1 << sys::ntfs_device_state_bits_ND_Open;
const DIRTY: u64 = 1 << sys::ntfs_device_state_bits_ND_Dirty;

/// Sets `errno`, which is how callbacks give reasons.
fn set_errno(code: c_int) {
    // SAFETY: glibc's accessor returns a valid pointer to this thread's errno.
    unsafe { *sys::__errno_location() = code };
}

/// Runs one access to the device; keeps its error or panic in the bridge and answers -1 then.
///
/// # Safety
/// `dev` is the device that `Volume::mount` made, its bridge alive and used by nobody else meanwhile.
unsafe fn access(
    dev: *mut sys::ntfs_device,
    body: impl FnOnce(&mut dyn BlockDevice) -> io::Result<i64>,
) -> i64 {
    // SAFETY: see above.
    let bridge = unsafe { &mut *(*dev).d_private.cast::<Bridge>() };
    match catch_unwind(AssertUnwindSafe(|| body(&mut *bridge.device))) {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            set_errno(error.raw_os_error().unwrap_or(EIO));
            bridge.error.get_or_insert(error);
            -1
        }
        Err(panic) => {
            bridge.panic.get_or_insert(panic);
            set_errno(EIO);
            -1
        }
    }
}

pub(super) const EPERM: c_int = 1;
pub(super) const ENOENT: c_int = 2;
pub(super) const EIO: c_int = 5;
pub(super) const EEXIST: c_int = 17;
const EINVAL: c_int = 22;
pub(super) const EOPNOTSUPP: c_int = 95;

unsafe extern "C" fn open(dev: *mut sys::ntfs_device, _flags: c_int) -> c_int {
    // SAFETY: the library passes the device it was given.
    unsafe { (*dev).d_state |= OPEN };
    0
}

unsafe extern "C" fn close(dev: *mut sys::ntfs_device) -> c_int {
    // SAFETY: the library passes the device it was given.
    unsafe { (*dev).d_state &= !OPEN };
    0
}

/// Only called to see whether the last sector exists (`ntfs_boot_sector_parse`).
unsafe extern "C" fn seek(dev: *mut sys::ntfs_device, offset: i64, whence: c_int) -> i64 {
    const SEEK_SET: c_int = 0;
    // SAFETY: called by the library with our device.
    unsafe {
        access(dev, |device| match u64::try_from(offset) {
            Ok(at) if whence == SEEK_SET && at < device.len() => Ok(offset),
            _ => Err(io::Error::from_raw_os_error(EINVAL)),
        })
    }
}

/// The part of `count` bytes from `offset` that lies on the device.
fn within(device: &dyn BlockDevice, offset: i64, count: i64) -> io::Result<(u64, usize)> {
    match (u64::try_from(offset), u64::try_from(count)) {
        (Ok(at), Ok(count)) => Ok((at, count.min(device.len().saturating_sub(at)) as usize)),
        _ => Err(io::Error::from_raw_os_error(EINVAL)),
    }
}

unsafe extern "C" fn pread(dev: *mut sys::ntfs_device, buf: *mut c_void, count: i64, offset: i64) -> i64 {
    // SAFETY: the library passes our device and a buffer of `count` bytes.
    unsafe {
        access(dev, |device| {
            let (at, len) = within(device, offset, count)?;
            if len > 0 {
                // The buffer may be uninitialised: give it a value before Rust code sees it as bytes.
                ptr::write_bytes(buf.cast::<u8>(), 0, len);
                device.read_at(at, std::slice::from_raw_parts_mut(buf.cast(), len))?;
            }
            Ok(len as i64)
        })
    }
}

unsafe extern "C" fn pwrite(dev: *mut sys::ntfs_device, buf: *const c_void, count: i64, offset: i64) -> i64 {
    // SAFETY: the library passes our device and a buffer of `count` bytes.
    unsafe {
        (*dev).d_state |= DIRTY;
        access(dev, |device| {
            let (at, len) = within(device, offset, count)?;
            if len > 0 {
                device.write_at(at, std::slice::from_raw_parts(buf.cast(), len))?;
            }
            Ok(len as i64)
        })
    }
}

unsafe extern "C" fn sync(dev: *mut sys::ntfs_device) -> c_int {
    // SAFETY: the library passes the device it was given.
    unsafe { (*dev).d_state &= !DIRTY };
    0
}

unsafe extern "C" fn stat(dev: *mut sys::ntfs_device, into: *mut sys::stat) -> c_int {
    const REGULAR_FILE: u32 = 0o100_600;
    let mut len = 0;
    // SAFETY: called by the library with our device.
    let answer = unsafe {
        access(dev, |device| {
            len = device.len();
            Ok(0)
        })
    };
    // SAFETY: the library passes a structure to fill.
    unsafe {
        *into = sys::stat { st_mode: REGULAR_FILE, st_size: len as i64, ..Default::default() };
    }
    answer as c_int
}

unsafe extern "C" fn ioctl(_dev: *mut sys::ntfs_device, _request: c_ulong, _arg: *mut c_void) -> c_int {
    set_errno(EOPNOTSUPP);
    -1
}
