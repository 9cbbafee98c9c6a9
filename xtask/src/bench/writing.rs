//! Writing a generated tree: into a folder of this machine, or into a mounted NTFS volume with all its metadata.

use super::tree::{Entry, File, Kind, POOL_BYTES, Tree, descriptor, folders_above};
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use rustix::fs::{XattrFlags, setxattr};
use std::io::Write;
use std::path::Path;

/// What a browser writes into the stream of a file that it downloaded.
const ZONE_IDENTIFIER: &[u8] = b"[ZoneTransfer]\r\nZoneId=3\r\n";

/// 2024-01-01 in NTFS time: 100 ns since 1601.
const CREATED: u64 = 133_485_408_000_000_000;

/// What of a file is written besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metadata {
    /// Nothing: for a folder of this machine.
    None,
    /// Security, 8.3 names, streams and times, through the extended attributes of the ntfs-3g driver.
    Ntfs,
}

/// Writes `tree` below `root`.
pub(crate) fn write(tree: &Tree, root: &Path, metadata: Metadata, bar: &ProgressBar) -> Result<()> {
    let mut pool = vec![0u8; POOL_BYTES];
    fastrand::Rng::with_seed(1).fill(&mut pool);
    let descriptors: Vec<Vec<u8>> = (0..super::tree::DESCRIPTORS).map(descriptor).collect();
    for folder in folders_above(tree) {
        std::fs::create_dir_all(root.join(folder))?;
    }
    bar.set_length(tree.entries.len() as u64);
    for (index, entry) in tree.entries.iter().enumerate() {
        let path = root.join(&entry.path);
        write_entry(tree, index, entry, &path, root, &pool)
            .with_context(|| format!("cannot write {}", path.display()))?;
        if let (Kind::File(file), Metadata::Ntfs) = (&entry.kind, metadata) {
            write_metadata(index, file, &path, &descriptors)
                .with_context(|| format!("cannot write the metadata of {}", path.display()))?;
        }
        bar.inc(1);
    }
    Ok(())
}

fn write_entry(
    tree: &Tree,
    index: usize,
    entry: &Entry,
    path: &Path,
    root: &Path,
    pool: &[u8],
) -> Result<()> {
    match &entry.kind {
        Kind::Folder => std::fs::create_dir(path)?,
        Kind::Link(target) => std::fs::hard_link(root.join(&tree.entries[*target].path), path)?,
        Kind::File(file) => {
            let mut out = std::fs::File::create_new(path)?;
            let mut left = usize::try_from(file.bytes)?;
            let mut piece = 0u64;
            // The number in front makes every file, and every piece of a large one, different from all others.
            while left > 0 {
                let head = [(index as u64).to_le_bytes(), piece.to_le_bytes()].concat();
                let head = &head[..head.len().min(left)];
                let body = (left - head.len()).min(pool.len() - file.pool_offset);
                out.write_all(head)?;
                out.write_all(&pool[file.pool_offset..file.pool_offset + body])?;
                left -= head.len() + body;
                piece += 1;
            }
        }
    }
    Ok(())
}

fn write_metadata(index: usize, file: &File, path: &Path, descriptors: &[Vec<u8>]) -> Result<()> {
    let set = |name: &str, value: &[u8]| -> Result<()> {
        setxattr(path, name, value, XattrFlags::empty()).with_context(|| format!("cannot set {name}"))
    };
    if let Some(name) = &file.short_name {
        set("system.ntfs_dos_name", name.as_bytes())?;
    }
    if let Some(bytes) = descriptors.get(usize::from(file.descriptor)) {
        set("system.ntfs_acl", bytes)?;
    }
    if file.marked_as_downloaded {
        set("user.Zone.Identifier", ZONE_IDENTIFIER)?;
    }
    let created = CREATED + index as u64 * 10_000_000;
    let times: Vec<u8> =
        [created, created + 77, created + 99].iter().flat_map(|time| time.to_le_bytes()).collect();
    set("system.ntfs_times", &times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tree;

    #[test]
    fn a_written_tree_has_the_sizes_links_and_differences_that_were_planned() {
        let mut small = tree::application();
        small.entries.retain(|entry| !matches!(&entry.kind, Kind::File(file) if file.bytes > 100_000));
        small.entries.truncate(2_500);
        small.entries.retain(|entry| !matches!(entry.kind, Kind::Link(_)));
        let last = small.entries.len() - 1;
        small.entries.push(Entry { path: "Program Files/Suite/second-name".into(), kind: Kind::Link(last) });

        let root = tempfile::tempdir().unwrap();
        write(&small, root.path(), Metadata::None, &ProgressBar::hidden()).unwrap();
        let mut contents = std::collections::HashSet::new();
        for entry in &small.entries {
            if let Kind::File(file) = &entry.kind {
                let content = std::fs::read(root.path().join(&entry.path)).unwrap();
                assert_eq!(content.len() as u64, file.bytes, "{}", entry.path);
                assert!(file.bytes < 16 || contents.insert(content), "{} equals another", entry.path);
            }
        }
        assert!(contents.len() > 100, "{}", contents.len());
        let link = std::fs::read(root.path().join("Program Files/Suite/second-name")).unwrap();
        assert_eq!(link, std::fs::read(root.path().join(&small.entries[last].path)).unwrap());
    }
}
