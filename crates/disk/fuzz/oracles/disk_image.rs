//! What must hold for every file that is opened as a disk image.
//!
//! The input describes a sparse file, most of which is zero:
//!
//! ```text
//!   0  length (u32 LE, in units of 512 bytes)   4  flags: bit 0 mend checksums
//!   5  pieces: offset (u32 LE), length (u16 LE), bytes
//! ```

use disk::ByteSource;
use disk::format::{self, MAX_DISK, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// Opens the file and reads what it offers.
pub(crate) fn check(input: &[u8]) {
    let Some((fixed, mut pieces)) = input.split_first_chunk::<5>() else { return };
    let len = u64::from(u32::from_le_bytes([fixed[0], fixed[1], fixed[2], fixed[3]])) * 512;
    let mut file = tempfile::tempfile().expect("a scratch file");
    if file.set_len(len).is_err() {
        return;
    }
    while let Some((head, rest)) = pieces.split_first_chunk::<6>() {
        let at = u64::from(u32::from_le_bytes([head[0], head[1], head[2], head[3]]));
        let wanted = usize::from(u16::from_le_bytes([head[4], head[5]])).min(rest.len());
        let fits = usize::try_from(len.saturating_sub(at)).unwrap_or(0).min(wanted);
        file.write_all_at(&rest[..fits], at).expect("the piece fits");
        pieces = &rest[wanted..];
    }
    if fixed[4] & 1 != 0 {
        mend(&file, len).expect("structures can be rewritten");
    }
    let mut start = [0; 104];
    let known = len.min(104) as usize;
    file.read_exact_at(&mut start[..known], 0).expect("the file was just written");
    if start.starts_with(b"QFI\xfb") && start[79] & 0x18 != 0 {
        return; // another program reads those
    }
    file.seek(SeekFrom::Start(0)).and_then(|_| file.flush()).expect("a plain file");

    // The file has no name; the kernel lets its own descriptors be opened by this one.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let Ok(opened) = format::open(path.as_ref(), &OpenOptions::default()) else { return };
    check_disk(&*opened.source);
}

fn check_disk(source: &dyn ByteSource) {
    let len = source.len();
    assert!(len <= MAX_DISK && len.is_multiple_of(512), "a disk of {len} bytes");
    let mut byte = [0];
    let behind = source.read_exact_at(len, &mut byte).expect_err("nothing is behind the end");
    assert_eq!(behind.kind(), io::ErrorKind::UnexpectedEof);
    assert!(source.read_exact_at(u64::MAX, &mut byte).is_err(), "nothing is at the end of all numbers");
    assert!(source.file_region(len, 1).is_none() && source.file_region(u64::MAX, 2).is_none());

    let (mut once, mut again, mut plain) = ([0; 1500], [1; 1500], [2; 1500]);
    let mut at = 0;
    // A disk may have more ranges than there is time for.
    for _ in 0..100 {
        let Ok(Some(range)) = source.next_data(at) else { break };
        assert!(
            at <= range.start && range.start < range.end && range.end <= len,
            "{range:?} from {at} of {len}"
        );
        if range.start > at {
            let hole = (range.start - at).min(1500) as usize;
            source.read_exact_at(range.start - hole as u64, &mut once[..hole]).expect("holes can be read");
            assert!(once[..hole].iter().all(|&byte| byte == 0), "a hole before {} is not zero", range.start);
        }
        for offset in
            [range.start, range.start + (range.end - range.start) / 2, range.end.saturating_sub(700)]
        {
            let part = (len - offset).min(1500) as usize;
            let read = source.read_exact_at(offset, &mut once[..part]);
            assert_eq!(read.is_ok(), source.read_exact_at(offset, &mut again[..part]).is_ok());
            if read.is_ok() {
                assert!(once[..part] == again[..part], "byte {offset} reads differently the second time");
                if let Some(region) = source.file_region(offset, part as u64)
                    && region.file.read_exact_at(&mut plain[..part], region.offset).is_ok()
                {
                    assert!(
                        once[..part] == plain[..part],
                        "the region of byte {offset} holds something else"
                    );
                }
            }
        }
        at = range.end;
    }
}

/// Puts the checksums of VHD and VHDX structures right where they stand.
fn mend(file: &std::fs::File, len: u64) -> io::Result<()> {
    for (at, size, sum_at) in [(0, 512, 64), (512, 1024, 36), (len.saturating_sub(512), 512, 64)] {
        let mut bytes = vec![0; size];
        if file.read_exact_at(&mut bytes, at).is_ok()
            && (bytes.starts_with(b"conectix") || bytes.starts_with(b"cxsparse"))
        {
            bytes[sum_at..sum_at + 4].fill(0);
            let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
            file.write_all_at(&(!sum).to_be_bytes(), at + sum_at as u64)?;
        }
    }
    for (at, size) in [(64 << 10, 4096), (128 << 10, 4096), (192 << 10, 65536), (256 << 10, 65536)] {
        let mut bytes = vec![0; size];
        if file.read_exact_at(&mut bytes, at).is_ok()
            && (bytes.starts_with(b"head") || bytes.starts_with(b"regi"))
        {
            bytes[4..8].fill(0);
            file.write_all_at(&crc32c::crc32c(&bytes).to_le_bytes(), at + 4)?;
        }
    }
    Ok(())
}
