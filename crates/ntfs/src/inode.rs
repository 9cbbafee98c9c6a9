//! A file as a whole: the attributes of its base record and of its extension records, joined by its attribute list.

use crate::attribute::{Attribute, Body, I30, ListEntry, Malformed, attributes, code, list_entries};
use crate::boot::Boot;
use crate::content::Extents;
use crate::mft::{Mft, corrupt};
use crate::record::{Header, Reference};
use std::collections::{BTreeMap, HashMap, HashSet};
use volume::{Error, Result, Run};

/// Records with their headers, by number.
pub(crate) type Records = BTreeMap<u64, (Header, Box<[u8]>)>;

/// A file: the attributes of its base record and of its extension records.
pub(crate) struct Inode<'a> {
    /// Number of the base record.
    pub(crate) number: u64,
    /// Header of the base record.
    pub(crate) header: Header,
    /// Sorted by type and name as on disk; extents of one attribute follow each other.
    pub(crate) attributes: &'a [Attribute<'a>],
    /// Clusters of a non-resident attribute list.
    pub(crate) list_runs: &'a [Run],
}

/// A file that owns copies of its records.
pub(crate) struct OwnedInode {
    pub(crate) number: u64,
    pub(crate) header: Header,
    pub(crate) base: Box<[u8]>,
    pub(crate) extensions: Records,
    pub(crate) list: Option<List>,
}

/// An attribute list and, when it is not in the record, where it lies.
pub(crate) struct List {
    pub(crate) bytes: Vec<u8>,
    pub(crate) runs: Vec<Run>,
}

impl OwnedInode {
    /// The attributes of all records, in the order of the list. Each entry of the list must name one attribute of a
    /// record that belongs to this file, and no two entries the same.
    pub(crate) fn attributes(&self) -> Result<Vec<Attribute<'_>>> {
        let own = |error: Malformed| corrupt(self.number, error.to_string());
        let Some(list) = &self.list else {
            return attributes(&self.base, &self.header).map(|a| a.map_err(own)).collect();
        };
        let mut found: HashMap<(u64, u16), (Attribute<'_>, u16)> = HashMap::new();
        for attribute in attributes(&self.base, &self.header) {
            let attribute = attribute.map_err(own)?;
            found.insert((self.number, attribute.instance), (attribute, self.header.sequence));
        }
        for (&number, (header, record)) in &self.extensions {
            let base = header.base;
            if base.number() != self.number || base.sequence() != self.header.sequence {
                continue;
            }
            for attribute in attributes(record, header) {
                let attribute = attribute.map_err(|error| corrupt(number, error.to_string()))?;
                found.insert((number, attribute.instance), (attribute, header.sequence));
            }
        }
        let mut joined = Vec::new();
        for entry in list_entries(&list.bytes) {
            let entry = entry.map_err(|error| corrupt(self.number, format!("attribute list: {error}")))?;
            let (attribute, sequence) =
                found.remove(&(entry.record.number(), entry.instance)).ok_or_else(|| self.missing(&entry))?;
            let lowest = match attribute.body {
                Body::Resident { .. } => 0,
                Body::NonResident(extent) => extent.lowest,
            };
            if (attribute.code, attribute.name, lowest) != (entry.code, entry.name, entry.lowest)
                || sequence != entry.record.sequence()
            {
                return Err(self.missing(&entry));
            }
            joined.push(attribute);
        }
        Ok(joined)
    }

    fn missing(&self, entry: &ListEntry<'_>) -> Error {
        corrupt(
            self.number,
            format!(
                "its attribute list names an attribute of type {:#x} in record {} that is not there",
                entry.code,
                entry.record.number()
            ),
        )
    }

    /// Extension records that the list does not name.
    pub(crate) fn strays(&self) -> Vec<u64> {
        let named: HashSet<Reference> = self
            .list
            .iter()
            .flat_map(|list| list_entries(&list.bytes))
            .filter_map(|entry| entry.ok().map(|entry| entry.record))
            .collect();
        let known = |(&number, (header, _)): (&u64, &(Header, Box<[u8]>))| {
            let named = named.contains(&Reference(number | u64::from(header.sequence) << 48));
            (!named || header.base.sequence() != self.header.sequence).then_some(number)
        };
        self.extensions.iter().filter_map(known).collect()
    }

    /// The file, with the attributes that [`attributes`](OwnedInode::attributes) gave.
    pub(crate) fn inode<'a>(&'a self, attributes: &'a [Attribute<'a>]) -> Inode<'a> {
        Inode {
            number: self.number,
            header: self.header,
            attributes,
            list_runs: self.list.as_ref().map_or(&[], |list| &list.runs),
        }
    }
}

/// Where a non-resident attribute lies as a whole, and how it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    /// Runs in bytes.
    pub(crate) runs: Vec<Run>,
    pub(crate) flags: u16,
    pub(crate) unit_shift: u8,
    pub(crate) allocated: u64,
    pub(crate) size: u64,
    pub(crate) valid: u64,
    pub(crate) compressed: Option<u64>,
}

impl<'a> Inode<'a> {
    /// The attributes, each with all its extents.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &'a [Attribute<'a>]> {
        self.attributes.chunk_by(|a, b| {
            let continues = matches!(b.body, Body::NonResident(extent) if extent.lowest != 0);
            continues && a.code == b.code && a.name == b.name
        })
    }

    /// The first attribute of a type and name, with its extents.
    pub(crate) fn group(&self, code: u32, name: &[u8]) -> Option<&'a [Attribute<'a>]> {
        self.groups().find(|group| group[0].code == code && group[0].name == name)
    }

    /// Where the attribute of a type and name lies; `None` when there is none or it is resident.
    pub(crate) fn placement(&self, mft: &Mft<'_>, code: u32, name: &[u8]) -> Result<Option<Placement>> {
        match self.group(code, name) {
            Some(group) => self.place(&mft.boot, group),
            None => Ok(None),
        }
    }

    /// Where a group of extents lies; `None` when it is resident.
    pub(crate) fn place(&self, boot: &Boot, group: &[Attribute<'_>]) -> Result<Option<Placement>> {
        let Body::NonResident(first) = group[0].body else { return Ok(None) };
        let broken = |what: &str| {
            corrupt(
                self.number,
                format!("{what} (attribute {:#x} {})", group[0].code, crate::bytes::name(group[0].name)),
            )
        };
        let mut runs = Vec::new();
        let mut covered: u64 = 0;
        for attribute in group {
            let Body::NonResident(extent) = attribute.body else {
                return Err(broken("a resident attribute continues a non-resident one"));
            };
            if extent.lowest != covered {
                return Err(broken("the extents of an attribute do not follow each other"));
            }
            extent
                .decode(boot.cluster, boot.clusters, &mut runs)
                .map_err(|error| broken(&error.to_string()))?;
            covered = covered
                .checked_add(extent.clusters)
                .ok_or_else(|| broken("a run has an impossible length"))?;
        }
        let bytes =
            covered.checked_mul(boot.cluster).ok_or_else(|| broken("the runs are longer than any volume"))?;
        if first.size > bytes || first.valid > first.size {
            return Err(broken("initialized size, data size and runs contradict each other"));
        }
        Ok(Some(Placement {
            runs,
            flags: group[0].flags,
            unit_shift: first.unit_shift,
            allocated: first.allocated,
            size: first.size,
            valid: first.valid,
            compressed: first.compressed,
        }))
    }

    /// The whole value of the attribute of a type and name, of at most `limit` bytes.
    pub(crate) fn value(&self, mft: &Mft<'_>, code: u32, name: &[u8], limit: u64) -> Result<Option<Vec<u8>>> {
        match self.group(code, name) {
            Some(group) => self.group_value(mft, group, limit).map(Some),
            None => Ok(None),
        }
    }

    /// The whole value of a group of extents, of at most `limit` bytes.
    pub(crate) fn group_value(&self, mft: &Mft<'_>, group: &[Attribute<'_>], limit: u64) -> Result<Vec<u8>> {
        match (group[0].body, self.place(&mft.boot, group)?) {
            (Body::Resident { value, .. }, _) => Ok(value.to_vec()),
            (_, Some(place)) => {
                mft.read_value(self.number, &Extents::new(place.runs), place.size, place.valid, limit)
            }
            (_, None) => Ok(Vec::new()),
        }
    }

    /// Whether the file has an index of file names.
    pub(crate) fn has_names_index(&self) -> bool {
        self.group(code::INDEX_ROOT, I30).is_some()
    }
}
