//! Partitions beside the OS volume: they are the OS version's, so what changed there is reported, not captured.
//!
//! Windows itself writes to the partition that it starts from whenever it starts. What that says is worth a remark
//! only where the boot configuration was changed, or other files were.

use super::returned::Returned;
use crate::changed_blocks::changed_blocks;
use crate::plan::warning;
use crate::registry::{HiveFiles, changed_elements};
use crate::report::Warning;
use crate::{Error, Result, streams};
use disk::partition::Partition;
use disk::{BlockSet, ByteSource, SourceWindow};
use operation::Progress;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use volume::{StreamData, Tree};

/// Where boot configurations are kept (UEFI; BIOS; the recovery environment's), in upper case.
const CONFIGURATIONS: [&str; 3] =
    ["\\EFI\\MICROSOFT\\BOOT\\BCD", "\\BOOT\\BCD", "\\EFI\\MICROSOFT\\RECOVERY\\BCD"];
/// What is noted at every start, in upper case.
const NOTED: &str = "\\BOOTSTAT.DAT";

/// Partitions longer than this are not looked into, bytes: none that starts a system is.
const LARGEST: u64 = 4 << 30;
/// A longer boot configuration is not read, bytes; real ones have tens of KiB.
const LARGEST_CONFIGURATION: u64 = 16 << 20;
/// With more entries a partition is not looked into.
const MOST_ENTRIES: usize = 100_000;
/// Deeper directories are not looked into.
const DEEPEST: usize = 64;

/// What changed on other partitions than the OS volume's. The second value is how many bytes were read to find out.
pub(super) fn elsewhere(
    base: &Arc<dyn ByteSource>,
    returned: &Returned,
    changed: Option<&BlockSet>,
    progress: &dyn Progress,
) -> Result<(Vec<Warning>, u64)> {
    let (mut touched, mut elements) = (Vec::new(), Vec::new());
    let mut read = 0;
    for other in &returned.volume.table.partitions {
        if other.number == returned.volume.partition.number || other.end() > base.len() {
            continue;
        }
        let (was, is) = (window(base, other)?, window(&returned.disk, other)?);
        let differs = match changed {
            Some(changed) => changed.intersects(other.start..other.end()),
            None => {
                let (blocks, bytes) = changed_blocks(&was, &is, progress)?;
                read += bytes;
                !blocks.is_empty()
            }
        };
        if !differs {
            continue;
        }
        let name = format!("partition {} ({})", other.number, other.kind);
        match compare(&was, &is) {
            None => touched.push(name),
            Some(changes) => {
                touched.extend(changes.files.iter().map(|path| format!("{name}: {path}")));
                elements.extend(changes.elements.iter().map(|element| format!("{name}: {element}")));
            }
        }
    }
    let warnings = [
        (
            "other-partition-changed",
            "changed on the packaging disk, but not part of the layer: other partitions stay the OS version's",
            touched,
        ),
        (
            "boot-configuration-changed",
            "the boot configuration was changed on the packaging disk, but it stays the OS version's",
            elements,
        ),
    ];
    let said = warnings.into_iter().filter(|(_, _, paths)| !paths.is_empty());
    Ok((said.map(|(code, message, paths)| warning(code, message, paths)).collect(), read))
}

type Part = SourceWindow<Arc<dyn ByteSource>>;

fn window(disk: &Arc<dyn ByteSource>, partition: &Partition) -> Result<Part> {
    SourceWindow::new(Arc::clone(disk), partition.start, partition.len)
        .map_err(|error| Error::record("a partition", &error))
}

/// What changed on a partition.
struct PartitionChanges {
    /// Paths of files.
    files: Vec<String>,
    /// Elements of the boot configuration.
    elements: Vec<String>,
}

/// Compares two states of a partition file by file; `None` where one cannot be read.
fn compare(was: &Part, is: &Part) -> Option<PartitionChanges> {
    if was.len() > LARGEST {
        return None;
    }
    let (was, is) = (PartitionFiles::read(was)?, PartitionFiles::read(is)?);
    let mut changes = PartitionChanges { files: Vec::new(), elements: Vec::new() };
    for (folded, file) in
        is.files.iter().chain(was.files.iter().filter(|(path, _)| !is.files.contains_key(*path)))
    {
        let same = was.files.get(folded).zip(is.files.get(folded)).is_some_and(|(a, b)| a.digest == b.digest);
        let of_configuration = CONFIGURATIONS.iter().any(|path| folded.starts_with(path));
        if same || folded.ends_with(NOTED) || (of_configuration && !CONFIGURATIONS.contains(&folded.as_str()))
        {
            continue;
        }
        let elements = match (was.configurations.get(folded), is.configurations.get(folded)) {
            (Some(was), Some(is)) => changed_elements(was, is).ok(),
            _ => None,
        };
        match elements {
            Some(elements) => {
                changes.elements.extend(elements.iter().map(|element| format!("{} {element}", file.path)));
            }
            None => changes.files.push(file.path.clone()),
        }
    }
    Some(changes)
}

/// A file of a partition.
struct PartitionFile {
    path: String,
    digest: blake3::Hash,
}

/// The files of a partition by upper-case path, and its boot configurations with their logs.
#[derive(Default)]
struct PartitionFiles {
    files: BTreeMap<String, PartitionFile>,
    configurations: BTreeMap<String, HiveFiles>,
    /// Entries that were met, among them directories.
    entries: usize,
    /// Bytes that may still be read: more than a volume holds, it cannot say without lying.
    budget: u64,
}

impl PartitionFiles {
    /// Reads a FAT or NTFS volume; `None` where it is neither, or cannot be read.
    fn read(volume: &Part) -> Option<PartitionFiles> {
        let mut files = PartitionFiles { budget: volume.len(), ..PartitionFiles::default() };
        match ntfs_volume::scan::scan(volume, &operation::Silent) {
            Ok(tree) => files.add_ntfs(volume, &tree)?,
            Err(_) => {
                let fat = fatfs::FileSystem::new(ReadOnly::new(volume), fatfs::FsOptions::new()).ok()?;
                files.add_fat(&fat.root_dir(), "", 0)?;
            }
        }
        Some(files)
    }

    fn add_fat(&mut self, directory: &fatfs::Dir<'_, ReadOnly<'_>>, path: &str, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        for entry in directory.iter() {
            let entry = entry.ok()?;
            self.count_entry()?;
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let path = format!("{path}\\{name}");
            if entry.is_dir() {
                self.add_fat(&entry.to_dir(), &path, depth + 1)?;
            } else {
                self.add(path, entry.len(), &mut entry.to_file())?;
            }
        }
        Some(())
    }

    fn add_ntfs(&mut self, volume: &Part, tree: &Tree) -> Option<()> {
        let mut pending = vec![(String::new(), tree.root())];
        while let Some((path, directory)) = pending.pop() {
            for child in tree.children(directory) {
                self.count_entry()?;
                let path = format!("{path}\\{}", child.name);
                if tree.is_directory(child.id) {
                    pending.push((path, child.id));
                    continue;
                }
                let streams = &tree.node(child.id)?.streams;
                let Some(main) = streams.iter().find(|stream| stream.name.is_empty()) else { continue };
                let parts = streams::parts(main);
                match &main.data {
                    StreamData::Inline(bytes) => self.add(path, main.size, &mut &bytes[..])?,
                    StreamData::Runs(_) => {
                        self.add(path, main.size, &mut streams::PartReader::new(volume, &parts))?;
                    }
                }
            }
        }
        Some(())
    }

    fn count_entry(&mut self) -> Option<()> {
        self.entries += 1;
        (self.entries <= MOST_ENTRIES).then_some(())
    }

    /// Adds a file of `len` bytes.
    fn add(&mut self, path: String, len: u64, content: &mut dyn Read) -> Option<()> {
        self.budget = self.budget.checked_sub(len)?;
        let folded = path.to_uppercase();
        let mut hasher = blake3::Hasher::new();
        let configuration = CONFIGURATIONS.iter().find(|own| folded.starts_with(*own));
        if let Some(own) = configuration.filter(|_| len <= LARGEST_CONFIGURATION) {
            let mut bytes = Vec::new();
            content.take(LARGEST_CONFIGURATION).read_to_end(&mut bytes).ok()?;
            hasher.update(&bytes);
            let hive = self.configurations.entry((*own).to_owned()).or_default();
            match &folded[own.len()..] {
                "" => hive.file = bytes,
                ".LOG" | ".LOG1" | ".LOG2" => hive.logs.push(bytes),
                _ => {}
            }
        } else {
            let mut buffer = vec![0; 1 << 16];
            loop {
                let read = content.read(&mut buffer).ok()?;
                if read == 0 {
                    break;
                }
                hasher.update(&buffer[..read]);
            }
        }
        self.files.insert(folded, PartitionFile { path, digest: hasher.finalize() });
        Some(())
    }
}

/// A volume as the FAT library wants it: read through a small window, never written.
struct ReadOnly<'v> {
    volume: &'v Part,
    position: u64,
    /// What was read last, and from where.
    window: Vec<u8>,
    start: u64,
}

impl<'v> ReadOnly<'v> {
    const WINDOW: u64 = 1 << 16;

    fn new(volume: &'v Part) -> ReadOnly<'v> {
        ReadOnly { volume, position: 0, window: Vec::new(), start: 0 }
    }
}

impl Read for ReadOnly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.volume.len().saturating_sub(self.position);
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let inside = self.position.checked_sub(self.start).filter(|at| *at < self.window.len() as u64);
        let at = match inside {
            Some(at) => at as usize,
            None => {
                self.window.resize(left.min(ReadOnly::WINDOW) as usize, 0);
                self.start = self.position;
                self.volume.read_exact_at(self.position, &mut self.window)?;
                0
            }
        };
        let len = buffer.len().min(self.window.len() - at);
        buffer[..len].copy_from_slice(&self.window[at..at + len]);
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for ReadOnly<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.volume.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

impl Write for ReadOnly<'_> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
