//! Making a volume longer, in place.
//!
//! What depends on the length of a volume ([Linux-NTFS], and what `ntfsresize` changes): the number of sectors in the
//! boot sector and in its copy behind the last sector; one bit per cluster in $Bitmap, which needs clusters of its own
//! and takes the first of the new ones, so that a full volume can grow; and the length of the stream $Bad of $BadClus,
//! a hole as long as the volume. Bits of $Bitmap behind the last cluster are set, which keeps allocators away.

use super::library::{Element, NonResident, attribute_type as kind};
use super::{Editor, NtfsEditor};
use crate::boot::Boot;
use disk::{BlockDevice, SECTOR};
use std::io;
use volume::{Error, Result};

/// Where the boot sector says how many sectors there are.
const SECTORS: std::ops::Range<usize> = 0x28..0x30;
/// Clusters are counted in 32 bits in places (Microsoft, "Default cluster size for NTFS").
const MAX_CLUSTERS: u64 = u32::MAX as u64;
const BAD_CLUSTERS: u64 = 8;
/// $Bad in UTF-16.
const BAD: &[u16] = &[b'$' as u16, b'B' as u16, b'a' as u16, b'd' as u16];

/// Makes the NTFS volume at the start of `device` as long as the `new_len` bytes of its partition, the copy of the boot
/// sector at the end included. Does nothing when it is as long already.
///
/// # Errors
/// As [`NtfsEditor::mount`]; [`Error::NotExpressible`] when the volume is longer than `new_len`, the device shorter, or
/// the clusters would be too many for NTFS. The device is lost on an error.
pub fn grow<D: BlockDevice + 'static>(mut device: D, new_len: u64) -> Result<D> {
    let mut sector = [0; SECTOR as usize];
    device.read_at(0, &mut sector)?;
    let boot = Boot::parse(&sector)?;
    let refuse = |reason: String| {
        Err(Error::NotExpressible { what: format!("an NTFS volume of {new_len} bytes"), reason })
    };
    if new_len > device.len() {
        return refuse(format!("its place has only {} bytes", device.len()));
    }
    let sectors = (new_len / SECTOR).saturating_sub(1);
    if sectors < boot.sectors {
        return refuse(format!("the volume has {} bytes now", boot.len() + SECTOR));
    }
    if sectors == boot.sectors {
        return Ok(device);
    }
    let clusters = sectors / (boot.cluster / SECTOR);
    if clusters > MAX_CLUSTERS {
        return refuse(format!("it would have {clusters} clusters, and NTFS counts to {MAX_CLUSTERS}"));
    }
    // The old copy of the boot sector would lie in the new space, perhaps in a cluster of $Bitmap.
    device.discard(boot.len(), SECTOR)?;
    let mut editor = NtfsEditor::mount(device)?;
    if clusters > boot.clusters {
        editor.editor.lengthen_bitmap(boot.clusters, clusters)?;
        editor.editor.lengthen_bad_clusters(clusters)?;
    }
    let mut device = editor.finish_into()?;
    sector[SECTORS].copy_from_slice(&sectors.to_le_bytes());
    device.write_at(0, &sector)?;
    device.write_at(sectors * SECTOR, &sector)?;
    Ok(device)
}

impl Editor {
    fn lengthen_bitmap(&mut self, old: u64, new: u64) -> Result<()> {
        let cluster = self.volume.cluster();
        let missing = io::Error::new(io::ErrorKind::InvalidData, "the volume has no $Bitmap");
        let bitmap = self.volume.bitmap().ok_or(missing);
        let bitmap = self.check("open", &"$Bitmap", bitmap)?;
        let size = new.div_ceil(8).next_multiple_of(8);
        let volume = &self.volume;
        let changed = (|| {
            let mut attributes = bitmap.attributes(kind::DATA)?;
            while let Some(mut attribute) = attributes.next()? {
                if !attribute.name().is_empty() {
                    continue;
                }
                let mut elements = attribute.elements(volume)?;
                let have: u64 = elements.iter().map(|element| element.clusters).sum();
                let (old_size, flags) = (attribute.size(), attribute.flags());
                let whole = attribute.is_non_resident()
                    && attribute.first_cluster() == 0
                    && attribute.allocated() == have * cluster
                    && old_size >= old.div_ceil(8)
                    && elements.iter().all(|element| element.at.is_some());
                if !whole {
                    break;
                }
                let more = size.div_ceil(cluster).saturating_sub(have);
                if more > 0 {
                    elements.push(Element { at: Some(old), clusters: more });
                }
                let stream = NonResident {
                    flags,
                    unit_shift: 0,
                    elements,
                    size: size.max(old_size),
                    valid: size.max(old_size),
                    cluster,
                };
                attribute.replace_runs(&stream)?;
                return Ok((stream, old_size, more));
            }
            Err(io::Error::new(io::ErrorKind::InvalidData, "$Bitmap is in pieces or its sizes disagree"))
        })();
        let (stream, old_size, more) = self.check("lengthen", &"$Bitmap", changed)?;

        // From the first bit that is new: everything free but what $Bitmap itself took; set behind the last cluster.
        let first = old / 8;
        let mut bits = vec![0; (stream.size - first) as usize];
        let device = self.volume.device();
        for (at, len, place) in pieces(&stream, first, old_size.min(old.div_ceil(8))) {
            device.read_at(place, &mut bits[(at - first) as usize..][..len as usize])?;
        }
        let mut set = |bit: u64, used: bool| {
            let mask = 1 << (bit % 8);
            let byte = &mut bits[(bit / 8 - first) as usize];
            *byte = if used { *byte | mask } else { *byte & !mask };
        };
        (old..old.next_multiple_of(8)).for_each(|bit| set(bit, false));
        (old..old + more).for_each(|bit| set(bit, true));
        (new..stream.size * 8).for_each(|bit| set(bit, true));
        for (at, len, place) in pieces(&stream, first, stream.size) {
            device.write_at(place, &bits[(at - first) as usize..][..len as usize])?;
        }
        let allocated = stream.clusters() * cluster;
        for (_, len, place) in pieces(&stream, stream.size, allocated) {
            device.discard(place, len)?;
        }
        bitmap.set_main_stream(stream.size, allocated);
        self.refresh_names(bitmap)?;
        let synced = bitmap.sync();
        self.check("lengthen", &"$Bitmap", synced)
    }

    fn lengthen_bad_clusters(&mut self, clusters: u64) -> Result<()> {
        let cluster = self.volume.cluster();
        let node = self.open_node(BAD_CLUSTERS)?;
        let volume = &self.volume;
        let changed = (|| {
            let mut attributes = node.attributes(kind::DATA)?;
            while let Some(mut attribute) = attributes.next()? {
                if attribute.name() != BAD || !attribute.is_non_resident() {
                    continue;
                }
                let mut elements = attribute.elements(volume)?;
                let have: u64 = elements.iter().map(|element| element.clusters).sum();
                let more = clusters.saturating_sub(have);
                match elements.last_mut() {
                    Some(Element { at: None, clusters }) => *clusters += more,
                    _ => elements.push(Element { at: None, clusters: more }),
                }
                let size = (have + more) * cluster;
                let (flags, valid, unit_shift) =
                    (attribute.flags(), attribute.valid(), attribute.unit_shift());
                attribute.replace_runs(&NonResident { flags, unit_shift, elements, size, valid, cluster })?;
                break; // a volume without $Bad has no bad clusters to keep
            }
            Ok(())
        })();
        self.check("lengthen", &"$BadClus:$Bad", changed)?;
        self.close_node(node)
    }
}

/// The bytes `from .. until` of a stream: where each piece begins in the stream, its length, and its place on the device.
fn pieces(stream: &NonResident, from: u64, until: u64) -> Vec<(u64, u64, u64)> {
    let mut found = Vec::new();
    let mut start = 0;
    for element in &stream.elements {
        let end = start + element.clusters * stream.cluster;
        let (first, last) = (start.max(from), end.min(until));
        if let Some(at) = element.at
            && first < last
        {
            found.push((first, last - first, at * stream.cluster + first - start));
        }
        start = end;
    }
    found
}
