//! Writing QCOW2 images.
//!
//! ```text
//! header | level 1 table | level 2 table, its clusters | level 2 table, its clusters | ... | refcount table | refcounts
//! ```
//!
//! All clusters of the file are used exactly once, so the refcounts are known when the file is complete and follow at
//! its end.

use super::{COPIED, MAGIC};
use crate::format::Result;
use crate::format::export::{Finish, Layout, Window, Write};
use crate::format::fields::put;

const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Entries of 8 bytes in a cluster.
const ENTRIES: u64 = CLUSTER / 8;
/// Refcounts of 16 bits in a cluster.
const REFCOUNTS: u64 = CLUSTER / 2;
const HEADER_LEN: u32 = 104;

/// Clusters in the order in which they are met.
pub(in crate::format) struct ClusterLayout {
    disk: u64,
    level1: Vec<u64>,
    /// The level 2 table that is being filled: which one, where it goes in the file, its entries.
    level2: Option<(u64, u64, Vec<u64>)>,
    /// Where the next cluster goes, bytes.
    next: u64,
}

impl ClusterLayout {
    pub(in crate::format) fn new(disk: u64) -> Result<ClusterLayout> {
        let level1 = vec![0; disk.div_ceil(CLUSTER * ENTRIES) as usize];
        let next = CLUSTER + (level1.len() as u64 * 8).next_multiple_of(CLUSTER);
        Ok(ClusterLayout { disk, level1, level2: None, next })
    }
}

fn big_endian(entries: &[u64]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}

impl Layout for ClusterLayout {
    type Encoder = ();

    fn disk_len(&self) -> u64 {
        self.disk
    }

    fn place<'w>(&mut self, window: &Window<'w>, (): &(), writes: &mut Vec<Write<'w>>) -> Result<()> {
        window.place_in_units(CLUSTER, writes, |number, writes| {
            let wanted = number / ENTRIES;
            let (_, _, entries) = match &mut self.level2 {
                Some(table) if table.0 == wanted => table,
                other => {
                    if let Some((_, at, entries)) = other.take() {
                        writes.push(Write::owned(at, big_endian(&entries)));
                    }
                    self.level1[wanted as usize] = self.next | COPIED;
                    let table = other.insert((wanted, self.next, vec![0; ENTRIES as usize]));
                    self.next += CLUSTER;
                    table
                }
            };
            let at = self.next;
            entries[(number % ENTRIES) as usize] = at | COPIED;
            self.next += CLUSTER;
            Ok(at)
        })
    }

    fn finish(self) -> Result<Finish> {
        let used = self.next / CLUSTER;
        // The refcounts count their own clusters too: look for the size that holds itself.
        let (mut blocks, mut tables) = (1, 1);
        while blocks * REFCOUNTS < used + blocks + tables || tables * ENTRIES < blocks {
            blocks = (used + blocks + tables).div_ceil(REFCOUNTS);
            tables = blocks.div_ceil(ENTRIES);
        }
        let total = used + blocks + tables;
        let table_at = self.next;
        let blocks_at = table_at + tables * CLUSTER;

        let mut header = vec![0; HEADER_LEN as usize];
        put(&mut header, 0, *MAGIC);
        put(&mut header, 4, 3u32.to_be_bytes());
        put(&mut header, 20, CLUSTER_BITS.to_be_bytes());
        put(&mut header, 24, self.disk.to_be_bytes());
        put(&mut header, 36, (self.level1.len() as u32).to_be_bytes());
        put(&mut header, 40, CLUSTER.to_be_bytes());
        put(&mut header, 48, table_at.to_be_bytes());
        put(&mut header, 56, (tables as u32).to_be_bytes());
        put(&mut header, 96, 4u32.to_be_bytes()); // refcounts of 2^4 bits
        put(&mut header, 100, HEADER_LEN.to_be_bytes());

        let table: Vec<u64> = (0..blocks).map(|block| blocks_at + block * CLUSTER).collect();
        let mut writes =
            vec![(0, header), (CLUSTER, big_endian(&self.level1)), (table_at, big_endian(&table))];
        writes.extend(self.level2.map(|(_, at, entries)| (at, big_endian(&entries))));
        // One refcount of 1 for every cluster, a cluster of them at a time.
        let counts = (0..blocks).map(move |block| {
            let count = REFCOUNTS.min(total - block * REFCOUNTS);
            (blocks_at + block * CLUSTER, [0, 1].repeat(count as usize))
        });
        Ok(Finish { file_len: total * CLUSTER, writes: Box::new(writes.into_iter().chain(counts)) })
    }
}
