//! Packs from hostile bytes: nothing panics; the runs of what decodes ascend in whole blocks within their blobs, lie one behind
//! the other in a content of at most 32 MiB, and are written as they were read; and content that is taken out has the length
//! that was announced, however much there is.

use layering::fuzzing::{pack_content, pack_directory};

const BLOCK: u64 = 4096;

/// Panics when one of the rules above is broken.
pub fn check(input: &[u8]) {
    let content = pack_content(input);
    let Some(directory) = pack_directory(input) else {
        assert!(content.is_none(), "content without a directory");
        return;
    };
    let (part, parts) = directory.part;
    assert!(part < parts && (parts == 1 || directory.blobs.len() == 1));
    let mut at = 0;
    for blob in &directory.blobs {
        assert_eq!(blob.at, at);
        let mut behind = 0;
        for &(offset, run) in &blob.runs {
            assert!(run > 0 && offset >= behind && offset % BLOCK == 0);
            behind = offset.checked_add(run).expect("the end can be counted");
            assert!(behind <= blob.len && (run % BLOCK == 0 || behind == blob.len));
            at += run;
        }
    }
    assert!(at == directory.content && at <= 32 << 20);
    assert!(input.starts_with(&directory.encoded), "it is written otherwise than it was read");
    if let Some(content) = content {
        assert_eq!(content.len() as u64, directory.content);
    }
}
