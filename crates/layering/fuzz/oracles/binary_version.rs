//! Version resources of hostile PE files: nothing panics; a version that is found stands in the file, behind its
//! signature; little is read for it, whatever the file says; and a read that fails is not taken for a file that ends.

use layering::fuzzing::binary_version;
use std::io;

/// VS_FIXEDFILEINFO.dwSignature.
const SIGNATURE: u32 = 0xfeef_04bd;
/// Sections and resource entries, of which at most 4096 each are looked at, and what leads to them.
const MOST_READS: usize = 3 * 4096 + 30;

/// Panics when one of the rules above is broken.
pub fn check(input: &[u8]) {
    let (found, reads) = version_of(input, usize::MAX);
    let found = found.expect("only a read can fail");
    assert!(reads <= MOST_READS, "{reads} reads");
    if let Some([a, b, c, d]) = found {
        let words = [SIGNATURE, u32::from(a) << 16 | u32::from(b), u32::from(c) << 16 | u32::from(d)];
        let [signature, high, low] = words.map(u32::to_le_bytes);
        let stands = |at: &[u8]| at[..4] == signature && at[8..12] == high && at[12..] == low;
        assert!(input.windows(16).any(stands), "{found:?} is not in the file");
        // What is behind a file that was read does not matter.
        let longer = [input, &signature, &[1; 40]].concat();
        assert_eq!(version_of(&longer, usize::MAX).0.expect("only a read can fail"), found);
    }
    for fails in (0..reads).step_by(reads / 40 + 1) {
        let error = version_of(input, fails).0.expect_err("a failure is passed on");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}

/// The version, or why it could not be read, and how many reads that took. From the read number `fails` on, all fail.
fn version_of(input: &[u8], fails: usize) -> (io::Result<Option<[u16; 4]>>, usize) {
    let mut reads = 0;
    let version = binary_version(|at, buf| {
        assert!(buf.len() <= 4096, "{} bytes at once", buf.len());
        reads += 1;
        if reads > fails {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let part = start.checked_add(buf.len()).and_then(|end| input.get(start..end));
        buf.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    });
    (version, reads)
}
