//! Volumes made longer in place, compared with what ntfsresize makes of them.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may fail, and says what it skips

mod edit_support;

use disk::ByteSource;
use edit_support::*;
use ntfs_volume::edit::{ROOT, grow};
use std::process::Command;
use volume::{Error, NewRun, VolumeEditor};

const MIB: u64 = 1 << 20;

fn sectors(memory: &Memory, at: u64) -> u64 {
    let mut bytes = [0; 8];
    memory.read_exact_at(at + 0x28, &mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

#[test]
fn a_grown_volume_fits_together_and_can_be_filled() {
    let test = "a_grown_volume_fits_together_and_can_be_filled";
    for (cluster, old, new) in [
        (4096, 16 * MIB, 64 * MIB),
        (4096, 16 * MIB, 16 * MIB + 512 * 1024 + 512),
        (4096, 16 * MIB, 200 * MIB),
        (512, 16 * MIB, 48 * MIB + 1024),
        (65536, 32 * MIB, 90 * MIB),
        (4096, 16 * MIB + 512, 40 * MIB + 3 * 512),
    ] {
        let Some(memory) = format(test, old, cluster) else { return };
        let mut editor = edit(memory);
        let before = make(&mut editor, "before", &noise(50_000, 1));
        let mut memory = editor.finish_into().unwrap();
        memory.set_len(new);
        memory.soil_free_space();
        let memory = grow(memory, new).unwrap();
        assert_eq!(sectors(&memory, 0), new / 512 - 1);
        let (mut first, mut last) = ([0; 512], [0; 512]);
        memory.read_exact_at(0, &mut first).unwrap();
        memory.read_exact_at((new / 512 - 1) * 512, &mut last).unwrap();
        assert_eq!(first, last, "the copy of the boot sector");
        let same = grow(memory.clone(), new).unwrap();
        assert!(same.contents() == memory.contents(), "growing to the same length changes nothing");
        if let Some(dump) = dissect(test, &memory) {
            assert_eq!(dump.0["clusters"].as_u64().unwrap(), (new / 512 - 1) * 512 / cluster);
            dump.assert_stream(before, "", &noise(50_000, 1));
        }
        // More than the old volume had room for.
        let mut editor = edit(memory);
        let len = (new - old) * 9 / 10;
        let zero = [NewRun::Zero { len }];
        let after = editor
            .make_file(ROOT, &"after".into(), None, &metadata(1), &[runs(main_name(), len, &zero)])
            .unwrap();
        let memory = editor.finish_into().unwrap();
        if new < 100 * MIB
            && let Some(dump) = dissect(test, &memory)
        {
            assert_eq!(dump.stream(after, "")["size"], len);
        }
    }
}

#[test]
fn growing_gives_what_ntfsresize_gives() {
    let test = "growing_gives_what_ntfsresize_gives";
    let Some(base) = format(test, 16 * MIB, 4096) else { return };
    let mut ours = base.clone();
    ours.set_len(200 * MIB);
    let ours = grow(ours, 200 * MIB).unwrap();

    let image = tempfile::NamedTempFile::new().unwrap();
    base.save(image.path());
    image.as_file().set_len(200 * MIB).unwrap();
    let command =
        Command::new("ntfsresize").args(["-f", "-f", "--no-progress-bar"]).arg(image.path()).output();
    let Ok(output) = command else { return println!("SKIPPED {test}: ntfsresize is not installed") };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let theirs = Memory::load(image.path());
    // ntfsresize rounds the sectors down to whole clusters, Windows and mkntfs do not.
    assert_eq!(sectors(&ours, 0) / 8, sectors(&theirs, 0) / 8);

    let of = |memory: &Memory, file: &str| {
        let image = tempfile::NamedTempFile::new().unwrap();
        memory.save(image.path());
        let output = Command::new("ntfscat").args(["-f", "-i", file]).arg(image.path()).output().unwrap();
        assert!(output.status.success());
        output.stdout
    };
    let (our_bits, their_bits) = (of(&ours, "6"), of(&theirs, "6"));
    let clusters = (sectors(&ours, 0) * 512 / 4096) as usize;
    assert_eq!(our_bits.len(), their_bits.len());
    // The two put $Bitmap's new clusters in different places; they agree on everything else.
    let count = |bits: &[u8]| bits.iter().map(|byte| byte.count_ones()).sum::<u32>();
    assert_eq!(count(&our_bits), count(&their_bits));
    assert_eq!(our_bits[clusters / 8 + 1..], their_bits[clusters / 8 + 1..]);

    // ntfsresize itself finds nothing to complain about in ours, and would have to mark it for a check to change it.
    let image = tempfile::NamedTempFile::new().unwrap();
    ours.save(image.path());
    let output = Command::new("ntfsresize")
        .args(["--info", "--force", "--no-progress-bar"])
        .arg(image.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && !text.contains("ERROR"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_full_volume_grows() {
    let test = "a_full_volume_grows";
    let Some(memory) = format(test, 16 * MIB, 512) else { return };
    let mut memory = memory;
    for len in (9..23).rev().map(|shift| 1_u64 << shift) {
        let zero = [NewRun::Zero { len }];
        for i in 0..8 {
            let mut editor = edit(memory.clone());
            let name = format!("{len} {i}");
            let stream = [runs(main_name(), len, &zero)];
            if editor.make_file(ROOT, &name.as_str().into(), None, &metadata(i), &stream).is_err() {
                break; // that editor is lost, what it had so far is not
            }
            memory = editor.finish_into().unwrap();
        }
    }
    assert!(free_bytes(&memory) < 16 * 1024, "{} bytes are free", free_bytes(&memory));
    memory.set_len(64 * MIB);
    let memory = grow(memory, 64 * MIB).unwrap();
    dissect(test, &memory);
}

fn free_bytes(memory: &Memory) -> u64 {
    ntfs_volume::facts(memory).unwrap().free
}

#[test]
fn impossible_lengths_are_refused() {
    let test = "impossible_lengths_are_refused";
    let Some(memory) = format(test, 16 * MIB, 4096) else { return };
    let refused = |memory: &Memory, len: u64| {
        let result = grow(memory.clone(), len);
        assert!(matches!(result, Err(Error::NotExpressible { .. })), "{len}");
    };
    refused(&memory, 8 * MIB);
    refused(&memory, 32 * MIB); // the device is as long as before
    let mut long = memory.clone();
    long.set_len(32 << 40);
    refused(&long, 32 << 40); // 2^33 clusters of 4 KiB
}
