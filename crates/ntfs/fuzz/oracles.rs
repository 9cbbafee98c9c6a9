//! What must hold for any input. The fuzz targets ask these, and so do the normal tests for every file of the corpora.

#![allow(dead_code, unreachable_pub)] // each target uses one

use disk::ByteSource;
use ntfs_volume::{check::check, content::read_stream, gate::check_state, lznt1, runs, scan};
use operation::Silent;
use std::collections::HashSet;
use std::io;
use volume::{Kind, Run, StreamData};

/// Mapping pairs: what decodes covers exactly what it should, lies inside the volume, and survives being encoded.
///
/// Input: the clusters that the pairs must cover (4 bytes), the clusters of the volume (4 bytes), the pairs.
pub fn runs(input: &[u8]) {
    let Some((head, pairs)) = input.split_at_checked(8) else { return };
    let number =
        |at: usize| u64::from(u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    let (clusters, volume) = (number(0), number(4));
    let mut decoded = Vec::new();
    if runs::decode(pairs, clusters, 512, volume, &mut decoded).is_err() {
        return;
    }
    assert_eq!(decoded.iter().map(|run| run.len / 512).sum::<u64>(), clusters);
    assert!(decoded.iter().all(|run| run.at.is_none_or(|at| at + run.len <= volume * 512)));
    let mut again = Vec::new();
    runs::decode(&runs::encode(&decoded, 512), clusters, 512, volume, &mut again)
        .expect("what was encoded decodes");
    assert_eq!(again, decoded);
}

/// LZNT1: never more than asked for, and a smaller limit gives a prefix.
pub fn lznt1(input: &[u8]) {
    let mut whole = Vec::new();
    if lznt1::decompress(input, 65536, &mut whole).is_err() {
        return;
    }
    assert!(whole.len() <= 65536);
    let mut part = vec![0xaa];
    lznt1::decompress(input, whole.len() / 2, &mut part).expect("less of the same");
    assert_eq!(part[1..], whole[..part.len() - 1]);
}

/// A volume: whatever it holds, what comes out of a scan is sound, and the checker and the gate come to an end.
///
/// Input: see [`Volume::from_segments`].
pub fn volume(input: &[u8]) {
    let volume = Volume::from_segments(input);
    let _ = check(&volume, &Silent);
    let _ = check_state(&volume);
    let _ = ntfs_volume::facts(&volume);
    if let Ok(ranges) = ntfs_volume::allocated(&volume) {
        let mut end = 0;
        for range in ranges.map_while(Result::ok) {
            assert!(range.start < range.end && range.end <= volume.len(), "{range:?}");
            assert!(end == 0 || range.start > end, "ranges are in order and apart");
            end = range.end;
        }
    }
    let Ok(tree) = scan::scan(&volume, &Silent) else { return };
    let mut reached = HashSet::from([tree.root()]);
    let mut waiting = vec![tree.root()];
    while let Some(directory) = waiting.pop() {
        for child in tree.children(directory) {
            let units = child.name.to_utf16().expect("a name of NTFS is UTF-16").len();
            assert!((1..=255).contains(&units));
            if reached.insert(child.id) && tree.is_directory(child.id) {
                waiting.push(child.id);
            }
        }
    }
    assert_eq!(reached.len(), tree.len(), "every node is reachable from the root");
    for node in tree.nodes() {
        assert!(node.kind == Kind::File || node.links.len() <= 1, "a directory has one name");
        for stream in &node.streams {
            assert!(stream.valid <= stream.size);
            if let StreamData::Runs(runs) = &stream.data {
                let inside = |run: &Run| run.at.is_none_or(|at| at + run.len <= volume.len());
                assert!(runs.iter().all(inside), "runs lie inside the volume");
            }
            // Contents arrive in full or not at all; huge holes are not worth the time.
            if stream.size < 4 << 20 {
                let mut read = 0;
                let result = read_stream(&volume, stream, &mut |bytes| {
                    read += bytes.len() as u64;
                    Ok(())
                });
                assert!(result.is_err() || read == stream.size);
            }
        }
    }
    for node in tree.nodes().take(50) {
        // One file by its number is what it is in the whole.
        let alone = scan::file(&volume, node.id).expect("the scan has read it");
        assert_eq!((&alone.links, &alone.streams), (&node.links, &node.streams));
    }
}

/// A small volume in memory.
pub struct Volume(Vec<u8>);

impl Volume {
    /// Bytes of the volume.
    const LEN: usize = 2 << 20;
    /// The length that stands for a segment with a table of upper-case letters.
    const UPCASE: u32 = u32::MAX;

    /// Zeros, onto which segments are laid: offset (4 bytes), length (4 bytes), bytes. Records and index blocks get a
    /// valid update sequence, which no mutation would ever hit.
    pub fn from_segments(input: &[u8]) -> Volume {
        let mut bytes = vec![0; Volume::LEN];
        let mut rest = input;
        while let [a, b, c, d, e, f, g, h, after @ ..] = rest {
            let offset = u32::from_le_bytes([*a, *b, *c, *d]) as usize % Volume::LEN;
            let len = u32::from_le_bytes([*e, *f, *g, *h]);
            if len == Volume::UPCASE {
                let table: Vec<u8> = (0..=u16::MAX).flat_map(|unit| upper(unit).to_le_bytes()).collect();
                let fits = table.len().min(Volume::LEN - offset);
                bytes[offset..offset + fits].copy_from_slice(&table[..fits]);
                rest = after;
                continue;
            }
            let take = (len as usize).min(after.len());
            let fits = take.min(Volume::LEN - offset);
            bytes[offset..offset + fits].copy_from_slice(&after[..fits]);
            rest = &after[take..];
        }
        for at in (0..Volume::LEN).step_by(1024) {
            match &bytes[at..at + 4] {
                b"FILE" => protect(&mut bytes[at..at + 1024]),
                b"INDX" if at + 4096 <= Volume::LEN => protect(&mut bytes[at..at + 4096]),
                _ => {}
            }
        }
        Volume(bytes)
    }
}

fn upper(unit: u16) -> u16 {
    u8::try_from(unit).map_or(unit, |byte| u16::from(byte.to_ascii_uppercase()))
}

/// Makes every stride of a structure end in the update sequence number, and its array hold what it covers.
fn protect(block: &mut [u8]) {
    let at = usize::from(u16::from_le_bytes([block[4], block[5]]));
    let strides = block.len() / 512;
    if usize::from(u16::from_le_bytes([block[6], block[7]])) != strides + 1 || at + strides * 2 + 2 > 510 {
        return;
    }
    for stride in 1..=strides {
        let tail = stride * 512 - 2;
        block[tail] = block[at];
        block[tail + 1] = block[at + 1];
    }
}

impl ByteSource for Volume {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(self.0.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
