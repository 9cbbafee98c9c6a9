//! Copying parts of sparse files: holes stay holes.

use anyhow::{Context, Result};
use rustix::fs::{FallocateFlags, SeekFrom as Seek, fallocate, seek};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Makes `to` a file with the `length` bytes of `from` that begin at `offset`.
pub(crate) fn take_out(from: &Path, offset: u64, length: u64, to: &Path) -> Result<()> {
    let source = File::open(from).with_context(|| format!("cannot open {}", from.display()))?;
    let target = File::create(to).with_context(|| format!("cannot make {}", to.display()))?;
    target.set_len(length)?;
    copy_data(&source, offset, length, &target, 0)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Puts the whole of `from` into `to` at byte `offset`; what `to` had there is gone, holes included.
pub(crate) fn put_in(from: &Path, to: &Path, offset: u64) -> Result<()> {
    let source = File::open(from).with_context(|| format!("cannot open {}", from.display()))?;
    let target =
        OpenOptions::new().write(true).open(to).with_context(|| format!("cannot open {}", to.display()))?;
    let length = source.metadata()?.len();
    fallocate(&target, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, length)
        .with_context(|| format!("cannot clear a range of {}", to.display()))?;
    copy_data(&source, 0, length, &target, offset)
        .with_context(|| format!("cannot copy {} into {}", from.display(), to.display()))
}

fn copy_data(mut source: &File, offset: u64, length: u64, mut target: &File, to: u64) -> Result<()> {
    let end = offset + length;
    let mut position = offset;
    while position < end {
        let data = match seek(source, Seek::Data(position)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break, // only a hole is left
            Err(error) => return Err(error.into()),
        };
        if data >= end {
            break;
        }
        let hole = seek(source, Seek::Hole(data))?.min(end);
        source.seek(SeekFrom::Start(data))?;
        target.seek(SeekFrom::Start(to + (data - offset)))?;
        std::io::copy(&mut source.take(hole - data), &mut target)?;
        position = hole;
    }
    Ok(())
}

/// The ranges, offset and length in bytes and multiples of `grain`, in which two files of equal length differ. Where
/// both have holes nothing is read.
pub(crate) fn changed_ranges(a: &Path, b: &Path, grain: u64) -> Result<Vec<(u64, u64)>> {
    let open = |path: &Path| File::open(path).with_context(|| format!("cannot open {}", path.display()));
    let (first, second) = (open(a)?, open(b)?);
    let length = first.metadata()?.len();
    let (mut ours, mut theirs) = (vec![0; grain as usize], vec![0; grain as usize]);
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let mut position = 0;
    while position < length {
        let data = [next_data(&first, position)?, next_data(&second, position)?];
        let Some(data) = data.into_iter().flatten().min() else { break };
        let start = data / grain * grain;
        let count = grain.min(length - start) as usize;
        first.read_exact_at(&mut ours[..count], start)?;
        second.read_exact_at(&mut theirs[..count], start)?;
        if ours[..count] != theirs[..count] {
            match ranges.last_mut() {
                Some((offset, len)) if *offset + *len == start => *len += count as u64,
                _ => ranges.push((start, count as u64)),
            }
        }
        position = start + grain;
    }
    Ok(ranges)
}

/// Where the first data at or behind a position is.
fn next_data(file: &File, position: u64) -> Result<Option<u64>> {
    match seek(file, Seek::Data(position)) {
        Ok(data) => Ok(Some(data)),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The bytes that the file occupies on its file system.
pub(crate) fn allocated(path: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(path.metadata()?.blocks() * 512)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_ranges_are_those_in_which_two_files_differ() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        for path in [&a, &b] {
            File::create(path).unwrap().set_len(10 << 20).unwrap();
        }
        let write = |path: &Path, at: u64, bytes: &[u8]| {
            OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
        };
        write(&a, 5 << 20, b"same");
        write(&b, 5 << 20, b"same");
        write(&b, 1_000_000, b"only there");
        write(&a, (10 << 20) - 1, b"x");
        assert_eq!(changed_ranges(&a, &b, 65_536).unwrap(), [(983_040, 65_536), (10_420_224, 65_536)]);
    }

    #[test]
    fn a_volume_taken_out_of_a_disk_and_put_back_leaves_the_disk_around_it_alone() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        let volume = folder.path().join("volume");
        let mut content = vec![0u8; 1 << 20];
        content[..512].fill(1);
        content[200_000..300_000].fill(2);
        content[(1 << 20) - 512..].fill(3);
        std::fs::write(&disk, &content).unwrap();

        take_out(&disk, 65_536, 524_288, &volume).unwrap();
        let mut inside = std::fs::read(&volume).unwrap();
        assert_eq!(inside, content[65_536..65_536 + 524_288]);

        // Where the volume became a hole the disk must not keep its old bytes.
        inside.fill(0);
        std::fs::remove_file(&volume).unwrap();
        File::create(&volume).unwrap().set_len(524_288).unwrap();
        put_in(&volume, &disk, 65_536).unwrap();
        content[65_536..65_536 + 524_288].fill(0);
        assert_eq!(std::fs::read(&disk).unwrap(), content);
    }
}
