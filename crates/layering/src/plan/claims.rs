//! What folding layers noticed: who claims which path, and everything a person should see.

use super::view::{DirectoryIndex, Target, View};
use super::{OsContents, PlanLayer};
use crate::Result;
use crate::report::{ConflictRow, RowKind, Warning};
use std::collections::{BTreeSet, HashMap};
use store::BlobId;
use volume::{FileId, Kind, Name, Node, Tree};

/// One layer's say about a path.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    layer: usize,
    entry: RowKind,
    /// Position among the manifest's files.
    file: Option<u32>,
    /// Digest of what the path held when the layer was captured.
    before: Option<BlobId>,
}

impl Claim {
    pub(super) fn new(layer: usize, entry: RowKind) -> Claim {
        Claim { layer, entry, file: None, before: None }
    }

    pub(super) fn with_file(self, position: u32) -> Claim {
        Claim { file: Some(position), ..self }
    }

    pub(super) fn with_before(self, before: Option<BlobId>) -> Claim {
        Claim { before, ..self }
    }
}

/// Collects while layers are folded in.
pub(super) struct Remarks {
    os_label: String,
    labels: Vec<String>,
    claims: HashMap<(DirectoryIndex, Name), (Name, Vec<Claim>)>,
    pub(super) kind_differs: Vec<String>,
    pub(super) kind_changed: Vec<String>,
    pub(super) subtree_lost: Vec<String>,
    pub(super) link_targets_missing: Vec<String>,
    pub(super) short_names: Vec<String>,
    pub(super) directories_stay: Vec<String>,
    pub(super) replaced: BTreeSet<FileId>,
    /// Files that were not there when their deletion was folded in: layer, names of the path.
    pub(super) unmet: Vec<(usize, Vec<Name>)>,
}

impl Remarks {
    pub(super) fn new(os_label: &str, layers: &[PlanLayer<'_>]) -> Remarks {
        Remarks {
            os_label: os_label.to_owned(),
            labels: layers.iter().map(|layer| layer.label.clone()).collect(),
            claims: HashMap::new(),
            kind_differs: Vec::new(),
            kind_changed: Vec::new(),
            subtree_lost: Vec::new(),
            link_targets_missing: Vec::new(),
            short_names: Vec::new(),
            directories_stay: Vec::new(),
            replaced: BTreeSet::new(),
            unmet: Vec::new(),
        }
    }

    pub(super) fn claim(&mut self, place: DirectoryIndex, folded: &Name, name: &Name, claim: Claim) {
        let claims = self.claims.entry((place, folded.clone())).or_insert_with(|| (name.clone(), Vec::new()));
        claims.0 = name.clone();
        claims.1.push(claim);
    }

    /// Warnings and conflict rows, sorted by path.
    pub(super) fn finish(
        mut self,
        view: &View<'_>,
        tree: &Tree,
        layers: &[PlanLayer<'_>],
        os: &mut dyn OsContents,
    ) -> Result<(Vec<Warning>, Vec<ConflictRow>)> {
        let claims = std::mem::take(&mut self.claims);
        let mut rows = Vec::new();
        let mut reappearing = Vec::new();
        for ((place, _), (name, claims)) in &claims {
            let old = view.directories[*place].old.and_then(|id| tree.child(id, name));
            let old = old.and_then(|child| tree.node(child.id));
            let Some(winner) = claims.last() else { continue };
            let layer = &layers[winner.layer];
            let deleted = |digest| {
                claims.iter().any(|claim| claim.entry == RowKind::Deletion && claim.before == Some(digest))
            };
            if digest_of(winner, layers).is_some_and(deleted) {
                reappearing.push(view.entry_path(*place, name));
            }
            let changed_by_os = !layer.same_os_version
                && winner.entry != RowKind::Link
                && changed_by_os(winner, layers, old, os)?;
            if claims.len() < 2 && !changed_by_os {
                continue;
            }
            let mut losers: Vec<String> =
                claims.iter().rev().skip(1).map(|claim| self.labels[claim.layer].clone()).collect();
            losers.dedup();
            if old.is_some() {
                losers.push(self.os_label.clone());
            }
            let os_is_newer = match (changed_by_os, old) {
                (true, Some(old)) => newer_in_os(winner, layers, name, old, os)?,
                _ => None,
            };
            rows.push(ConflictRow {
                path: view.entry_path(*place, name),
                winner: self.labels[winner.layer].clone(),
                losers,
                entry: winner.entry,
                changed_by_os,
                os_is_newer,
            });
        }
        rows.sort_by(|a, b| a.path.cmp(&b.path));
        // What the author of a layer saw and deleted, and what only a layer above it brings: a prerequisite's file.
        for (layer, path) in &self.unmet {
            if view.file_of_layer_above(path, *layer) {
                reappearing.push(path.iter().fold(String::new(), |text, part| format!("{text}\\{part}")));
            }
        }
        let separated = self.separated_links(view, tree);
        let newer: Vec<String> =
            rows.iter().filter(|row| row.os_is_newer.is_some()).map(|row| row.path.clone()).collect();
        let changed: Vec<String> =
            rows.iter().filter(|row| row.changed_by_os).map(|row| row.path.clone()).collect();
        let warnings = [
            (
                "os-changed-since",
                "also changed by the OS since the layer was captured; the layer wins",
                changed,
            ),
            (
                "os-binary-newer",
                "binaries of which the OS has a higher version than the layer that wins",
                newer,
            ),
            (
                "kind-changed",
                "a directory took the place of a file, or a file that of a directory",
                self.kind_changed,
            ),
            ("subtree-lost", "lost because a file took the place of a directory above", self.subtree_lost),
            (
                "deletion-directory-stays",
                "directories that a layer deletes stay because they are not empty",
                self.directories_stay,
            ),
            (
                "deletion-kind-differs",
                "not deleted because a file is now a directory, or a directory a file",
                self.kind_differs,
            ),
            ("deleted-file-reappears", "deleted by a layer, brought again by a higher one", reappearing),
            (
                "link-target-missing",
                "names that a layer added to a file which is not there any more; they became files of their own",
                self.link_targets_missing,
            ),
            (
                "hard-link-separated",
                "names that keep their content although another name of the same file was replaced",
                separated,
            ),
            ("short-name-changed", "short names that collided", self.short_names),
        ];
        let warnings = warnings
            .into_iter()
            .filter(|(_, _, paths)| !paths.is_empty())
            .map(|(code, message, paths)| warning(code, message, paths))
            .collect();
        Ok((warnings, rows))
    }

    /// Names of replaced files that still lead to the old content.
    fn separated_links(&self, view: &View<'_>, tree: &Tree) -> Vec<String> {
        let mut paths = Vec::new();
        for id in &self.replaced {
            let Some(node) = tree.node(*id) else { continue };
            for link in &node.links {
                let Some(place) = view.loaded(link.parent) else {
                    paths.push(tree_path(tree, link.parent, &link.name));
                    continue;
                };
                let slot = view.directories[place].entries.get(&tree.fold(&link.name));
                if slot.is_some_and(|slot| slot.target == Target::OldFile(*id)) {
                    paths.push(view.entry_path(place, &link.name));
                }
            }
        }
        paths
    }
}

/// How many paths a warning names.
pub(crate) const MOST_PATHS: usize = 100;

/// A warning about paths, of which it shows the first hundred in order.
pub(crate) fn warning(code: &str, message: &str, mut paths: Vec<String>) -> Warning {
    paths.sort();
    paths.dedup();
    let count = paths.len() as u64;
    paths.truncate(MOST_PATHS);
    Warning { code: code.to_owned(), message: message.to_owned(), paths, count }
}

fn tree_path(tree: &Tree, directory: FileId, name: &Name) -> String {
    let mut parts = vec![name.to_string()];
    let mut at = directory;
    // The scanner has refused cycles; the bound keeps a hand-made tree from looping here.
    for _ in 0..=tree.len() {
        if at == tree.root() {
            break;
        }
        let Some(link) = tree.node(at).and_then(|node| node.links.first()) else { break };
        parts.push(link.name.to_string());
        at = link.parent;
    }
    parts.iter().rev().fold(String::new(), |path, part| path + "\\" + part)
}

fn digest_of(claim: &Claim, layers: &[PlanLayer<'_>]) -> Option<BlobId> {
    let file = layers[claim.layer].manifest.files.get(claim.file? as usize)?;
    file.digest()
}

fn main_stream(node: &Node) -> Option<&volume::Stream> {
    node.streams.iter().find(|stream| stream.name.is_empty())
}

fn changed_by_os(
    winner: &Claim,
    layers: &[PlanLayer<'_>],
    old: Option<&Node>,
    os: &mut dyn OsContents,
) -> Result<bool> {
    let now = match old.filter(|node| node.kind == Kind::File).and_then(main_stream) {
        Some(stream) => Some(os.digest(stream)?),
        None => None,
    };
    Ok(match (winner.entry, winner.before, now) {
        // A deleted file that is gone from the OS as well is no change that matters.
        (RowKind::Deletion, Some(before), now) => now.is_some_and(|now| now != before),
        (_, Some(before), now) => now != Some(before),
        // The OS has the file now, too, and not the same one.
        (RowKind::File, None, Some(now)) => digest_of(winner, layers) != Some(now),
        _ => false,
    })
}

fn newer_in_os(
    winner: &Claim,
    layers: &[PlanLayer<'_>],
    name: &Name,
    old: &Node,
    os: &mut dyn OsContents,
) -> Result<Option<(String, String)>> {
    let file = winner.file.and_then(|file| layers[winner.layer].manifest.files.get(file as usize));
    let (Some(ours), Some(stream)) = (file.and_then(|file| file.binary_version), main_stream(old)) else {
        return Ok(None);
    };
    let theirs = os.binary_version(name, stream)?;
    Ok(theirs.filter(|theirs| *theirs > ours).map(|theirs| (dotted(theirs), dotted(ours))))
}

fn dotted(version: [u16; 4]) -> String {
    let [a, b, c, d] = version;
    format!("{a}.{b}.{c}.{d}")
}
