//! Which volume of a disk is the OS volume, and access to it.

use crate::error::Rule;
use crate::{Error, Result};
use disk::partition::{Partition, PartitionTable};
use disk::{ByteSource, SourceWindow};
use operation::Silent;
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
    /// that holds `\Windows\System32\config`. `name` is what messages call the disk.
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
        for partition in &table.partitions {
            let volume = OsVolume { table: table.clone(), partition: partition.clone() };
            match ntfs_volume::facts(&volume.window(disk)?) {
                Ok(_) => candidates.push(volume),
                Err(volume::Error::Refused(Refusal::BitLocker)) => bitlocker = true,
                Err(volume::Error::Device(source)) => {
                    return Err(Error::Io { doing: format!("reading {}", volume.context(name)), source });
                }
                Err(_) => {}
            }
        }
        if candidates.len() > 1 {
            let mut systems = Vec::new();
            let all: Vec<u32> = candidates.iter().map(|volume| volume.partition.number).collect();
            for candidate in candidates {
                // A second volume that cannot be read is no reason to refuse the first.
                let holds_windows = candidate.scan(disk, name).is_ok_and(|tree| is_windows(&tree));
                if holds_windows {
                    systems.push(candidate);
                }
            }
            if systems.len() != 1 {
                let found = systems.iter().map(|volume| volume.partition.number).collect();
                let choice: Vec<u32> = if systems.is_empty() { all } else { found };
                let candidates = choice.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
                return Err(Rule::SeveralVolumes { disk: name.to_owned(), candidates }.into());
            }
            return Ok(systems.remove(0));
        }
        match candidates.pop() {
            Some(volume) => Ok(volume),
            None if bitlocker => {
                Err(Error::Volume { context: name.to_owned(), source: Refusal::BitLocker.into() })
            }
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

    /// Every file of the volume.
    pub(crate) fn scan(&self, disk: &Arc<dyn ByteSource>, name: &str) -> Result<Tree> {
        ntfs_volume::scan::scan(&self.window(disk)?, &Silent).map_err(Error::volume(self.context(name)))
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
