//! NTFS volumes: scan and check in Rust, change through libntfs-3g on our own block devices.
