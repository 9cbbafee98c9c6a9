//! Carrying out the steps of a plan on a volume.

use crate::manifest::{ContentRecord, Manifest, Piece, StreamRecord};
use crate::object_ids::ObjectIds;
use crate::placement::Placement;
use crate::plan::{Creation, DirectoryHandle, FileSource, RenameStep, Steps};
use crate::{Error, Result};
use disk::BLOCK;
use operation::{Progress, Unit};
use std::collections::HashMap;
use volume::{FileId, Metadata, NewData, NewRun, NewStream, Tree, VolumeEditor};

/// What was done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Done {
    pub(crate) files: u64,
    pub(crate) directories: u64,
    pub(crate) removed: u64,
    pub(crate) spliced: u64,
    /// Paths of what lost its object id, because another node of the volume has the same.
    pub(crate) object_ids_dropped: Vec<String>,
}

/// How many entries pass between two looks at whether to stop.
const STRIDE: usize = 256;

/// Changes a volume, which was `tree` before, as `steps` say. `manifests` are those of the layers that the steps name by
/// position.
pub(crate) fn execute(
    editor: &mut dyn VolumeEditor,
    tree: &Tree,
    steps: &Steps,
    manifests: &[&Manifest],
    placement: &Placement<'_>,
    context: &str,
    progress: &dyn Progress,
) -> Result<Done> {
    let total = steps.unlinks.len() + steps.creations.len() + steps.links.len() + steps.directories.len();
    progress.step("Composing files", Some(total as u64), Unit::Items);
    let cluster = editor.cluster();
    let mut run = Execution {
        editor,
        manifests,
        placement,
        context,
        progress,
        cluster,
        directories: steps.existing.clone(),
        files: Vec::new(),
        object_ids: ObjectIds::new(tree, steps),
        count: 0,
        done: Done::default(),
    };
    run.reserve(steps)?;
    run.hold(steps)?;
    run.unlink(steps)?;
    run.create(steps)?;
    run.release(steps)?;
    run.finish(steps)?;
    Ok(Done { object_ids_dropped: run.object_ids.dropped, ..run.done })
}

struct Execution<'a> {
    editor: &'a mut dyn VolumeEditor,
    manifests: &'a [&'a Manifest],
    placement: &'a Placement<'a>,
    context: &'a str,
    progress: &'a dyn Progress,
    cluster: u64,
    directories: HashMap<DirectoryHandle, FileId>,
    files: Vec<FileId>,
    object_ids: ObjectIds,
    count: usize,
    done: Done,
}

impl<'a> Execution<'a> {
    fn failed(&self, what: &dyn std::fmt::Display) -> impl FnOnce(volume::Error) -> Error {
        Error::volume(format!("{}: {what}", self.context))
    }

    fn tick(&mut self) -> Result<()> {
        self.count += 1;
        if self.count.is_multiple_of(STRIDE) {
            self.progress.advance(STRIDE as u64);
            if self.progress.cancelled() {
                return Err(Error::Cancelled);
            }
        }
        Ok(())
    }

    fn manifest(&self, layer: usize) -> Result<&'a Manifest> {
        self.manifests
            .get(layer)
            .copied()
            .ok_or(Error::Internal { what: "a step names a layer that is not there" })
    }

    fn directory(&self, handle: DirectoryHandle) -> Result<FileId> {
        self.directories
            .get(&handle)
            .copied()
            .ok_or(Error::Internal { what: "a step names a directory too early" })
    }

    fn reserve(&mut self, steps: &Steps) -> Result<()> {
        let mut bytes = 0u64;
        for creation in &steps.creations {
            if let Creation::File { record: (layer, position), .. } = creation {
                let file = &self.manifest(*layer)?.files[*position as usize];
                for stream in &file.streams {
                    if let ContentRecord::Stored { len, .. } = stream.content {
                        bytes = bytes.saturating_add(len.next_multiple_of(self.cluster));
                    }
                }
            }
        }
        self.editor.reserve(bytes).map_err(self.failed(&"reserving room for the layers"))
    }

    fn hold(&mut self, steps: &Steps) -> Result<()> {
        for held in &steps.held {
            let result = self.editor.link(held.node, held.parent, &held.name);
            result.map_err(self.failed(&held.name))?;
        }
        Ok(())
    }

    fn release(&mut self, steps: &Steps) -> Result<()> {
        for held in &steps.held {
            let result = self.editor.unlink(held.node, held.parent, &held.name);
            result.map_err(self.failed(&held.name))?;
        }
        Ok(())
    }

    fn unlink(&mut self, steps: &Steps) -> Result<()> {
        for unlink in &steps.unlinks {
            let result = self.editor.unlink(unlink.node, unlink.parent, &unlink.name);
            result.map_err(self.failed(&unlink.name))?;
            self.done.removed += 1;
            self.tick()?;
        }
        // Entries may pass short names on to each other, so all give theirs up first.
        for RenameStep { node, parent, name, .. } in &steps.renames {
            let result = self.editor.rename(*node, *parent, name, name, None);
            result.map_err(self.failed(name))?;
        }
        for RenameStep { node, parent, name, new, short } in &steps.renames {
            let result = self.editor.rename(*node, *parent, name, new, short.as_ref());
            result.map_err(self.failed(name))?;
        }
        Ok(())
    }

    fn create(&mut self, steps: &Steps) -> Result<()> {
        // Directories are made as recorded; what later layers changed of them follows at the end.
        for creation in &steps.creations {
            match creation {
                Creation::Directory { handle, parent, name, short, record: (layer, position) } => {
                    let manifest = self.manifest(*layer)?;
                    let record = &manifest.directories[*position as usize];
                    let mut metadata = resolve(record.metadata.resolve(&manifest.securities))?;
                    let path = || manifest.display_path(record.parent, name);
                    self.object_ids.claim(&mut metadata, None, path);
                    let parent = self.directory(*parent)?;
                    let runs = self.runs(&record.streams)?;
                    let streams = new_streams(&record.streams, &runs);
                    let result =
                        self.editor.make_directory(parent, name, short.as_ref(), &metadata, &streams);
                    let id = result.map_err(self.failed(name))?;
                    self.object_ids.made(&metadata, id);
                    self.directories.insert(*handle, id);
                    self.done.directories += 1;
                }
                Creation::File { parent, name, short, record: (layer, position) } => {
                    let manifest = self.manifest(*layer)?;
                    let record = &manifest.files[*position as usize];
                    let mut metadata = resolve(record.metadata.resolve(&manifest.securities))?;
                    let path = || manifest.display_path(record.names[0].directory, name);
                    self.object_ids.claim(&mut metadata, None, path);
                    let parent = self.directory(*parent)?;
                    let runs = self.runs(&record.streams)?;
                    let streams = new_streams(&record.streams, &runs);
                    let result = self.editor.make_file(parent, name, short.as_ref(), &metadata, &streams);
                    let id = result.map_err(self.failed(name))?;
                    self.files.push(id);
                    self.done.files += 1;
                }
            }
            self.tick()?;
        }
        for link in &steps.links {
            let parent = self.directory(link.parent)?;
            let file = match link.file {
                FileSource::Old(id) => id,
                FileSource::New(handle) => *self
                    .files
                    .get(handle.0)
                    .ok_or(Error::Internal { what: "a link comes before its file" })?,
            };
            self.editor.link(file, parent, &link.name).map_err(self.failed(&link.name))?;
            self.tick()?;
        }
        Ok(())
    }

    fn finish(&mut self, steps: &Steps) -> Result<()> {
        for (handle, (layer, position)) in &steps.directory_streams {
            let id = self.directory(*handle)?;
            let record = &self.manifest(*layer)?.directories[*position as usize];
            let runs = self.runs(&record.streams)?;
            let streams = new_streams(&record.streams, &runs);
            self.editor.set_streams(id, &streams).map_err(self.failed(&record.name))?;
        }
        for (handle, metadata) in &steps.directories {
            let id = self.directory(*handle)?;
            let mut metadata = metadata.clone();
            self.object_ids.claim(&mut metadata, Some(id), || "a directory that was changed".to_owned());
            self.editor.set_metadata(id, &metadata).map_err(self.failed(&"a directory's metadata"))?;
            self.tick()?;
        }
        Ok(())
    }

    /// The runs of each stream that is not inline.
    fn runs(&mut self, streams: &[StreamRecord]) -> Result<Vec<Vec<NewRun>>> {
        streams
            .iter()
            .map(|stream| match &stream.content {
                ContentRecord::Inline(_) => Ok(Vec::new()),
                ContentRecord::Stored { content, len, pieces, layout } => {
                    self.done.spliced += len;
                    let whole = [Piece { blob: Some(*content), offset: 0, len: *len }];
                    let pieces = if pieces.is_empty() { &whole[..] } else { pieces };
                    let mut splices =
                        Splices { pieces, at: 0, placement: self.placement, round: self.cluster.min(BLOCK) };
                    let mut runs = Vec::new();
                    if layout.is_empty() {
                        splices.take(*len, &mut runs)?;
                    }
                    for allocation in layout {
                        if allocation.hole {
                            runs.push(NewRun::Hole { len: allocation.len });
                        } else {
                            splices.take(allocation.len, &mut runs)?;
                        }
                    }
                    Ok(runs)
                }
            })
            .collect()
    }
}

fn resolve(metadata: Option<Metadata>) -> Result<Metadata> {
    metadata.ok_or(Error::Internal { what: "a manifest lacks a security value" })
}

/// Takes splices off the front of a list of pieces.
struct Splices<'a> {
    pieces: &'a [Piece],
    /// Bytes of the first piece that are used up.
    at: u64,
    placement: &'a Placement<'a>,
    /// Lengths are rounded up to this: the padding of blobs is zeros, as the rest of a cluster has to be.
    round: u64,
}

impl Splices<'_> {
    fn take(&mut self, mut len: u64, into: &mut Vec<NewRun>) -> Result<()> {
        while len > 0 {
            let Some(piece) = self.pieces.first() else {
                return Err(Error::record("a manifest", &"a stream has less content than it says"));
            };
            let left = piece.len.saturating_sub(self.at);
            if left == 0 {
                self.pieces = &self.pieces[1..];
                self.at = 0;
                continue;
            }
            let part = left.min(len);
            let rounded = part.next_multiple_of(self.round);
            into.push(match piece.blob {
                Some(blob) => {
                    let from = self.placement.part(blob, piece.offset + self.at, rounded)?;
                    NewRun::Splice { len: rounded, from }
                }
                None => NewRun::Zero { len: rounded },
            });
            self.at += part;
            len -= part;
        }
        Ok(())
    }
}

fn new_streams<'s>(records: &'s [StreamRecord], runs: &'s [Vec<NewRun>]) -> Vec<NewStream<'s>> {
    let streams = records.iter().zip(runs).map(|(record, runs)| NewStream {
        name: &record.name,
        size: record.size,
        valid: record.valid,
        flags: record.flags,
        data: match &record.content {
            ContentRecord::Inline(bytes) => NewData::Inline(bytes),
            ContentRecord::Stored { .. } => NewData::Runs(runs),
        },
    });
    streams.collect()
}
