//! A mounted volume.

use super::device::{Bridge, EIO, EOPNOTSUPP, EPERM, OwnedDevice, operations};
use super::{Element, Inode, checked};
use disk::BlockDevice;
use ntfs_sys as sys;
use std::io;
use std::mem::ManuallyDrop;
use std::panic::resume_unwind;
use std::ptr;
use std::sync::Once;

/// The calling thread's `errno` as an error.
pub(super) fn error() -> io::Error {
    io::Error::last_os_error()
}

/// A mounted volume and the device below it.
pub(crate) struct Volume {
    vol: *mut sys::ntfs_volume,
    bridge: *mut Bridge,
    operations: *mut sys::ntfs_device_operations,
}

// SAFETY: the library keeps no state per thread but errno, and a `Volume` cannot be shared; see the thread rule.
unsafe impl Send for Volume {}

impl Volume {
    /// Mounts the volume that fills the device.
    pub(crate) fn mount(device: Box<dyn OwnedDevice>) -> io::Result<Volume> {
        static ENCODING: Once = Once::new();
        // SAFETY: a static string; `Once` keeps other threads away.
        ENCODING.call_once(|| unsafe {
            sys::ntfs_set_char_encoding(c"UTF-8".as_ptr());
        });
        let bridge = Box::into_raw(Box::new(Bridge { device, error: None, panic: None }));
        let operations = Box::into_raw(Box::new(operations()));
        let mut volume = Volume { vol: ptr::null_mut(), bridge, operations };
        // SAFETY: the name is copied by the library; both allocations live until `Volume` is dropped.
        let dev = unsafe { sys::ntfs_device_alloc(c"lamina".as_ptr(), 0, operations, bridge.cast()) };
        if dev.is_null() {
            return Err(error());
        }
        // SAFETY: a device that was just made.
        let vol = unsafe { sys::ntfs_device_mount(dev, 0) };
        if vol.is_null() {
            let reason = error();
            // SAFETY: a failed mount closes the device but does not free it.
            unsafe { sys::ntfs_device_free(dev) };
            volume.resume_panic();
            return Err(volume.take_device_error().unwrap_or(reason));
        }
        volume.vol = vol;
        // SAFETY: freshly mounted. `ntfs_mount` makes the caches, `ntfs_device_mount` does not, and without them every
        // look-up in $Extend fails. Compression of what the library itself writes is switched off: it would change
        // the flags of empty streams whenever one is opened.
        unsafe {
            sys::ntfs_create_lru_caches(vol);
            (*vol).state &= !(1 << sys::ntfs_volume_state_bits_NV_Compression);
            sys::ntfs_volume_get_free_space(vol);
        }
        Ok(volume)
    }

    /// Whether a failed mount means that Windows sleeps on the volume or that its log was left open.
    pub(crate) fn mount_refused_hibernated(reason: &io::Error) -> bool {
        reason.raw_os_error() == Some(EPERM)
    }

    /// Whether a failed mount means that the log holds changes.
    pub(crate) fn mount_refused_unclean(reason: &io::Error) -> bool {
        reason.raw_os_error() == Some(EOPNOTSUPP)
    }

    /// Whether a failed mount means damage.
    pub(crate) fn mount_found_damage(reason: &io::Error) -> bool {
        reason.raw_os_error() == Some(EIO)
    }

    pub(super) fn raw(&self) -> *mut sys::ntfs_volume {
        self.vol
    }

    /// The device, between calls of the library.
    pub(crate) fn device(&mut self) -> &mut dyn BlockDevice {
        // SAFETY: the library touches the device only inside calls, which need this volume too.
        unsafe { &mut *(*self.bridge).device }
    }

    /// Continues a panic that a callback stopped.
    pub(crate) fn resume_panic(&mut self) {
        // SAFETY: the bridge lives as long as the volume.
        if let Some(panic) = unsafe { (*self.bridge).panic.take() } {
            resume_unwind(panic);
        }
    }

    /// The first error that the device gave since this was last asked.
    pub(crate) fn take_device_error(&mut self) -> Option<io::Error> {
        // SAFETY: the bridge lives as long as the volume.
        unsafe { (*self.bridge).error.take() }
    }

    /// Bytes in a cluster.
    pub(crate) fn cluster(&self) -> u64 {
        // SAFETY: mounted.
        u64::from(unsafe { (*self.vol).cluster_size })
    }

    /// Bytes in a block of a directory index.
    pub(crate) fn index_bytes(&self) -> u32 {
        // SAFETY: mounted.
        unsafe { (*self.vol).indx_record_size }
    }

    /// Clusters on the volume.
    pub(crate) fn clusters(&self) -> u64 {
        // SAFETY: mounted.
        unsafe { (*self.vol).nr_clusters.max(0) as u64 }
    }

    /// Clusters that nothing uses.
    pub(crate) fn free_clusters(&self) -> u64 {
        // SAFETY: mounted.
        unsafe { (*self.vol).free_clusters.max(0) as u64 }
    }

    /// Major version of NTFS: 3 since Windows 2000.
    pub(crate) fn major_version(&self) -> u8 {
        // SAFETY: mounted.
        unsafe { (*self.vol).major_ver }
    }

    /// The flags of $VOLUME_INFORMATION.
    pub(crate) fn flags(&self) -> u16 {
        // SAFETY: mounted.
        unsafe { (*self.vol).flags }
    }

    /// The volume's own table of upper-case code units.
    pub(crate) fn upcase(&self) -> &[u16] {
        // SAFETY: the library loads the table at mount and keeps it until unmount.
        unsafe { std::slice::from_raw_parts((*self.vol).upcase, (*self.vol).upcase_len as usize) }
    }

    /// $Secure, which the library keeps open.
    pub(crate) fn secure(&self) -> Option<Inode> {
        // SAFETY: mounted.
        Inode::from_raw(unsafe { (*self.vol).secure_ni })
    }

    /// The library's own contexts of the indexes $SII and $SDH of $Secure.
    pub(super) fn secure_indexes(&self) -> (*mut sys::ntfs_index_context, *mut sys::ntfs_index_context) {
        // SAFETY: mounted.
        unsafe { ((*self.vol).secure_xsii, (*self.vol).secure_xsdh) }
    }

    /// $Bitmap, which the library keeps open.
    pub(crate) fn bitmap(&self) -> Option<Inode> {
        // SAFETY: mounted.
        Inode::from_raw(unsafe { (*self.vol).lcnbmp_ni })
    }

    /// Allocates clusters in as few pieces as the library finds, in the data zone. Every element has a place.
    pub(crate) fn allocate(&mut self, clusters: u64) -> io::Result<Vec<Element>> {
        const DATA_ZONE: sys::NTFS_CLUSTER_ALLOCATION_ZONES = 1;
        const ANYWHERE: i64 = -1;
        let count = i64::try_from(clusters).map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
        // SAFETY: mounted; the list that comes back is ours.
        unsafe {
            let list = sys::ntfs_cluster_alloc(self.vol, 0, count, ANYWHERE, DATA_ZONE);
            if list.is_null() {
                return Err(error());
            }
            let elements = super::attribute::elements(list);
            sys::free(list.cast());
            elements
        }
    }

    /// Marks clusters as free in $Bitmap.
    pub(crate) fn free(&mut self, at: u64, clusters: u64) -> io::Result<()> {
        if clusters == 0 {
            return Ok(());
        }
        // SAFETY: mounted; a place outside the bitmap is an error of the library.
        checked(unsafe { sys::ntfs_cluster_free_basic(self.vol, at as i64, clusters as i64) })
    }

    /// Writes what is in memory and gives the device back.
    pub(crate) fn unmount(mut self) -> io::Result<Box<dyn OwnedDevice>> {
        let status = self.release();
        self.resume_panic();
        if let Some(error) = self.take_device_error() {
            return Err(error);
        }
        status?;
        let this = ManuallyDrop::new(self);
        // SAFETY: made by `Box::into_raw` in `mount`; unmounted, the library uses neither, and `drop` will not run.
        unsafe {
            drop(Box::from_raw(this.operations));
            Ok(Box::from_raw(this.bridge).device)
        }
    }

    fn release(&mut self) -> io::Result<()> {
        if self.vol.is_null() {
            return Ok(());
        }
        // SAFETY: mounted; the pointer is not used again.
        let status = unsafe { sys::ntfs_umount(self.vol, 0) };
        let result = checked(status);
        self.vol = ptr::null_mut();
        result
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // An unfinished volume: only memory matters.
        let _ = self.release();
        // SAFETY: made by `Box::into_raw` in `mount`; the library has let go of both.
        unsafe {
            drop(Box::from_raw(self.bridge));
            drop(Box::from_raw(self.operations));
        }
    }
}
