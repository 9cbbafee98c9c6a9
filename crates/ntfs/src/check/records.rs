//! Each file by itself: sizes, link counts, its index of names. Collects what is compared across files afterwards.

use super::names::{Key, Names};
use super::report::{CheckReport, record_place};
use crate::attribute::{
    Attribute, Body, COMPRESSION_MASK, FileName, I30, Namespace, SPARSE, StandardInformation, code,
};
use crate::bytes::{slice_at, u32_at};
use crate::index::{Found, Index};
use crate::inode::{Inode, Placement};
use crate::mft::{Mft, Visitor, system};
use crate::record::Reference;
use crate::upcase;
use std::cmp::Ordering;
use volume::{Error, Result, Run};

/// A run and the attribute that it belongs to; offsets in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) record: u64,
    pub(super) attribute: u32,
}

/// Indexes in $Extend that repeat what records say.
#[derive(Debug, Default)]
pub(super) struct ExtendIndexes {
    /// Record of `$Extend\$Reparse`.
    pub(super) reparse: Option<u64>,
    /// Record of `$Extend\$ObjId`.
    pub(super) object_ids: Option<u64>,
}

/// What is compared across files.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) claims: Vec<Claim>,
    pub(super) names: Names,
    /// Security ids in use, each with a file that uses it.
    pub(super) security_ids: Vec<(u32, u64)>,
    pub(super) reparse_points: Vec<(u32, Reference)>,
    pub(super) object_ids: Vec<([u8; 16], Reference)>,
    pub(super) extend: ExtendIndexes,
}

pub(super) struct Collector<'m, 's, 'r> {
    mft: &'m Mft<'s>,
    upcase: &'m [u16],
    report: &'r mut CheckReport,
    collected: Collected,
}

impl<'m, 's, 'r> Collector<'m, 's, 'r> {
    pub(super) fn new(mft: &'m Mft<'s>, upcase: &'m [u16], report: &'r mut CheckReport) -> Self {
        Collector { mft, upcase, report, collected: Collected::default() }
    }

    pub(super) fn finish(self) -> Collected {
        self.collected
    }

    fn claim(&mut self, record: u64, attribute: u32, runs: &[Run]) {
        let claims = runs.iter().filter_map(|run| {
            let start = run.at?;
            Some(Claim { start, end: start + run.len, record, attribute })
        });
        self.collected.claims.extend(claims);
    }

    fn group(&mut self, inode: &Inode<'_>, group: &[Attribute<'_>], counts: &mut NameCounts) -> Result<()> {
        let own = reference(inode);
        match (group[0].code, group[0].body) {
            (code::STANDARD_INFORMATION, Body::Resident { value, .. }) => {
                match StandardInformation::parse(value) {
                    Some(information) => {
                        counts.informed = true;
                        if information.security_id != 0 {
                            self.collected.security_ids.push((information.security_id, inode.number));
                        }
                    }
                    None => self.report.error(
                        "standard-information",
                        record_place(inode.number),
                        "$STANDARD_INFORMATION is too short",
                    ),
                }
            }
            (code::FILE_NAME, Body::Resident { value, .. }) => self.name(inode, value, counts),
            (code::REPARSE_POINT, _) => {
                let value = inode.group_value(self.mft, group, 32 << 10);
                if let Some(value) = self.report.note("attribute", value)? {
                    self.collected.reparse_points.push((u32_at(&value, 0).unwrap_or_default(), own));
                }
            }
            (code::OBJECT_ID, _) => {
                let value = inode.group_value(self.mft, group, 256);
                if let Some(value) = self.report.note("attribute", value)?
                    && let Some(id) = slice_at(&value, 0, 16).and_then(|id| id.try_into().ok())
                {
                    self.collected.object_ids.push((id, own));
                }
            }
            _ => {}
        }
        if let Some(Some(place)) = self.report.note("runs", inode.place(&self.mft.boot, group))? {
            self.claim(inode.number, group[0].code, &place.runs);
            self.sizes(inode.number, group[0].code, &place);
        }
        Ok(())
    }

    fn name(&mut self, inode: &Inode<'_>, value: &[u8], counts: &mut NameCounts) {
        let Some(name) = FileName::parse(value) else {
            self.report.error("file-name", record_place(inode.number), "a $FILE_NAME is malformed");
            return;
        };
        counts.total += 1;
        counts.dos += u32::from(name.namespace == Namespace::Dos);
        counts.win32 += u32::from(name.namespace == Namespace::Win32);
        self.report.counts.names += 1;
        if name.parent.number() == system::EXTEND {
            match &crate::bytes::name(name.name).to_string()[..] {
                "$Reparse" => self.collected.extend.reparse = Some(inode.number),
                "$ObjId" => self.collected.extend.object_ids = Some(inode.number),
                _ => {}
            }
        }
        self.collected.names.in_records.push(Key::new(reference(inode), &name));
    }

    /// Initialized ≤ data ≤ allocated (the first two are known by now), and the allocated bytes are what the runs are.
    fn sizes(&mut self, record: u64, attribute: u32, place: &Placement) {
        let covered: u64 = place.runs.iter().map(|run| run.len).sum();
        let stored: u64 = place.runs.iter().filter(|run| run.at.is_some()).map(|run| run.len).sum();
        let what = match () {
            () if place.allocated != covered => {
                format!("the allocated size is {} but the runs cover {covered} bytes", place.allocated)
            }
            () if place.size > place.allocated => {
                format!("the data size {} is larger than the allocated size {}", place.size, place.allocated)
            }
            () if place.compressed.is_some_and(|compressed| compressed != stored) => {
                format!("the compressed size is not that of the runs, {stored} bytes")
            }
            // $BadClus:$Bad is a hole of the volume's length, without saying so.
            () if stored != covered
                && record != system::BAD_CLUSTERS
                && place.flags & (SPARSE | COMPRESSION_MASK) == 0 =>
            {
                "an attribute that is neither sparse nor compressed has holes".into()
            }
            () => return,
        };
        self.report.error("sizes", record_place(record), format!("{what} (attribute {attribute:#x})"));
    }

    /// Hard links: the count in the header is that of the names, long and short ones.
    fn links(&mut self, inode: &Inode<'_>, counts: &NameCounts) {
        let place = || record_place(inode.number);
        // Records kept for the growth of the $MFT are in use and have no name.
        let reserved = inode.number < system::FIRST_FREE && counts.total == 0;
        if !counts.informed && !reserved {
            self.report.error("standard-information", place(), "there is no $STANDARD_INFORMATION");
        }
        if counts.total == 0 && !reserved {
            self.report.error("no-name", place(), "a file in use has no name");
        } else if !reserved && u32::from(inode.header.links) != counts.total {
            let message =
                format!("the link count is {} but there are {} names", inode.header.links, counts.total);
            self.report.error("link-count", place(), message);
        }
        if counts.dos > 1 || counts.dos == 1 && counts.win32 == 0 {
            self.report.warning("short-name", place(), "a short name has no long one, or there are several");
        }
    }

    /// The index of names of a directory.
    fn directory(&mut self, inode: &Inode<'_>) -> Result<()> {
        if inode.header.is_directory() != inode.has_names_index() {
            self.report.error(
                "directory-flag",
                record_place(inode.number),
                "the directory flag and the presence of an index of file names contradict each other",
            );
        }
        let Some(Some(index)) = self.report.note("index", Index::open(self.mft, inode, I30))? else {
            return Ok(());
        };
        self.report.counts.directories += 1;
        let own = reference(inode);
        let (report, upcase, names) = (&mut *self.report, self.upcase, &mut self.collected.names);
        let place = || record_place(inode.number);
        let mut before: Vec<u8> = Vec::new();
        let walked = index.walk(&mut |found| {
            let entry = match found {
                Found::Entry(entry) => entry,
                Found::Defect(what) => {
                    report.error("index", place(), what);
                    return Ok(());
                }
            };
            let Some(name) = FileName::parse(entry.key) else {
                report.error("index", place(), "a key is no file name");
                return Ok(());
            };
            report.counts.index_entries += 1;
            let shown = || crate::bytes::name(name.name).to_string();
            match upcase::collate(upcase, &before, name.name) {
                _ if before.is_empty() => {}
                Ordering::Less if upcase::equal_ignoring_case(upcase, &before, name.name) => {
                    report.warning(
                        "index-case",
                        place(),
                        format!("{:?} differs from another name only in case", shown()),
                    );
                }
                Ordering::Less => {}
                Ordering::Equal => {
                    report.error("index-duplicate", place(), format!("{:?} is there twice", shown()))
                }
                Ordering::Greater => {
                    report.error("index-order", place(), format!("{:?} is out of order", shown()))
                }
            }
            before.clear();
            before.extend_from_slice(name.name);
            if name.parent != own {
                report.error(
                    "index-parent",
                    place(),
                    format!("{:?} says that it is in another directory", shown()),
                );
            }
            names.in_indexes.push(Key { directory: own.number(), ..Key::new(entry.file, &name) });
            Ok(())
        });
        self.report.note("index", walked)?;
        Ok(())
    }
}

/// Names of one file.
#[derive(Default)]
struct NameCounts {
    total: u32,
    dos: u32,
    win32: u32,
    informed: bool,
}

fn reference(inode: &Inode<'_>) -> Reference {
    Reference(inode.number | u64::from(inode.header.sequence) << 48)
}

impl Visitor for Collector<'_, '_, '_> {
    fn inode(&mut self, inode: &Inode<'_>) -> Result<()> {
        self.report.counts.files += 1;
        self.claim(inode.number, code::ATTRIBUTE_LIST, inode.list_runs);
        let mut counts = NameCounts::default();
        for group in inode.groups() {
            if group[0].code == code::ATTRIBUTE_LIST {
                // The list of a joined file is not among its attributes; this one is a list that names itself.
                let message = "an attribute list is inside an attribute list";
                self.report.error("attribute-list", record_place(inode.number), message);
                continue;
            }
            self.group(inode, group, &mut counts)?;
        }
        self.links(inode, &counts);
        self.directory(inode)
    }

    fn defect(&mut self, _record: u64, error: Error) -> Result<()> {
        self.report.note("file-record", Err::<(), _>(error)).map(drop)
    }

    fn bitmap_mismatch(&mut self, record: u64, used: bool) -> Result<()> {
        let place = record_place(record);
        if used {
            self.report.error(
                "mft-bitmap",
                place,
                "the record is in use but the bitmap of the $MFT calls it free",
            );
        } else if record >= system::FIRST_FREE {
            self.report.warning("mft-bitmap-unused", place, "the bitmap of the $MFT keeps a free record");
        }
        Ok(())
    }
}
