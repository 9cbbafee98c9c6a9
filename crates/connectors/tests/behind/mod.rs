//! The directory that lies behind a platform under test, and what other programs do in it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A directory of its own; `share` in it is the platform.
pub(crate) struct Behind {
    _directory: TempDir,
    /// The platform's directory.
    pub(crate) root: PathBuf,
}

impl Behind {
    pub(crate) fn new() -> Behind {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("share");
        fs::create_dir(&root).unwrap();
        Behind { _directory: directory, root }
    }

    pub(crate) fn vanish(&self) {
        fs::rename(&self.root, self.root.with_extension("gone")).unwrap();
    }

    /// Writes beside and renames, so that it is another file; an hour ago, so that nobody seems to be writing it.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let (path, beside) = (self.root.join(name), self.root.with_extension("new"));
        fs::write(&beside, bytes).unwrap();
        let modified = SystemTime::now() - Duration::from_secs(3600);
        File::options().write(true).open(&beside).unwrap().set_modified(modified).unwrap();
        fs::rename(&beside, &path).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.root.join(name)).ok()
    }

    pub(crate) fn names(&self) -> BTreeSet<String> {
        fn visit(root: &Path, folder: &Path, names: &mut BTreeSet<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                names.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
                if path.is_dir() {
                    visit(root, &path, names);
                }
            }
        }
        let mut names = BTreeSet::new();
        visit(&self.root, &self.root, &mut names);
        names
    }
}
