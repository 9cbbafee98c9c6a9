//! Random disks through the engine, compared with a naive model.
//!
//! A case is an OS disk and two app layers that were installed on it, each a list of random actions. Three things must
//! hold: an image of one layer is what was installed (nothing is lost and nothing added), also when it is a new version of
//! one of them, needs both, or is a version of the OS; an image of both is what the model makes of them; and all ways of
//! finding changes find the same ones.
//!
//! What the model does not know: short names that collide (the actions make none) and the case of directory names.

use crate::bench::edit::{Path, show};
use crate::bench::snapshot::Found;
use crate::bench::*;
use crate::known_blocks::{captured, changed};
use layering::Changes;
use layering::reference::LayerKind;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use volume::{Kind, Name};

/// One thing that happens to a disk. Entries that exist are named by a number that is taken modulo their count.
#[derive(Clone, Debug)]
enum Action {
    Write(Vec<u8>, Content),
    MakeDirectory(Vec<u8>),
    Overwrite(u16, Content),
    Delete(u16),
    Link(u16, Vec<u8>),
    Rename(u16, Vec<u8>),
    Protect(u16, u8),
    Stream(u16, u8, Content),
}

#[derive(Clone, Copy, Debug)]
enum Content {
    Empty,
    Bytes(u32, u8),
    Sparse(u8),
    Compressed(u8),
    Unwritten(u8),
}

/// Few names, so that actions meet; most of them are awkward.
fn component(number: u8) -> Name {
    match number % 14 {
        0 => Name::from("a"),
        1 => Name::from("A"),
        2 => Name::from("Beta"),
        3 => Name::from("bETA"),
        4 => Name::from("Ärger"),
        5 => Name::from("äRGER"),
        6 => Name::from_utf16(&[0x78; 255]),
        7 => Name::from("\u{1f600} non-BMP"),
        8 => Name::from_utf16(&[0x75, 0xd800]),
        9 => Name::from_utf16(&[0xdfff]),
        10 => Name::from("CON"),
        11 => Name::from("dot."),
        12 => Name::from("a b+c,d;e=f[g]"),
        _ => Name::from("ǆ"),
    }
}

fn path_of(numbers: &[u8]) -> Path {
    numbers.iter().map(|&number| component(number)).collect()
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        1 => Just(Content::Empty),
        5 => (1u32..600, any::<u8>()).prop_map(|(len, seed)| Content::Bytes(len, seed)),
        5 => (600u32..20_000, any::<u8>()).prop_map(|(len, seed)| Content::Bytes(len, seed)),
        1 => (1_100_000u32..1_300_000, any::<u8>()).prop_map(|(len, seed)| Content::Bytes(len, seed)),
        1 => any::<u8>().prop_map(Content::Sparse),
        1 => any::<u8>().prop_map(Content::Compressed),
        1 => any::<u8>().prop_map(Content::Unwritten),
    ]
}

fn place() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![9 => prop::collection::vec(0u8..14, 1..5), 1 => prop::collection::vec(0u8..3, 30..40)]
}

fn action() -> impl Strategy<Value = Action> {
    let which = any::<u16>;
    prop_oneof![
        6 => (place(), content()).prop_map(|(path, content)| Action::Write(path, content)),
        1 => place().prop_map(Action::MakeDirectory),
        3 => (which(), content()).prop_map(|(number, content)| Action::Overwrite(number, content)),
        3 => which().prop_map(Action::Delete),
        3 => (which(), place()).prop_map(|(number, path)| Action::Link(number, path)),
        2 => (which(), place()).prop_map(|(number, path)| Action::Rename(number, path)),
        1 => (which(), any::<u8>()).prop_map(|(number, value)| Action::Protect(number, value)),
        1 => (which(), 0u8..3, content()).prop_map(|(number, name, content)| Action::Stream(number, name, content)),
    ]
}

fn actions(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), count)
}

fn body(content: Content) -> Body {
    match content {
        Content::Empty => Body::Plain(Vec::new()),
        Content::Bytes(len, seed) => Body::Plain(noise(len as usize, u64::from(seed))),
        Content::Sparse(seed) => Body::Sparse(600_000, vec![(131_072, noise(70_000, u64::from(seed)))]),
        Content::Compressed(seed) => Body::Compressed(seed, noise(65_536, u64::from(seed))),
        Content::Unwritten(seed) => Body::Valid(50_000, noise(10_000, u64::from(seed))),
    }
}

fn new_file(content: Content) -> NewFile {
    let attributes = match content {
        Content::Sparse(_) => 0x220,
        Content::Compressed(_) => 0x820,
        _ => 0x20,
    };
    NewFile::of(body(content)).attributes(attributes)
}

/// Carries an action out; one that makes no sense here does nothing.
fn act(disk: &mut Edit, action: &Action) {
    let files: Vec<Path> = disk.paths().into_iter().filter(mine).collect();
    let pick = |number: u16| (!files.is_empty()).then(|| files[usize::from(number) % files.len()].clone());
    match action {
        Action::Write(path, content) => {
            let path = path_of(path);
            disk.make_way_for_file(&path);
            if !matches!(content, Content::Empty | Content::Bytes(..)) && disk.is_file(&path) {
                disk.delete_at(&path);
            }
            disk.file_at(&path, new_file(*content));
        }
        Action::MakeDirectory(path) => {
            let path = path_of(path);
            disk.make_way_for_directory(&path);
            disk.directory_at(&path);
        }
        Action::Overwrite(number, content) => {
            if let Some(path) = pick(*number).filter(|path| disk.is_plain_file(path))
                && matches!(content, Content::Empty | Content::Bytes(..))
            {
                disk.file_at(&path, new_file(*content));
            }
        }
        Action::Delete(number) => {
            if let Some(path) = pick(*number) {
                disk.delete_at(&path);
            }
        }
        Action::Link(number, to) => {
            if let Some(from) = pick(*number).filter(|path| disk.is_file(path)) {
                disk.make_way_and_link(&from, &path_of(to), false);
            }
        }
        Action::Rename(number, to) => {
            if let Some(from) = pick(*number).filter(|path| disk.is_file(path)) {
                disk.make_way_and_link(&from, &path_of(to), true);
            }
        }
        Action::Protect(number, value) => {
            if let Some(path) = pick(*number) {
                disk.metadata_at(&path, |metadata| {
                    metadata.security = descriptor(u32::from(*value));
                    metadata.times.modified = tick();
                });
            }
        }
        Action::Stream(number, name, content) => {
            let content = if matches!(content, Content::Bytes(..)) { *content } else { Content::Bytes(5, 1) };
            if let Some(path) = pick(*number).filter(|path| disk.is_plain_file(path))
                && let Body::Plain(bytes) = body(content)
            {
                disk.stream_at(&path, &format!("stream {name}"), &bytes);
            }
        }
    }
}

/// Not of the Windows folder that every disk of the bench has, nor the mark.
fn mine(path: &Path) -> bool {
    let first = path[0].to_string().to_uppercase();
    first != "WINDOWS" && first != "LAMINA PACKAGING DISK.JSON"
}

/// A volume as the model sees it: folded path → what is there, and which file it is.
#[derive(Clone, Default)]
struct Model {
    entries: BTreeMap<Path, (Found, u64)>,
}

thread_local! {
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

fn fresh() -> u64 {
    NEXT.with(|next| next.replace(next.get() + 1))
}

impl Model {
    fn of(snapshot: &Snapshot) -> Model {
        let mut ids: BTreeMap<&BTreeSet<Path>, u64> = BTreeMap::new();
        let mut entries = BTreeMap::new();
        for (path, found) in snapshot.entries.iter().filter(|(path, _)| mine(path)) {
            let id = *ids.entry(&found.group).or_insert_with(fresh);
            entries.insert(snapshot.folded(path), (found.clone(), id));
        }
        Model { entries }
    }

    /// Folds in what was done between `base` and `new`.
    fn apply(&mut self, base: &Model, new: &Model, doomed: &mut BTreeSet<Path>) {
        for (path, (was, _)) in base.entries.iter().rev() {
            if new.entries.get(path).is_some_and(|(is, _)| is.kind == was.kind) {
                continue;
            }
            let Some((here, _)) = self.entries.get(path) else { continue };
            if here.kind != was.kind {
                continue;
            }
            match was.kind {
                Kind::File => drop(self.entries.remove(path)),
                Kind::Directory => drop(doomed.insert(path.clone())),
            }
        }
        self.sweep(doomed);
        // Directories that the layer made, or that lead to something of it.
        for (path, (is, _)) in new.entries.iter().filter(|(_, (is, _))| is.kind == Kind::Directory) {
            let was = base.entries.get(path).filter(|(was, _)| was.kind == Kind::Directory);
            match was {
                None => {
                    self.directory(path, new);
                    doomed.remove(path);
                }
                Some((was, _)) => {
                    if let Some((here, _)) =
                        self.entries.get_mut(path).filter(|(here, _)| here.kind == Kind::Directory)
                    {
                        let (a, b) = (&was.metadata, &is.metadata);
                        if a.security != b.security {
                            here.metadata.security = b.security.clone();
                        }
                        if (a.times.created, a.times.modified) != (b.times.created, b.times.modified) {
                            here.metadata.times = b.times;
                        }
                    }
                }
            }
        }
        // Files, group by group.
        let mut groups: BTreeMap<u64, Vec<&Path>> = BTreeMap::new();
        for (path, (_, id)) in new.entries.iter().filter(|(_, (is, _))| is.kind == Kind::File) {
            groups.entry(*id).or_default().push(path);
        }
        // In the order of their first names, as manifests are.
        let mut groups: Vec<Vec<&Path>> = groups.into_values().collect();
        groups.sort();
        for names in groups {
            let unchanged = |path: &&Path| {
                let (is, _) = &new.entries[*path];
                base.entries.get(*path).is_some_and(|(was, _)| same_file(was, is))
            };
            let mut kept: Vec<&Path> = names.iter().copied().filter(unchanged).collect();
            // Names that are equal but were of different files before: one of them is the file, the others join it.
            if let Some(first) = kept.first() {
                let file = base.entries[*first].1;
                kept.retain(|path| base.entries[*path].1 == file);
            }
            let brought: Vec<&Path> = names.iter().copied().filter(|path| !kept.contains(path)).collect();
            if brought.is_empty() {
                continue;
            }
            let lower = kept.iter().find_map(|path| {
                self.entries
                    .get(*path)
                    .filter(|(here, _)| here.kind == Kind::File)
                    .map(|(here, id)| (here.clone(), *id))
            });
            let id = lower.as_ref().map_or_else(fresh, |(_, id)| *id);
            for path in brought {
                self.directory(&path[..path.len() - 1].to_vec(), new);
                let below: Vec<Path> =
                    self.entries.keys().filter(|key| key.starts_with(path)).cloned().collect();
                for path in below {
                    self.entries.remove(&path);
                    doomed.remove(&path);
                }
                let mut found = new.entries[path].0.clone();
                if let Some((lower, _)) = &lower {
                    found.streams = lower.streams.clone();
                    found.metadata = lower.metadata.clone();
                }
                self.entries.insert(path.clone(), (found, id));
            }
        }
        self.sweep(doomed);
    }

    /// Makes a directory and its parents where they are not; a file in the place of one loses.
    fn directory(&mut self, path: &Path, new: &Model) {
        for depth in 1..=path.len() {
            let path = &path[..depth];
            if !self.entries.get(path).is_some_and(|(here, _)| here.kind == Kind::Directory) {
                self.entries.insert(path.to_vec(), (new.entries[path].0.clone(), fresh()));
            }
        }
    }

    /// Takes doomed directories away that are empty.
    fn sweep(&mut self, doomed: &mut BTreeSet<Path>) {
        for path in doomed.clone().into_iter().rev() {
            let below = self.entries.keys().any(|key| key.len() > path.len() && key.starts_with(&path));
            if !below {
                if self.entries.get(&path).is_some_and(|(here, _)| here.kind == Kind::Directory) {
                    self.entries.remove(&path);
                }
                doomed.remove(&path);
            }
        }
    }

    /// What differs, in words.
    fn differences(&self, other: &Model) -> Vec<String> {
        let mut found = Vec::new();
        for path in self.entries.keys().chain(other.entries.keys()).collect::<BTreeSet<_>>() {
            let text = show(path);
            match (self.entries.get(path), other.entries.get(path)) {
                (Some(_), None) => found.push(format!("only expected: {text}")),
                (None, Some(_)) => found.push(format!("not expected: {text}")),
                (Some((a, _)), Some((b, _))) => {
                    if a.kind == Kind::File && a.name != b.name {
                        found.push(format!("{text}: {:?} is called {:?}", a.name, b.name));
                    }
                    if a.kind != b.kind || a.metadata != b.metadata {
                        found.push(format!("{text}: {:?} became {:?}", a.metadata, b.metadata));
                    }
                    if a.streams != b.streams {
                        found.push(format!("{text}: {:?} became {:?}", a.streams, b.streams));
                    }
                }
                (None, None) => {}
            }
        }
        let groups = |model: &Model| -> BTreeSet<Vec<Path>> {
            let mut groups: BTreeMap<u64, Vec<Path>> = BTreeMap::new();
            for (path, (_, id)) in &model.entries {
                groups.entry(*id).or_default().push(path.clone());
            }
            groups.into_values().collect()
        };
        let (ours, theirs) = (groups(self), groups(other));
        found.extend(ours.difference(&theirs).map(|group| format!("no longer one file: {group:?}")));
        found.extend(theirs.difference(&ours).map(|group| format!("now one file: {group:?}")));
        found
    }
}

/// Whether a file is the same after as before: neither access nor change of the record is a change.
fn same_file(was: &Found, is: &Found) -> bool {
    was.kind == is.kind
        && was.name == is.name
        && was.short == is.short
        && was.streams == is.streams
        && was.metadata.security == is.metadata.security
        && was.metadata.attributes == is.metadata.attributes
        && was.metadata.properties == is.metadata.properties
        && (was.metadata.times.created, was.metadata.times.modified)
            == (is.metadata.times.created, is.metadata.times.modified)
}

fn run(os: &[Action], layers: &[Vec<Action>; 2], more: &[Action]) -> Result<(), TestCaseError> {
    let Some(lab) = Lab::open("round_trip") else { return Ok(()) };
    lab.os("Windows@1", |disk| os.iter().for_each(|action| act(disk, action)));
    let spec = on("Windows");
    let packaging = lab.package(&spec);
    let base = Model::of(&Snapshot::of(&packaging));
    let mut installed = Vec::new();
    for (layer, name) in layers.iter().zip(["A@1", "B@1"]) {
        let disk = lab.copy(&packaging);
        disk.edit(|disk| layer.iter().for_each(|action| act(disk, action)));
        let compared = captured(&lab, &spec, name, &disk, Changes::Compare);
        let known = captured(
            &lab,
            &spec,
            &name.replace('@', " again@"),
            &disk,
            Changes::Known(changed(&packaging, &disk)),
        );
        prop_assert_eq!(compared.0, known.0, "known blocks give another manifest");
        let new = Model::of(&Snapshot::of(&disk));
        let image = lab.compose(&on("Windows").with(&name[..1]));
        let differences = new.differences(&Model::of(&image));
        prop_assert!(differences.is_empty(), "layer {name} alone: {differences:#?}");
        installed.push(new);
    }
    let mut expected = base.clone();
    let mut doomed = BTreeSet::new();
    for new in &installed {
        expected.apply(&base, new, &mut doomed);
    }
    let image = lab.compose(&on("Windows").with("A").with("B"));
    let differences = expected.differences(&Model::of(&image));
    prop_assert!(differences.is_empty(), "both layers: {differences:#?}");
    let again = lab.compose(&on("Windows").with("A").with("B"));
    prop_assert_eq!(&again.report.digest, &image.report.digest);
    further(&lab, more)
}

/// Warnings about what is on a packaging disk, or is not, otherwise than the authors of its layers saw it.
const HIDING: [&str; 4] =
    ["subtree-lost", "kind-changed", "deletion-kind-differs", "deletion-directory-stays"];

/// What is made on top of the two layers: a new version of one, a layer that needs both, a new version of the OS.
fn further(lab: &Lab, more: &[Action]) -> Result<(), TestCaseError> {
    let os = on("Windows@1");
    let cases = [
        (os.clone().base("A@1"), LayerKind::App, "A@2", os.clone().with("A@2")),
        (os.clone().with("B@1").base("A@1"), LayerKind::App, "A@3", os.clone().with("B@1").with("A@3")),
        (
            os.clone().with("A@1").with("B@1"),
            LayerKind::App,
            "C@1",
            os.clone().with("A@1").with("B@1").with("C@1"),
        ),
        (os, LayerKind::Os, "Windows@2", on("Windows@2")),
    ];
    for (packaged, kind, reference, composed) in cases {
        let (disk, report) = lab.try_package(&packaged).unwrap();
        // What a base hid of a prerequisite without its author's knowledge comes back when the new version lets go of it,
        // and a deleted directory that was left with something in it goes when that is deleted.
        if codes(&report.warnings).iter().any(|code| HIDING.contains(code)) {
            continue;
        }
        // A directory that a prerequisite deletes and a base makes again, to put something in, goes with that.
        if reference == "A@3" && lab.rows("app:B").iter().any(|row| row.starts_with("deletion")) {
            continue;
        }
        disk.edit(|disk| more.iter().for_each(|action| act(disk, action)));
        lab.capture(&packaged, kind, reference, &disk);
        let expected = Model::of(&Snapshot::of(&disk));
        let differences = expected.differences(&Model::of(&lab.compose(&composed)));
        prop_assert!(differences.is_empty(), "{reference}: {differences:#?}");
    }
    Ok(())
}

proptest! {
    // PROPTEST_CASES and PROPTEST_RNG_SEED ask for more, and for others.
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(40),
        max_shrink_iters: 150,
        failure_persistence: None,
        rng_seed: match std::env::var("PROPTEST_RNG_SEED").ok().and_then(|text| text.parse().ok()) {
            Some(seed) => RngSeed::Fixed(seed),
            None => RngSeed::Fixed(2),
        },
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_layers_are_composed_as_the_model_says(os in actions(5..25), a in actions(1..12), b in actions(1..12), more in actions(1..10)) {
        run(&os, &[a, b], &more)?;
    }
}
