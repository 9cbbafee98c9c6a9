//! Finding damage, and what it affects: every file is read and verified, and damage is followed back from blobs
//! through the objects that need them to references.

use crate::digest::blocks_of;
use crate::directory::LockFile;
use crate::error::{Error, Result};
use crate::gc::list_objects;
use crate::index::{Entry, Index};
use crate::lock::Lock;
use crate::refs::RefRecord;
use crate::{BLOCK, BlobId, ObjectId, PackId, Store};
use operation::{Progress, Unit};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

/// How many bytes are verified between two looks at the caller's progress.
const VERIFY_STEP: u64 = 64 << 20;

/// What a check looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// References read.
    pub refs: u64,
    /// Objects read and verified.
    pub objects: u64,
    /// Packs whose index was read and verified.
    pub packs: u64,
    /// Blobs in those packs.
    pub blobs: u64,
    /// Bytes of data read and verified.
    pub bytes_read: u64,
    /// What is wrong. A store is sound if this is empty.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The damaged or missing file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
    /// The pack that is damaged.
    pub pack: Option<PackId>,
    /// Where in the pack's data the damage begins, bytes.
    pub offset: Option<u64>,
    /// The blob that is damaged or missing (the first one, if the text speaks of several).
    pub blob: Option<BlobId>,
    /// The object that is damaged or missing, or that lacks blobs.
    pub object: Option<ObjectId>,
    /// The objects that need, directly or through others, what is damaged.
    pub affected_objects: Vec<ObjectId>,
    /// The names of the references that reach what is damaged.
    pub affected_refs: Vec<String>,
}

/// What is known of the objects and references while checking.
#[derive(Default)]
struct Graph {
    refs: Vec<RefRecord>,
    /// From an object to those that link to it.
    parents: HashMap<ObjectId, Vec<ObjectId>>,
    sound: HashSet<ObjectId>,
    /// Every blob that a sound object needs.
    blobs: HashSet<BlobId>,
}

impl Graph {
    /// Everything that needs one of `objects`, those included, and the references that reach it.
    fn reach(&self, objects: impl IntoIterator<Item = ObjectId>) -> (Vec<ObjectId>, Vec<String>) {
        let mut queue: Vec<ObjectId> = objects.into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(id) = queue.pop() {
            if found.insert(id) {
                queue.extend(self.parents.get(&id).into_iter().flatten());
            }
        }
        let refs = self.refs.iter().filter(|record| found.contains(&record.object));
        let mut refs: Vec<String> = refs.map(|record| record.name.to_string()).collect();
        refs.sort_unstable();
        (found.into_iter().collect(), refs)
    }
}

impl Store {
    /// Verifies the structure of everything and, with `read_data`, every block of every pack: any flipped bit is
    /// found. Runs beside readers and writers; garbage collection waits for it. Damage is no error but a [`Problem`].
    pub fn check(&self, read_data: bool, progress: &dyn Progress) -> Result<CheckReport> {
        let _lock = Lock::wait(&self.directory().lock(LockFile::Collector), false, &|| progress.cancelled())?;
        let mut report = CheckReport::default();
        if let Err(error) = self.read_format() {
            report.problems.push(Problem {
                path: self.directory().format(),
                why: error.to_string(),
                ..Problem::default()
            });
        }
        // References before objects, objects before packs: writers go the other way, so nothing seems to be missing.
        let mut graph = Graph::default();
        self.check_refs(&mut graph, &mut report)?;
        self.check_objects(&mut graph, &mut report, progress)?;
        self.catalog().refresh()?;
        let present = self.check_packs(read_data, &mut report, progress)?;
        let lacking: HashSet<BlobId> =
            graph.blobs.iter().filter(|id| !present.contains(*id)).copied().collect();
        self.trace(&graph, &lacking, &mut report, progress)?;
        Ok(report)
    }

    fn check_refs(&self, graph: &mut Graph, report: &mut CheckReport) -> Result<()> {
        for (path, record) in self.read_refs()? {
            report.refs += 1;
            match record {
                Ok(record) => graph.refs.push(record),
                Err(Error::Corrupt { why, .. }) => {
                    report.problems.push(Problem { path, why, ..Problem::default() });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn check_objects(
        &self,
        graph: &mut Graph,
        report: &mut CheckReport,
        progress: &dyn Progress,
    ) -> Result<()> {
        let listed = list_objects(self.directory())?;
        progress.step("Checking objects", Some(listed.len() as u64), Unit::Items);
        let mut wanted: BTreeSet<ObjectId> = graph.refs.iter().map(|record| record.object).collect();
        for id in &listed {
            cancelled(progress)?;
            match self.get_object(*id) {
                Ok(object) => {
                    graph.sound.insert(*id);
                    for link in object.links {
                        wanted.insert(link);
                        graph.parents.entry(link).or_default().push(*id);
                    }
                    graph.blobs.extend(object.blobs);
                }
                Err(Error::Corrupt { path, why }) => {
                    report.problems.push(Problem { path, why, object: Some(*id), ..Problem::default() });
                }
                Err(error) => return Err(error),
            }
            report.objects += 1;
            progress.advance(1);
        }
        let listed: HashSet<ObjectId> = listed.into_iter().collect();
        for id in wanted.into_iter().filter(|id| !listed.contains(id)) {
            let path = self.directory().object(id);
            report.problems.push(Problem {
                path,
                why: "the object is missing".into(),
                object: Some(id),
                ..Problem::default()
            });
        }
        Ok(())
    }

    /// Checks all packs; gives the blobs that their indexes list.
    fn check_packs(
        &self,
        read_data: bool,
        report: &mut CheckReport,
        progress: &dyn Progress,
    ) -> Result<HashSet<BlobId>> {
        let mut present = HashSet::new();
        for (pack, why) in self.catalog().damaged() {
            let path = self.directory().pack_index(pack);
            report.problems.push(Problem { path, why, pack: Some(pack), ..Problem::default() });
        }
        let packs = self.catalog().packs();
        let (total, unit) = if read_data {
            let mut blocks = 0;
            for pack in &packs {
                blocks += self.catalog().index(*pack)?.map_or(0, |index| index.blocks());
            }
            (blocks * BLOCK, Unit::Bytes)
        } else {
            (packs.len() as u64, Unit::Items)
        };
        progress.step(if read_data { "Reading packs" } else { "Checking packs" }, Some(total), unit);
        for pack in packs {
            cancelled(progress)?;
            // From disk, not from memory: that is what may be damaged.
            let index = match self.catalog().load(pack) {
                Err(Error::Corrupt { path, why }) => {
                    report.problems.push(Problem { path, why, pack: Some(pack), ..Problem::default() });
                    continue;
                }
                index => index?.ok_or(Error::NoPack { id: pack })?,
            };
            report.packs += 1;
            report.blobs += index.len() as u64;
            present.extend(index.entries().map(|entry| entry.id));
            if !index.fills_pack() {
                report.problems.push(Problem {
                    path: self.directory().pack_index(pack),
                    why: "its blobs overlap or leave gaps".into(),
                    pack: Some(pack),
                    ..Problem::default()
                });
            }
            match self.check_pack(&index, read_data, report, progress) {
                Err(Error::Corrupt { path, why }) => {
                    report.problems.push(Problem { path, why, pack: Some(pack), ..Problem::default() });
                }
                Err(Error::Io { path, source, .. }) => {
                    let why = source.to_string();
                    report.problems.push(Problem { path, why, pack: Some(pack), ..Problem::default() });
                }
                checked => checked?,
            }
            if !read_data {
                progress.advance(1);
            }
        }
        Ok(present)
    }

    fn check_pack(
        &self,
        index: &std::sync::Arc<Index>,
        read_data: bool,
        report: &mut CheckReport,
        progress: &dyn Progress,
    ) -> Result<()> {
        let pack = index.pack();
        let reader = crate::PackReader::open(self.directory(), std::sync::Arc::clone(index))?;
        let reader = reader.ok_or(Error::NoPack { id: pack })?;
        reader.verify_digests()?;
        if !read_data {
            return Ok(());
        }
        let mut damaged = Vec::new();
        let mut at = 0;
        while at < reader.len() {
            cancelled(progress)?;
            let count = VERIFY_STEP.min(reader.len() - at);
            reader.verify(at, count, &mut |offset| damaged.push(offset))?;
            at += count;
            report.bytes_read += count;
            progress.advance(count);
        }
        let mut entries: Vec<Entry> = index.entries().filter(|entry| entry.len > 0).collect();
        entries.sort_unstable_by_key(|entry| entry.offset);
        // One problem per blob, however many of its blocks are damaged.
        let mut by_blob: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for offset in damaged {
            let number =
                entries.partition_point(|entry| entry.offset + blocks_of(entry.len) * BLOCK <= offset);
            by_blob.entry(number).or_default().push(offset);
        }
        for (number, offsets) in by_blob {
            report.problems.push(Problem {
                path: self.directory().pack_data(pack),
                why: match offsets.len() {
                    1 => "a block does not have its digest".into(),
                    count => format!("{count} blocks of a blob do not have their digests"),
                },
                pack: Some(pack),
                offset: offsets.first().copied(),
                blob: entries.get(number).map(|entry| entry.id),
                ..Problem::default()
            });
        }
        Ok(())
    }

    /// Adds the objects that lack blobs to the problems, and to each problem what it affects.
    fn trace(
        &self,
        graph: &Graph,
        lacking: &HashSet<BlobId>,
        report: &mut CheckReport,
        progress: &dyn Progress,
    ) -> Result<()> {
        let damaged: HashSet<BlobId> = report.problems.iter().filter_map(|problem| problem.blob).collect();
        // Which objects need a blob is not kept for all blobs, as there may be millions of sound ones.
        let mut needed_by: HashMap<BlobId, Vec<ObjectId>> = HashMap::new();
        if !lacking.is_empty() || !damaged.is_empty() {
            let mut sound: Vec<ObjectId> = graph.sound.iter().copied().collect();
            sound.sort_unstable();
            for id in sound {
                cancelled(progress)?;
                let object = self.get_object(id)?;
                for blob in object.blobs.iter().filter(|blob| damaged.contains(*blob)) {
                    needed_by.entry(*blob).or_default().push(id);
                }
                let missing: Vec<&BlobId> =
                    object.blobs.iter().filter(|blob| lacking.contains(*blob)).collect();
                if let Some(first) = missing.first() {
                    report.problems.push(Problem {
                        path: self.directory().object(id),
                        why: format!(
                            "{} of the blobs that it needs are missing, first {first}",
                            missing.len()
                        ),
                        blob: Some(**first),
                        object: Some(id),
                        ..Problem::default()
                    });
                }
            }
        }
        for problem in &mut report.problems {
            let direct = match (problem.object, problem.blob) {
                (Some(object), _) => vec![object],
                (None, Some(blob)) => needed_by.get(&blob).cloned().unwrap_or_default(),
                (None, None) => continue,
            };
            (problem.affected_objects, problem.affected_refs) = graph.reach(direct);
        }
        Ok(())
    }
}

fn cancelled(progress: &dyn Progress) -> Result<()> {
    if progress.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}
