//! The trees that the measurements use: generated from a seed, so that every machine measures the same files.
//!
//! The sizes follow a log-normal distribution, as those of installed programs do: many small files, few large ones.
//! Deliberately missing: compressed and encrypted files, which neither driver would write at full speed.

use crate::descriptor;
use fastrand::Rng;
use std::collections::BTreeSet;

/// How many different security descriptors the files share.
pub(crate) const DESCRIPTORS: u8 = 8;

/// A tree: parents stand before what is in them, files before their further names.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) entries: Vec<Entry>,
}

/// One name in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// From the root of the volume, `/` between the names.
    pub(crate) path: String,
    pub(crate) kind: Kind,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File(File),
    /// A further name of the entry with this index.
    Link(usize),
}

/// A file and the metadata that Windows keeps with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) bytes: u64,
    /// Where in the pool its content begins, in bytes.
    pub(crate) pool_offset: usize,
    /// Which of the [`DESCRIPTORS`] it has.
    pub(crate) descriptor: u8,
    /// Its 8.3 name, if it has one.
    pub(crate) short_name: Option<String>,
    /// Whether it has a stream `Zone.Identifier`.
    pub(crate) marked_as_downloaded: bool,
}

/// Totals of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) files: usize,
    pub(crate) folders: usize,
    pub(crate) links: usize,
    pub(crate) bytes: u64,
}

/// The random bytes that contents are cut from; larger than any file that is cut from it.
pub(crate) const POOL_BYTES: usize = 40 << 20;

impl Tree {
    /// What is in it.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals { files: 0, folders: 0, links: 0, bytes: 0 };
        for entry in &self.entries {
            match &entry.kind {
                Kind::Folder => totals.folders += 1,
                Kind::Link(_) => totals.links += 1,
                Kind::File(file) => {
                    totals.files += 1;
                    totals.bytes += file.bytes;
                }
            }
        }
        totals
    }

    fn folder(&mut self, path: String) -> String {
        self.entries.push(Entry { path: path.clone(), kind: Kind::Folder });
        path
    }

    fn file(&mut self, random: &mut Rng, path: String, bytes: u64) -> usize {
        let index = self.entries.len();
        let room = POOL_BYTES - usize::try_from(bytes).unwrap_or(POOL_BYTES).min(POOL_BYTES);
        let extension = path.rsplit_once('.').map_or("BIN", |(_, extension)| extension).to_uppercase();
        let file = File {
            bytes,
            pool_offset: random.usize(0..=room),
            descriptor: random.u8(0..DESCRIPTORS),
            short_name: index.is_multiple_of(4).then(|| format!("L{index:05X}~1.{extension:.3}")),
            marked_as_downloaded: index % 50 == 7,
        };
        self.entries.push(Entry { path, kind: Kind::File(file) });
        index
    }

    fn link(&mut self, path: String, target: usize) {
        self.entries.push(Entry { path, kind: Kind::Link(target) });
    }
}

/// An installed application suite: 24,004 files in 2,000 folders, about 1.7 GiB, 1,200 hard links.
pub(crate) fn application() -> Tree {
    const FILES: usize = 24_000;
    let mut random = Rng::with_seed(42);
    let mut tree = Tree::default();
    let root = tree.folder("Program Files/Suite".into());
    let mut folders = vec![root.clone()];
    for index in 0..FILES / 12 {
        let recent = folders.len().saturating_sub(60);
        let from = if random.f64() < 0.7 { recent } else { 0 };
        let parent = &folders[random.usize(from..folders.len())];
        let path = if parent.matches('/').count() > 9 {
            format!("{root}/Component {index:05}")
        } else {
            format!("{parent}/Vendor.Component.{index:05}")
        };
        folders.push(tree.folder(path));
    }
    let mut files = Vec::new();
    for index in 0..FILES {
        let bytes = log_normal(&mut random, 8.6, 1.9).min(2 << 20);
        let folder = &folders[random.usize(0..folders.len())];
        let extension = ["dll", "exe", "mui", "xml", "png", "cat"][random.usize(0..6)];
        files.push(tree.file(&mut random, format!("{folder}/library-module-{index:06}.{extension}"), bytes));
    }
    for index in 0..4 {
        // Four files of a quarter GiB, in pieces that the pool can give.
        tree.file(&mut random, format!("{root}/resource{index}.bin"), 256 << 20);
    }
    for index in 0..FILES / 20 {
        let folder = &folders[random.usize(0..folders.len())];
        let target = files[random.usize(0..files.len())];
        tree.link(format!("{folder}/linked-{index:05}.dll"), target);
    }
    tree
}

/// A system folder as Windows has it: about 150,000 files in 28,000 folders, 60,000 hard links from the component
/// store into the folders that programs look in, 8.7 GiB.
pub(crate) fn windows() -> Tree {
    let mut random = Rng::with_seed(7);
    let mut tree = Tree::default();
    let store = tree.folder("Windows/WinSxS".into());
    let manifests = tree.folder(format!("{store}/Manifests"));
    for index in 0..28_000 {
        let bytes = random.u64(400..3000);
        let (a, b) = (random.u32(..), random.u64(..));
        let name =
            format!("amd64_component-{a:08x}_31bf3856ad364e35_10.0.19041.{index}_none_{b:016x}.manifest");
        tree.file(&mut random, format!("{manifests}/{name}"), bytes);
    }
    let catalogs = tree.folder(format!("{store}/Catalogs"));
    for _ in 0..9_000 {
        let (name, bytes) = (random.u128(..), system_file_bytes(&mut random));
        tree.file(&mut random, format!("{catalogs}/{name:032x}.cat"), bytes);
    }
    let mut components = Vec::new();
    for component in 0..22_000 {
        let (build, hash) = (random.u32(0..4000), random.u64(..));
        let name = format!(
            "amd64_component-c{component:05}-resources_31bf3856ad364e35_10.0.19041.{build}_en-us_{hash:016x}"
        );
        let folder = tree.folder(format!("{store}/{name}"));
        for part in 0..[1, 1, 1, 2, 3, 4, 9][random.usize(0..7)] {
            let bytes = system_file_bytes(&mut random);
            components.push(tree.file(
                &mut random,
                format!("{folder}/component{component:05}-{part}.dll"),
                bytes,
            ));
        }
    }
    random.shuffle(&mut components);
    project(&mut tree, &mut components);
    let programs = tree.folder("Program Files/Applications".into());
    for application in 0..300 {
        let folder = tree.folder(format!("{programs}/Application {application}"));
        for module in 0..120 {
            let bytes = system_file_bytes(&mut random);
            tree.file(&mut random, format!("{folder}/module-{module:04}.dll"), bytes);
        }
    }
    let users = tree.folder("Users".into());
    for number in 0..1_500 {
        let folder = tree.folder(format!("{users}/folder {number}"));
        for document in 0..10 {
            let bytes = system_file_bytes(&mut random);
            tree.file(&mut random, format!("{folder}/doc {document:04}.dat"), bytes);
        }
    }
    tree
}

/// Gives files of the component store their second names, as Windows' servicing does.
fn project(tree: &mut Tree, components: &mut Vec<usize>) {
    let mut links = |tree: &mut Tree, folder: &str, prefix: &str, extension: &str, count: usize| {
        for _ in 0..count {
            let Some(target) = components.pop() else { return };
            tree.link(format!("{folder}/{prefix}{target:06}.{extension}"), target);
        }
    };
    let system = "Windows/System32/components".to_owned();
    let system = tree.folder(system);
    links(tree, &system, "sys", "dll", 9_000);
    let drivers = tree.folder(format!("{system}/drivers"));
    links(tree, &drivers, "drv", "sys", 1_500);
    let repository = tree.folder(format!("{system}/DriverStore"));
    for driver in 0..3_500 {
        let folder = tree.folder(format!("{repository}/driver{driver:05}.inf_amd64"));
        links(tree, &folder, "drvfile", "sys", 4);
    }
    let wow = tree.folder("Windows/SysWOW64".into());
    links(tree, &wow, "wow", "dll", 5_000);
    for number in 0..800 {
        let folder = tree.folder(format!("Windows/SubDir{number:04}"));
        links(tree, &folder, "sub", "dll", 40);
    }
}

fn system_file_bytes(random: &mut Rng) -> u64 {
    log_normal(random, 9.2, 2.0).min(16 << 20)
}

/// A size in bytes whose logarithm is normally distributed (Box and Muller's method).
fn log_normal(random: &mut Rng, mean: f64, deviation: f64) -> u64 {
    let (a, b) = (1.0 - random.f64(), random.f64());
    let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
    (mean + deviation * normal).exp() as u64
}

/// The folders above the entries of `tree` that `tree` itself does not make, outermost first.
pub(crate) fn folders_above(tree: &Tree) -> BTreeSet<String> {
    let mut above = BTreeSet::new();
    for entry in &tree.entries {
        let mut path = entry.path.as_str();
        while let Some((parent, _)) = path.rsplit_once('/') {
            above.insert(parent.to_owned());
            path = parent;
        }
    }
    for entry in &tree.entries {
        above.remove(&entry.path);
    }
    above
}

/// The security descriptor with this number, as bytes.
pub(crate) fn descriptor(number: u8) -> Vec<u8> {
    descriptor::for_group(1000 + u32::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_tree() {
        assert_eq!(application().entries, application().entries);
    }

    #[test]
    fn the_application_tree_has_the_size_that_the_goals_speak_of() {
        let totals = application().totals();
        assert_eq!((totals.files, totals.links), (24_004, 1_200));
        assert!((1_600..2_000).contains(&(totals.bytes >> 20)), "{} MiB", totals.bytes >> 20);
    }

    #[test]
    fn the_windows_tree_has_the_size_that_the_goals_speak_of() {
        let totals = windows().totals();
        assert!((140_000..165_000).contains(&totals.files), "{} files", totals.files);
        assert!((55_000..65_000).contains(&totals.links), "{} links", totals.links);
        assert!((8_000..9_600).contains(&(totals.bytes >> 20)), "{} MiB", totals.bytes >> 20);
    }

    #[test]
    fn no_path_stands_twice_and_links_follow_their_files() {
        for tree in [application(), windows()] {
            let mut seen = BTreeSet::new();
            for (index, entry) in tree.entries.iter().enumerate() {
                assert!(seen.insert(entry.path.to_lowercase()), "{} twice", entry.path);
                if let Kind::Link(target) = entry.kind {
                    assert!(target < index && matches!(tree.entries[target].kind, Kind::File(_)));
                }
            }
        }
    }
}
