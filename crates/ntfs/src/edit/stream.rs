//! The bytes of streams: clusters for them, splices into them, zeros where nothing may shine through.

use super::clusters::Reservation;
use super::file_name::stream_units;
use super::library::{COMPRESSED, ENCRYPTED, Element, NonResident, SPARSE, Volume};
use std::borrow::Cow;
use std::collections::HashSet;
use std::io;
use volume::{Error, NewData, NewRun, NewStream, Result, StreamFlags};

/// Where a value to be made is kept.
#[derive(Debug, Clone)]
pub(super) enum Body<'a> {
    /// In the record, if it fits there.
    Resident(Cow<'a, [u8]>),
    /// In clusters that are allocated and filled.
    Clusters(NonResident),
}

/// A stream that is ready to become an attribute.
#[derive(Debug, Clone)]
pub(super) struct Ready<'a> {
    pub(super) name: Vec<u16>,
    pub(super) flags: u16,
    pub(super) body: Body<'a>,
}

/// `flags` of the attribute.
pub(super) fn attribute_flags(flags: StreamFlags) -> u16 {
    (if flags.sparse { SPARSE } else { 0 })
        | (if flags.compressed { COMPRESSED } else { 0 })
        | (if flags.encrypted { ENCRYPTED } else { 0 })
}

/// Refuses what cannot be written, before anything is.
pub(super) fn validate(streams: &[NewStream<'_>], cluster: u64) -> Result<()> {
    let mut names = HashSet::new();
    for stream in streams {
        let refuse = |reason: &str| {
            let what = if stream.name.is_empty() {
                "the main stream".to_owned()
            } else {
                format!("the stream {}", stream.name)
            };
            Err(Error::NotExpressible { what, reason: reason.to_owned() })
        };
        stream_units(stream.name)?;
        if !names.insert(stream.name) {
            return refuse("the node has two of this name");
        }
        if stream.valid > stream.size || stream.size > i64::MAX as u64 / 2 {
            return refuse("its sizes contradict each other");
        }
        if stream.flags.unit_shift > 16 {
            return refuse("its compression unit is larger than NTFS allows");
        }
        match stream.data {
            NewData::Inline(bytes) if bytes.len() as u64 != stream.size => {
                return refuse("its bytes are not as many as its size says");
            }
            NewData::Inline(_) => {}
            NewData::Runs(runs) => {
                let (_, inner) =
                    runs.split_last().map_or((None, &[][..]), |(last, inner)| (Some(last), inner));
                if inner.iter().any(|run| run.len() % cluster != 0) {
                    return refuse("a run other than its last is not a multiple of the cluster size");
                }
                let mut total = 0_u64;
                for run in runs {
                    match total.checked_add(run.len()) {
                        Some(sum) if sum <= i64::MAX as u64 / 2 => total = sum,
                        _ => return refuse("its runs are longer than any volume"),
                    }
                }
                let plain = attribute_flags(stream.flags) == 0;
                if plain && total.div_ceil(cluster) > stream.size.div_ceil(cluster) {
                    return refuse("its runs are longer than its size");
                }
            }
        }
    }
    Ok(())
}

/// Makes streams ready.
pub(super) struct Writer<'e> {
    pub(super) volume: &'e mut Volume,
    pub(super) reservation: &'e mut Reservation,
}

impl Writer<'_> {
    /// Allocates and fills the clusters of a stream that has runs; one with bytes stays as it is.
    pub(super) fn prepare<'a>(&mut self, stream: &NewStream<'a>) -> io::Result<Ready<'a>> {
        let name = stream.name.to_utf16().unwrap_or_default(); // validated
        let flags = attribute_flags(stream.flags);
        let body = match stream.data {
            NewData::Inline(bytes) => Body::Resident(Cow::Borrowed(bytes)),
            NewData::Runs(_) if stream.size == 0 && flags == 0 => Body::Resident(Cow::Borrowed(&[])),
            NewData::Runs(runs) => Body::Clusters(self.place(stream, runs, flags)?),
        };
        Ok(Ready { name, flags, body })
    }

    /// Moves bytes that do not fit into a record to clusters.
    pub(super) fn store(&mut self, bytes: &[u8], flags: u16) -> io::Result<NonResident> {
        let cluster = self.volume.cluster();
        let size = bytes.len() as u64;
        let elements = self.reservation.take(self.volume, size.div_ceil(cluster))?;
        let mut rest = bytes;
        for element in &elements {
            let Some(at) = element.at else { continue };
            let span = element.clusters * cluster;
            let part = span.min(rest.len() as u64);
            let (now, later) = rest.split_at(part as usize);
            self.volume.device().write_at(at * cluster, now)?;
            self.zero(at * cluster + part, span - part)?;
            rest = later;
        }
        // Compressed and sparse streams have units; these bytes have none and are kept plainly.
        Ok(NonResident { flags: flags & ENCRYPTED, unit_shift: 0, elements, size, valid: size, cluster })
    }

    fn place(&mut self, stream: &NewStream<'_>, runs: &[NewRun], flags: u16) -> io::Result<NonResident> {
        let cluster = self.volume.cluster();
        let plain = flags == 0;
        let holes = flags & (COMPRESSED | SPARSE) != 0;
        let mut elements: Vec<Element> = Vec::with_capacity(runs.len());
        if plain {
            // One allocation, whatever the contents are made of; a hole is just zeros here.
            let mut free = self.reservation.take(self.volume, stream.size.div_ceil(cluster))?;
            elements.clone_from(&free);
            free.reverse();
            for run in runs {
                self.fill(run, &mut free)?;
            }
            for element in free {
                self.fill(&NewRun::Zero { len: element.clusters * cluster }, &mut vec![element])?;
            }
        } else {
            for run in runs {
                let clusters = run.len().div_ceil(cluster);
                if matches!(run, NewRun::Hole { .. }) && holes {
                    push(&mut elements, Element { at: None, clusters });
                } else {
                    let mut free = self.reservation.take(self.volume, clusters)?;
                    free.iter().for_each(|&element| push(&mut elements, element));
                    free.reverse();
                    self.fill(run, &mut free)?;
                }
            }
            let unit = if holes { 1 << stream.flags.unit_shift } else { 1 };
            let have: u64 = elements.iter().map(|element| element.clusters).sum();
            let need = stream.size.div_ceil(cluster).max(have).next_multiple_of(unit) - have;
            if need > 0 && holes {
                push(&mut elements, Element { at: None, clusters: need });
            } else if need > 0 {
                let mut free = self.reservation.take(self.volume, need)?;
                free.iter().for_each(|&element| push(&mut elements, element));
                free.reverse();
                self.fill(&NewRun::Zero { len: need * cluster }, &mut free)?;
            }
        }
        Ok(NonResident {
            flags,
            unit_shift: if holes { stream.flags.unit_shift } else { 0 },
            elements,
            size: stream.size,
            valid: stream.valid,
            cluster,
        })
    }

    /// Gives the next clusters of `free` (its end comes first) the contents of `run`, zeros behind the last byte.
    fn fill(&mut self, run: &NewRun, free: &mut Vec<Element>) -> io::Result<()> {
        let cluster = self.volume.cluster();
        let mut done = 0;
        while done < run.len() {
            let Some(element) = free.last_mut() else {
                return Err(io::Error::other("a stream has fewer clusters than its runs"));
            };
            let start = element.at.unwrap_or_default() * cluster;
            let part = (run.len() - done).min(element.clusters * cluster);
            let used = part.div_ceil(cluster);
            if element.clusters == used {
                free.pop();
            } else {
                *element = Element { at: element.at.map(|at| at + used), clusters: element.clusters - used };
            }
            match *run {
                NewRun::Splice { from, .. } => {
                    let mut from = from;
                    from.offset += done;
                    self.volume.device().splice(start, part, from)?;
                    self.zero(start + part, used * cluster - part)?;
                }
                NewRun::Zero { .. } | NewRun::Hole { .. } => self.zero(start, used * cluster)?,
            }
            done += part;
        }
        Ok(())
    }

    fn zero(&mut self, at: u64, len: u64) -> io::Result<()> {
        if len == 0 { Ok(()) } else { self.volume.device().discard(at, len) }
    }
}

/// Appends clusters, joined with the ones before where they continue them.
fn push(elements: &mut Vec<Element>, element: Element) {
    if element.clusters == 0 {
        return;
    }
    if let Some(last) = elements.last_mut() {
        let continues = match (last.at, element.at) {
            (None, None) => true,
            (Some(last_at), Some(at)) => last_at + last.clusters == at,
            _ => false,
        };
        if continues {
            last.clusters += element.clusters;
            return;
        }
    }
    elements.push(element);
}
