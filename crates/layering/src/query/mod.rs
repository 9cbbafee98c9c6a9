//! Looking into versions and images: their files, and how two of them differ.

pub(crate) mod body;
pub(crate) mod export;
pub(crate) mod hives;
pub(crate) mod programs;
pub(crate) mod registry;
pub(crate) mod rows;

use self::body::{Body, Volume, body};
use crate::catalog::{Catalog, Entry};
use crate::error::Rule;
use crate::manifest::{ContentRecord, DirectoryRole, Manifest, MetadataRecord, StreamRecord};
use crate::report::{DiffKind, DiffReport, DiffRow, FileRow, FilesReport, RowKind, ShowReport};
use crate::streams;
use crate::{Error, Result};
use disk::ByteSource;
use operation::{Progress, Unit};
use std::collections::BTreeMap;
use store::Session;
use volume::{Child, Kind, Name, Node, Security, Tree};

/// What an entry holds at or below `path`, files sorted by path.
pub(crate) fn files(
    session: &Session,
    catalog: &Catalog<'_>,
    entry: &Entry,
    path: Option<&str>,
    progress: &dyn Progress,
) -> Result<FilesReport> {
    let wanted = path.map(normalized).unwrap_or_default();
    let below = format!("{wanted}\\");
    let is_wanted = |path: &str| {
        let own = path.to_uppercase();
        wanted.is_empty() || own == wanted || own.starts_with(&below)
    };
    let (mut rows, registry, hives) = match body(session, catalog, entry, progress)? {
        Body::Manifest(manifest) => {
            let registry = registry::layer_rows(&manifest, &entry.reference(), is_wanted)?;
            (manifest_rows(&manifest), registry, Vec::new())
        }
        Body::Volume(volume) => {
            (volume_rows(&volume.tree), Vec::new(), registry::hive_rows(&volume, is_wanted, progress)?)
        }
    };
    rows.retain(|row| is_wanted(&row.path));
    if let Some(path) = path
        && rows.is_empty()
        && registry.is_empty()
    {
        let path = path.to_owned();
        return Err(Rule::NoPath { path, within: entry.reference() }.into());
    }
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(FilesReport { of: entry.summary(), rows, registry, hives })
}

/// A path as a user may write it, in the form in which rows are compared.
pub(crate) fn normalized(path: &str) -> String {
    let parts = path.split(['\\', '/']).filter(|part| !part.is_empty());
    parts.fold(String::new(), |path, part| path + "\\" + &part.to_uppercase())
}

fn manifest_rows(manifest: &Manifest) -> Vec<FileRow> {
    let mut rows = Vec::new();
    for (position, directory) in manifest.directories.iter().enumerate().skip(1) {
        if directory.role != DirectoryRole::Context {
            let path = joined(&manifest.directory_path(position as u32));
            rows.push(FileRow { path, entry: RowKind::Directory, size: None, content: None });
        }
    }
    for file in &manifest.files {
        let entry = if file.lower_names.is_empty() { RowKind::File } else { RowKind::Link };
        for name in &file.names {
            rows.push(FileRow {
                path: manifest.display_path(name.directory, &name.name),
                entry,
                size: file.main_stream().map(|stream| stream.size),
                content: file.digest().map(|digest| digest.to_string()),
            });
        }
    }
    for deletion in &manifest.deletions {
        let path = manifest.display_path(deletion.directory, &deletion.name);
        rows.push(FileRow { path, entry: RowKind::Deletion, size: None, content: None });
    }
    rows
}

fn joined(parts: &[&Name]) -> String {
    parts.iter().fold(String::new(), |path, part| path + "\\" + &part.to_string())
}

fn volume_rows(tree: &Tree) -> Vec<FileRow> {
    let mut rows = Vec::with_capacity(tree.len());
    let mut pending = vec![(String::new(), tree.root())];
    while let Some((path, directory)) = pending.pop() {
        for child in tree.children(directory) {
            let Some(node) = tree.node(child.id) else { continue };
            let path = format!("{path}\\{}", child.name);
            let (entry, size) = match node.kind {
                Kind::Directory => (RowKind::Directory, None),
                Kind::File => {
                    let main = node.streams.iter().find(|stream| stream.name.is_empty());
                    (RowKind::File, main.map(|stream| stream.size))
                }
            };
            rows.push(FileRow { path: path.clone(), entry, size, content: None });
            if node.kind == Kind::Directory {
                pending.push((path, child.id));
            }
        }
    }
    rows
}

/// How two entries differ, files sorted by path. Layers compare with layers; OS versions and images with each other.
pub(crate) fn diff(
    session: &Session,
    catalog: &Catalog<'_>,
    from: &Entry,
    to: &Entry,
    progress: &dyn Progress,
) -> Result<DiffReport> {
    let bodies = (body(session, catalog, from, progress)?, body(session, catalog, to, progress)?);
    let (mut rows, registry, warnings) = match &bodies {
        (Body::Manifest(a), Body::Manifest(b)) => {
            (manifest_diff(a, b), registry::layer_diff(from, to, (a, b))?, Vec::new())
        }
        (Body::Volume(a), Body::Volume(b)) => {
            let rows = volume_diff(a, b, progress)?;
            let (registry, warnings) = registry::volume_diff(from, to, (a, b), progress)?;
            (rows, registry, warnings)
        }
        _ => return Err(unlike()),
    };
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(DiffReport { from: from.summary(), to: to.summary(), rows, registry, warnings })
}

/// The refusal to compare what a layer changes with a whole volume.
fn unlike() -> Error {
    let what = "an app or platform layer version holds changes, an OS version or image a whole volume; only like can \
                be compared with like"
        .to_owned();
    Rule::NotApplicable { what }.into()
}

/// A path of a manifest and what the version does there.
enum Row<'m> {
    Directory(&'m MetadataRecord, &'m [StreamRecord]),
    File(&'m MetadataRecord, &'m [StreamRecord], RowKind),
    Deletion,
}

fn manifest_diff(from: &Manifest, to: &Manifest) -> Vec<DiffRow> {
    let (ours, theirs) = (manifest_paths(from), manifest_paths(to));
    let mut rows = Vec::new();
    for (key, (path, row)) in &ours {
        match theirs.get(key) {
            None => {
                rows.push(DiffRow { path: path.clone(), change: DiffKind::Removed, properties: Vec::new() })
            }
            Some((path, other)) => {
                let properties = row_difference((from, row), (to, other));
                if !properties.is_empty() {
                    rows.push(DiffRow { path: path.clone(), change: DiffKind::Changed, properties });
                }
            }
        }
    }
    for (key, (path, _)) in &theirs {
        if !ours.contains_key(key) {
            rows.push(DiffRow { path: path.clone(), change: DiffKind::Added, properties: Vec::new() });
        }
    }
    rows
}

fn manifest_paths(manifest: &Manifest) -> BTreeMap<String, (String, Row<'_>)> {
    let mut paths = BTreeMap::new();
    let mut add = |path: String, row| {
        paths.insert(path.to_uppercase(), (path, row));
    };
    for (position, directory) in manifest.directories.iter().enumerate() {
        if directory.role != DirectoryRole::Context {
            let path = joined(&manifest.directory_path(position as u32));
            let path = if path.is_empty() { "\\".to_owned() } else { path };
            add(path, Row::Directory(&directory.metadata, &directory.streams));
        }
    }
    for file in &manifest.files {
        let kind = if file.lower_names.is_empty() { RowKind::File } else { RowKind::Link };
        for name in &file.names {
            let path = manifest.display_path(name.directory, &name.name);
            add(path, Row::File(&file.metadata, &file.streams, kind));
        }
    }
    for deletion in &manifest.deletions {
        add(manifest.display_path(deletion.directory, &deletion.name), Row::Deletion);
    }
    paths
}

fn row_difference((from, a): (&Manifest, &Row<'_>), (to, b): (&Manifest, &Row<'_>)) -> Vec<String> {
    let (a_meta, a_streams, b_meta, b_streams) = match (a, b) {
        (Row::Deletion, Row::Deletion) => return Vec::new(),
        (Row::Directory(a, a_streams), Row::Directory(b, b_streams)) => (a, a_streams, b, b_streams),
        (Row::File(a, a_streams, a_kind), Row::File(b, b_streams, b_kind)) if a_kind == b_kind => {
            (a, a_streams, b, b_streams)
        }
        _ => return vec!["kind".to_owned()],
    };
    let security =
        |manifest: &Manifest, meta: &MetadataRecord| manifest.securities.get(meta.security as usize).cloned();
    let content = a_streams.len() != b_streams.len()
        || a_streams.iter().zip(*b_streams).any(|(a, b)| {
            (&a.name, a.size, a.flags, a.content.digest()) != (&b.name, b.size, b.flags, b.content.digest())
        });
    properties(
        content,
        security(from, a_meta) != security(to, b_meta),
        a_meta.attributes != b_meta.attributes,
        (a_meta.times.created, a_meta.times.modified) != (b_meta.times.created, b_meta.times.modified),
        a_meta.properties != b_meta.properties,
    )
}

fn properties(content: bool, security: bool, attributes: bool, times: bool, extended: bool) -> Vec<String> {
    let all = [
        (content, "content"),
        (security, "security"),
        (attributes, "attributes"),
        (times, "times"),
        (extended, "properties"),
    ];
    all.into_iter().filter(|(differs, _)| *differs).map(|(_, name)| name.to_owned()).collect()
}

fn volume_diff(from: &Volume, to: &Volume, progress: &dyn Progress) -> Result<Vec<DiffRow>> {
    progress.step("Comparing files", Some(to.tree.len() as u64), Unit::Items);
    let mut rows = Vec::new();
    let mut pending = vec![(String::new(), Some(from.tree.root()), Some(to.tree.root()))];
    let (from_window, to_window) = (from.volume.window(&from.source)?, to.volume.window(&to.source)?);
    while let Some((path, was, is)) = pending.pop() {
        let old = was.map_or(&[][..], |id| from.tree.children(id));
        let now = is.map_or(&[][..], |id| to.tree.children(id));
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        progress.advance(now.len() as u64);
        for (was, is) in paired(old, now) {
            let name = &is.or(was).expect("a pair has a side").name;
            let path = format!("{path}\\{name}");
            let old = was.and_then(|child| from.tree.node(child.id));
            let now = is.and_then(|child| to.tree.node(child.id));
            let change = match (old, now) {
                (Some(_), None) => Some((DiffKind::Removed, Vec::new())),
                (None, Some(_)) => Some((DiffKind::Added, Vec::new())),
                (Some(old), Some(now)) => {
                    let properties = node_difference((&from_window, old), (&to_window, now))?;
                    (!properties.is_empty()).then_some((DiffKind::Changed, properties))
                }
                (None, None) => None,
            };
            if let Some((change, properties)) = change {
                rows.push(DiffRow { path: path.clone(), change, properties });
            }
            let directory =
                |node: Option<&Node>| node.filter(|node| node.kind == Kind::Directory).map(|node| node.id);
            let below = (directory(old), directory(now));
            if below != (None, None) {
                pending.push((path, below.0, below.1));
            }
        }
    }
    Ok(rows)
}

/// Entries of two directories by folded name.
fn paired<'c>(old: &'c [Child], now: &'c [Child]) -> Vec<(Option<&'c Child>, Option<&'c Child>)> {
    let mut pairs = Vec::with_capacity(old.len().max(now.len()));
    let (mut o, mut n) = (0, 0);
    while o < old.len() || n < now.len() {
        let order = match (old.get(o), now.get(n)) {
            (Some(a), Some(b)) => a.folded.cmp(&b.folded),
            (Some(_), None) => std::cmp::Ordering::Less,
            _ => std::cmp::Ordering::Greater,
        };
        let pair = (order.is_le().then(|| &old[o]), order.is_ge().then(|| &now[n]));
        o += usize::from(pair.0.is_some());
        n += usize::from(pair.1.is_some());
        pairs.push(pair);
    }
    pairs
}

fn node_difference(
    (from, old): (&dyn ByteSource, &Node),
    (to, now): (&dyn ByteSource, &Node),
) -> Result<Vec<String>> {
    if old.kind != now.kind {
        return Ok(vec!["kind".to_owned()]);
    }
    let failed = || Error::io("reading a file's contents");
    let mut content = old.streams.len() != now.streams.len();
    for (a, b) in old.streams.iter().zip(&now.streams) {
        if content {
            break;
        }
        content = (&a.name, a.size, a.flags) != (&b.name, b.size, b.flags)
            || streams::digest(from, a).map_err(failed())?.0 != streams::digest(to, b).map_err(failed())?.0;
    }
    let (a, b) = (&old.metadata, &now.metadata);
    Ok(properties(
        content,
        a.security != b.security,
        a.attributes != b.attributes,
        (a.times.created, a.times.modified) != (b.times.created, b.times.modified),
        a.properties != b.properties,
    ))
}

/// Everything recorded about an entry, with what of its registry a person may want to know.
pub(crate) fn show(
    session: &Session,
    catalog: &Catalog<'_>,
    entry: &Entry,
    progress: &dyn Progress,
) -> Result<ShowReport> {
    let as_json = |value: serde_json::Result<serde_json::Value>| {
        value.map_err(|error| Error::record(entry.reference(), &error))
    };
    let (created, engine, mut details) = match entry {
        Entry::Version(version) => {
            let record = &version.record;
            (record.created, record.engine.clone(), as_json(serde_json::to_value(record))?)
        }
        Entry::Image(image) => {
            let record = &image.record;
            (record.created, record.engine.clone(), as_json(serde_json::to_value(record))?)
        }
    };
    let (registry, programs, warnings) = match (body(session, catalog, entry, progress)?, entry) {
        (Body::Manifest(manifest), Entry::Version(version)) => {
            if let Some(details) = details.as_object_mut() {
                details.insert("manifest".to_owned(), manifest_details(&manifest));
            }
            let programs = programs::of_version(session, catalog, (version, &manifest), progress)?;
            (registry::changes(&manifest), programs, Vec::new())
        }
        (Body::Volume(volume), _) => {
            let (programs, warnings) = programs::of_volume(&volume, progress)?;
            (Vec::new(), programs, warnings)
        }
        (Body::Manifest(_), Entry::Image(_)) => {
            return Err(Error::Internal { what: "an image has a manifest" });
        }
    };
    Ok(ShowReport { summary: entry.summary(), created, engine, details, registry, programs, warnings })
}

fn manifest_details(manifest: &Manifest) -> serde_json::Value {
    let streams = manifest.files.iter().flat_map(|file| &file.streams);
    let stored =
        streams.clone().filter(|stream| matches!(stream.content, ContentRecord::Stored { .. })).count();
    let links = manifest.files.iter().filter(|file| !file.lower_names.is_empty()).count();
    let descriptors =
        manifest.securities.iter().filter(|security| matches!(security, Security::Descriptor(_))).count();
    serde_json::json!({
        "names": manifest.files.iter().map(|file| file.names.len()).sum::<usize>(),
        "links_to_lower_files": links,
        "streams": streams.count(),
        "streams_in_packs": stored,
        "security_descriptors": descriptors,
    })
}
