//! How many files a second the editor makes. Not a test of correctness: run with
//! `cargo test --release -p ntfs-volume --test edit_speed -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may fail, and says what it skips

mod edit_support;

use disk::{ByteSource, ExtentMap, Overlay, PageBudget};
use edit_support::*;
use ntfs_volume::edit::{NtfsEditor, ROOT};
use std::io;
use std::sync::Arc;
use std::time::Instant;
use volume::{Name, VolumeEditor};

const LEN: u64 = 8 << 30;

/// A pack of contents that nobody reads: only places matter here.
struct Contents;

impl ByteSource for Contents {
    fn len(&self) -> u64 {
        LEN
    }

    fn read_exact_at(&self, _offset: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.fill(0x5a);
        Ok(())
    }
}

/// 24,000 files in 2,000 directories: every fourth with a short name, every fiftieth with a named stream, every
/// twentieth with a second name; 8 security descriptors; 1.7 GB of contents, spliced.
#[test]
#[ignore = "a measurement"]
fn files_per_second() {
    let Some(base) = format("files_per_second", LEN, 4096) else { return };
    let mut rates = Vec::new();
    for _ in 0..7 {
        let mut map = ExtentMap::new(LEN);
        map.splice(0, LEN, disk::SourceRange { source: disk::SourceId(0), offset: 0 }).unwrap();
        let sources: Vec<Arc<dyn ByteSource>> = vec![Arc::new(base.clone()), Arc::new(Contents)];
        let overlay =
            Overlay::new(map, sources, PageBudget { bytes: 256 << 20, scratch_dir: std::env::temp_dir() })
                .unwrap();
        let started = Instant::now();
        let mut editor = NtfsEditor::mount(overlay).unwrap();
        editor.reserve(24_000 * 73_728).unwrap();
        let zone = Name::from("Zone.Identifier");
        let mut at = 0;
        for d in 0..2000_u64 {
            let name = Name::from(format!("directory {d:05}").as_str());
            let dir = editor.make_directory(ROOT, &name, None, &metadata(d), &[]).unwrap();
            for f in 0..12 {
                let i = d * 12 + f;
                let name = Name::from(format!("library number {f:06}.dll").as_str());
                let short = (i % 4 == 0).then(|| Name::from(format!("LIBR~{f:03X}.DLL").as_str()));
                let len = 64 * 1024 + i % 16_384;
                let contents = [splice(disk::SourceId(1), at, len)];
                let streams =
                    [runs(main_name(), len, &contents), inline(&zone, b"[ZoneTransfer]\r\nZoneId=3\r\n")];
                let streams = if i % 50 == 7 { &streams[..] } else { &streams[..1] };
                let file = editor.make_file(dir, &name, short.as_ref(), &metadata(i), streams).unwrap();
                if i % 20 == 3 {
                    let link = Name::from(format!("link {i:06}.dll").as_str());
                    editor.link(file, dir, &link).unwrap();
                }
                at += len.next_multiple_of(4096);
            }
        }
        let overlay = editor.finish_into().unwrap();
        let seconds = started.elapsed().as_secs_f64();
        rates.push(24_000.0 / seconds);
        println!(
            "{seconds:.3} s, {:.0} files/s, {} MiB changed",
            24_000.0 / seconds,
            overlay.dirty_blocks().bytes() >> 20
        );
    }
    rates.sort_by(f64::total_cmp);
    println!("median {:.0} files/s", rates[rates.len() / 2]);
}
