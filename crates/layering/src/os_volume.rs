//! Which volume of a disk is the OS volume, and access to it.

use crate::error::Rule;
use crate::{Error, Result};
use disk::partition::{Partition, PartitionTable};
use disk::{ByteSource, SourceWindow};
use ntfs_volume::gate;
use ntfs_volume::scan::scan;
use operation::{Progress, Silent};
use std::sync::Arc;
use volume::{Name, Refusal, Tree};

/// A disk whose OS volume is known.
pub(crate) struct OsVolume {
    /// The disk's partitions.
    pub(crate) table: PartitionTable,
    /// The OS volume's partition.
    pub(crate) partition: Partition,
}

impl OsVolume {
    /// Finds the OS volume: the partition `number` if one is given, else the only NTFS volume, else of several the one
    /// that holds `\Windows\System32\config`. Recovery partitions do not count. `name` is what messages call the disk.
    pub(crate) fn find(disk: &Arc<dyn ByteSource>, number: Option<u32>, name: &str) -> Result<OsVolume> {
        let table = PartitionTable::read(&**disk)
            .map_err(|source| Error::Partition { context: name.to_owned(), source })?;
        if let Some(number) = number {
            let Some(partition) = table.partition(number).cloned() else {
                let numbers: Vec<String> = table.partitions.iter().map(|p| p.number.to_string()).collect();
                let detail = format!("; it has {}", numbers.join(", "));
                return Err(Rule::NoPartition { disk: name.to_owned(), number, detail }.into());
            };
            let volume = OsVolume { table, partition };
            // Says what is there instead, if it is no NTFS volume.
            ntfs_volume::facts(&volume.window(disk)?).map_err(Error::volume(volume.context(name)))?;
            return Ok(volume);
        }
        let mut candidates = Vec::new();
        let mut bitlocker = false;
        // NTFS volumes that something is wrong with.
        let mut unusable = Vec::new();
        for partition in &table.partitions {
            let volume = OsVolume { table: table.clone(), partition: partition.clone() };
            match ntfs_volume::facts(&volume.window(disk)?) {
                // Windows keeps its recovery environment on an NTFS volume of its own.
                Ok(_) if partition.kind.is_recovery() => {}
                Ok(_) => candidates.push(volume),
                Err(volume::Error::Refused(Refusal::BitLocker)) => bitlocker = true,
                Err(volume::Error::Device(source)) => {
                    return Err(Error::Io { doing: format!("reading {}", volume.context(name)), source });
                }
                Err(volume::Error::Refused(Refusal::NotThisFileSystem { .. })) => {}
                Err(source) => unusable.push(Error::Volume { context: volume.context(name), source }),
            }
        }
        if candidates.len() > 1 {
            let mut systems = Vec::new();
            let mut unreadable = None;
            let all: Vec<u32> = candidates.iter().map(|volume| volume.partition.number).collect();
            for candidate in candidates {
                // A second volume that cannot be read is no reason to refuse the first.
                match candidate.scan(disk, name, &Silent) {
                    Ok(tree) if is_windows(&tree) => systems.push(candidate),
                    Ok(_) => {}
                    Err(error) => unreadable = Some(error),
                }
            }
            if let (true, Some(error)) = (systems.is_empty(), unreadable) {
                return Err(error);
            }
            if systems.len() != 1 {
                let found = systems.iter().map(|volume| volume.partition.number).collect();
                let choice: Vec<u32> = if systems.is_empty() { all } else { found };
                let candidates = choice.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
                return Err(Rule::SeveralVolumes { disk: name.to_owned(), candidates }.into());
            }
            return Ok(systems.remove(0));
        }
        let encrypted = || Error::Volume { context: name.to_owned(), source: Refusal::BitLocker.into() };
        match candidates.pop() {
            // Beside an encrypted volume the other one is the system only if it says so.
            Some(volume)
                if bitlocker && !volume.scan(disk, name, &Silent).is_ok_and(|tree| is_windows(&tree)) =>
            {
                Err(encrypted())
            }
            Some(volume) => Ok(volume),
            None if bitlocker => Err(encrypted()),
            None if !unusable.is_empty() => Err(unusable.swap_remove(0)),
            None => Err(Rule::NoVolume { disk: name.to_owned(), detail: describe(&table) }.into()),
        }
    }

    /// The bytes of the volume.
    pub(crate) fn window(&self, disk: &Arc<dyn ByteSource>) -> Result<SourceWindow<Arc<dyn ByteSource>>> {
        SourceWindow::new(Arc::clone(disk), self.partition.start, self.partition.len)
            .map_err(|error| Error::record("a partition", &error))
    }

    /// What messages call the volume.
    pub(crate) fn context(&self, disk: &str) -> String {
        format!("partition {} of {disk}", self.partition.number)
    }

    /// Every file of a volume that comes from elsewhere, which is refused unless it was shut down and holds its contents.
    pub(crate) fn scan_shut_down(
        &self,
        disk: &Arc<dyn ByteSource>,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<Tree> {
        let window = self.window(disk)?;
        let scan = || {
            // In this order: what a machine has not finished writing may look like damage.
            gate::check_volume(&window)?;
            let tree = scan(&window, progress)?;
            gate::check_tree(&window, &tree)?;
            Ok(tree)
        };
        scan().map_err(Error::volume(self.context(name)))
    }

    /// Every file of the volume.
    pub(crate) fn scan(
        &self,
        disk: &Arc<dyn ByteSource>,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<Tree> {
        scan(&self.window(disk)?, progress).map_err(Error::volume(self.context(name)))
    }
}

/// Whether the volume holds a Windows installation.
pub(crate) fn is_windows(tree: &Tree) -> bool {
    let path = ["Windows", "System32", "config"].map(Name::from);
    tree.lookup(&path).is_some()
}

fn describe(table: &PartitionTable) -> String {
    if table.partitions.is_empty() {
        return " and no partitions".to_owned();
    }
    let kinds: Vec<String> = table
        .partitions
        .iter()
        .map(|partition| format!("{}: {}", partition.number, partition.kind))
        .collect();
    format!(" (partitions {})", kinds.join(", "))
}
