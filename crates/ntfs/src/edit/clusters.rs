//! Clusters for new streams, taken from a reservation so that a whole layer lies in one piece.

use super::library::{Element, Volume};
use std::collections::VecDeque;
use std::io;

/// Clusters that are marked as used in $Bitmap and belong to no stream yet.
#[derive(Debug, Default)]
pub(super) struct Reservation {
    runs: VecDeque<(u64, u64)>,
    clusters: u64,
}

/// What is taken from $Bitmap at once when nothing was reserved, in clusters: a call of the allocator costs about the
/// same for one cluster as for many.
const REFILL: u64 = 1024;

impl Reservation {
    /// Takes `clusters` from the volume. Too little room is no error here: what is missing is asked for stream by
    /// stream, and the error then names the stream.
    pub(super) fn reserve(&mut self, volume: &mut Volume, clusters: u64) -> io::Result<()> {
        let wanted = clusters.saturating_sub(self.clusters);
        if wanted > 0 && wanted <= volume.free_clusters() {
            self.add(volume, wanted)?;
        }
        Ok(())
    }

    /// Clusters for one stream.
    pub(super) fn take(&mut self, volume: &mut Volume, clusters: u64) -> io::Result<Vec<Element>> {
        if self.clusters < clusters {
            let missing = clusters - self.clusters;
            // Never so much that $MFT and directories could not grow any more.
            let generous = missing.max(REFILL).min(missing.max(volume.free_clusters() / 16));
            if missing > volume.free_clusters() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.add(volume, generous)?;
        }
        let mut left = clusters;
        let mut taken = Vec::with_capacity(1);
        while left > 0 {
            let Some((at, len)) = self.runs.front_mut() else {
                return Err(io::Error::other("the reservation has fewer clusters than it counts"));
            };
            let part = left.min(*len);
            taken.push(Element { at: Some(*at), clusters: part });
            *at += part;
            *len -= part;
            left -= part;
            if *len == 0 {
                self.runs.pop_front();
            }
        }
        self.clusters -= clusters;
        Ok(taken)
    }

    /// Gives back what was not needed.
    pub(super) fn release(&mut self, volume: &mut Volume) -> io::Result<()> {
        self.clusters = 0;
        self.runs.drain(..).try_for_each(|(at, len)| volume.free(at, len))
    }

    fn add(&mut self, volume: &mut Volume, clusters: u64) -> io::Result<()> {
        for element in volume.allocate(clusters)? {
            let Some(at) = element.at else { continue };
            match self.runs.back_mut() {
                Some((last, len)) if *last + *len == at => *len += element.clusters,
                _ => self.runs.push_back((at, element.clusters)),
            }
            self.clusters += element.clusters;
        }
        Ok(())
    }
}
