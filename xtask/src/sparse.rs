//! Copying parts of sparse files: holes stay holes.

use anyhow::{Context, Result};
use rustix::fs::{FallocateFlags, SeekFrom as Seek, fallocate, seek};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek as _, SeekFrom};
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

/// The bytes that the file occupies on its file system.
pub(crate) fn allocated(path: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(path.metadata()?.blocks() * 512)
}

#[cfg(test)]
mod tests {
    use super::*;

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
