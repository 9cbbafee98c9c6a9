//! Disk records from hostile bytes: decoding never panics; extents of what decodes ascend within the disk and within what
//! can be counted of their blobs; it is the same after being encoded and decoded again, in no more bytes; and every
//! blob of an extent is among those that the disk needs.

use layering::fuzzing::disk_record;

/// Panics when one of the rules above is broken.
pub fn check(input: &[u8]) {
    let Ok(disk) = disk_record(input) else { return };
    let mut end = 0;
    for &(offset, len, blob, blob_offset) in &disk.extents {
        assert!(len > 0 && offset >= end, "an extent of {len} bytes at {offset} behind {end}");
        end = offset.checked_add(len).expect("the end can be counted");
        blob_offset.checked_add(len).expect("the end in the blob can be counted");
        assert!(disk.blobs.binary_search(&blob).is_ok());
    }
    assert!(end <= disk.len);
    assert!(disk.blobs.is_sorted_by(|a, b| a < b) && disk.blobs.len() <= disk.extents.len());
    assert!(disk.encoded.len() <= input.len(), "{} bytes became {}", input.len(), disk.encoded.len());
    assert_eq!(disk_record(&disk.encoded).expect("what was decoded encodes"), disk);
}
