//! The registry hives of a version or image: what people call them, choosing among them, and reading them.

use super::body::Volume;
use crate::difference::hive_streams;
use crate::error::Rule;
use crate::hives::{self, Role};
use crate::manifest::{HiveRecord, Manifest};
use crate::registry::{self, HiveKind};
use crate::{Error, Result};
use disk::ByteSource;
use hive::{Hive, Upcase};
use std::sync::LazyLock;
use volume::{FileId, Name, Tree};

/// Hives of the OS layer alone, which are shown only to who asks for them: they hold secrets.
const OF_THE_OS_ALONE: [&str; 2] = ["SAM", "SECURITY"];

/// How names compare where there is no volume to ask.
static NAMES: LazyLock<(Tree, Upcase)> = LazyLock::new(|| {
    let upcase = Upcase::unicode();
    let table = (0..=u16::MAX).map(|unit| upcase.unit(unit)).collect();
    (Tree::new(FileId(0), [], Some(table)), upcase)
});

/// How names in the registry compare where there is no volume to ask.
pub(crate) fn unicode() -> &'static Upcase {
    &NAMES.1
}

/// What people call a hive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HiveName {
    /// `SYSTEM`, `USER`, ...; the file's name where nothing else is known.
    word: String,
    /// Whose it is: the name of the user's folder.
    user: Option<String>,
    /// Path of its file.
    pub(crate) path: String,
}

impl HiveName {
    pub(crate) fn new(kind: Option<HiveKind>, directory: &[&Name], file: &Name) -> HiveName {
        let path =
            directory.iter().chain([&file]).fold(String::new(), |path, name| format!("{path}\\{name}"));
        let folder = match kind {
            Some(HiveKind::User) => directory.len().checked_sub(1),
            // below AppData\Local\Microsoft\Windows
            Some(HiveKind::Classes) => directory.len().checked_sub(5),
            _ => None,
        };
        let user = folder.and_then(|at| directory.get(at)).map(ToString::to_string);
        let word = kind.map_or_else(|| file.to_string(), |kind| kind.name().to_owned());
        HiveName { word, user, path }
    }

    /// What reports call it: of the machine's hives the name that Windows mounts them as, else the file's path.
    pub(crate) fn shown(&self) -> &str {
        if self.user.is_some() { &self.path } else { &self.word }
    }

    /// Where regedit shows the hive; a user's under the name of the user's folder, which a hive has that is loaded by hand.
    pub(crate) fn place(&self) -> String {
        match &self.user {
            Some(user) if self.word == HiveKind::Classes.name() => format!("HKEY_USERS\\{user}_Classes"),
            Some(user) => format!("HKEY_USERS\\{user}"),
            None if self.word == HiveKind::Default.name() => "HKEY_USERS\\.DEFAULT".to_owned(),
            None => format!("HKEY_LOCAL_MACHINE\\{}", self.word),
        }
    }
}

/// Which hives are asked for.
#[derive(Debug, Clone)]
pub(crate) enum HiveFilter {
    /// All that are shown to everybody.
    All,
    /// The hive whose file has this path, in upper case.
    Path(String),
    /// Hives of a name, and of a user in upper case if one is given.
    Named { word: &'static str, user: Option<String> },
}

impl HiveFilter {
    /// What a person wrote: `SOFTWARE`, `USER`, `USER:ann`, or the path of a file.
    pub(crate) fn parse(text: Option<&str>) -> Result<HiveFilter> {
        let Some(text) = text else { return Ok(HiveFilter::All) };
        if text.starts_with(['\\', '/']) {
            return Ok(HiveFilter::Path(super::normalized(text)));
        }
        let (word, user) = match text.split_once(':') {
            Some((word, user)) => (word, Some(user)),
            None => (text, None),
        };
        let unknown = || Rule::HiveName { text: text.to_owned() };
        let kind = HiveKind::parse(word);
        let alone = || OF_THE_OS_ALONE.into_iter().find(|name| name.eq_ignore_ascii_case(word));
        let word = kind.map(HiveKind::name).or_else(alone).ok_or_else(unknown)?;
        let of_users = matches!(kind, Some(HiveKind::User | HiveKind::Classes));
        if user.is_some_and(|user| user.is_empty() || !of_users) {
            return Err(unknown().into());
        }
        Ok(HiveFilter::Named { word, user: user.map(str::to_uppercase) })
    }

    pub(crate) fn matches(&self, name: &HiveName) -> bool {
        match self {
            HiveFilter::All => !OF_THE_OS_ALONE.contains(&name.word.as_str()),
            HiveFilter::Path(path) => name.path.to_uppercase() == *path,
            HiveFilter::Named { word, user } => {
                name.word == *word
                    && user
                        .as_ref()
                        .is_none_or(|user| name.user.as_ref().is_some_and(|own| own.to_uppercase() == *user))
            }
        }
    }

    /// That `within`, which has the hives `found`, has none of those that are asked for.
    pub(crate) fn refuse<'n>(
        text: Option<&str>,
        within: &str,
        found: impl Iterator<Item = &'n HiveName>,
    ) -> Error {
        let found: Vec<&str> = found.map(HiveName::shown).take(20).collect();
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        let hive = text.unwrap_or("of any name").to_owned();
        Rule::NoHive { hive, within: within.to_owned(), found }.into()
    }
}

/// The names of a path of keys that a person wrote.
pub(crate) fn key_path(text: &str) -> Vec<hive::Name<'static>> {
    text.split('\\').filter(|name| !name.is_empty()).map(hive::Name::from).collect()
}

/// What a layer version changes in a hive.
pub(crate) struct LayerHive<'m> {
    pub(crate) name: HiveName,
    pub(crate) kind: Option<HiveKind>,
    pub(crate) record: &'m HiveRecord,
}

/// The hives that a layer version changes, by name.
pub(crate) fn of_layer(manifest: &Manifest) -> Vec<LayerHive<'_>> {
    let mut found: Vec<LayerHive<'_>> = manifest
        .hives
        .iter()
        .map(|record| {
            let directory = manifest.directory_path(record.directory);
            let owned: Vec<Name> = directory.iter().copied().cloned().collect();
            let kind = match hives::role(&NAMES.0, &owned, &record.name) {
                Some(Role::Hive(kind)) => Some(kind),
                _ => None,
            };
            LayerHive { name: HiveName::new(kind, &directory, &record.name), kind, record }
        })
        .collect();
    found.sort_by(|a, b| a.name.shown().cmp(b.name.shown()));
    found
}

/// A hive on the volume of an OS version or image.
pub(crate) struct VolumeHive<'t> {
    pub(crate) name: HiveName,
    pub(crate) kind: Option<HiveKind>,
    streams: crate::difference::HiveStreams<'t>,
}

impl Volume {
    /// How names in its registry compare.
    pub(crate) fn upcase(&self) -> Upcase {
        self.tree.upcase().and_then(Upcase::from_table).unwrap_or_else(Upcase::unicode)
    }

    /// Its hives, by name.
    pub(crate) fn hives(&self) -> Vec<VolumeHive<'_>> {
        let mut found = Vec::new();
        for hive in hives::all(&self.tree) {
            let beside = self.tree.children(hive.parent);
            if let Some(streams) = hive_streams(&self.tree, hive.entry, beside) {
                let directory: Vec<&Name> = hive.directory.iter().collect();
                let name = HiveName::new(Some(hive.kind), &directory, &hive.entry.name);
                found.push(VolumeHive { name, kind: Some(hive.kind), streams });
            }
        }
        let config = ["Windows", "System32", "config"].map(Name::from);
        if let Some(parent) = self.tree.lookup(&config).map(|node| node.id) {
            let beside = self.tree.children(parent);
            for word in OF_THE_OS_ALONE {
                let entry = self.tree.child(parent, &Name::from(word));
                let entry = entry.filter(|entry| !self.tree.is_directory(entry.id));
                if let Some(streams) = entry.and_then(|entry| hive_streams(&self.tree, entry, beside)) {
                    let directory: Vec<&Name> = config.iter().collect();
                    let name = HiveName::new(None, &directory, &Name::from(word));
                    found.push(VolumeHive { name, kind: None, streams });
                }
            }
        }
        found.sort_by(|a, b| a.name.shown().cmp(b.name.shown()));
        found
    }

    /// What messages call a hive.
    pub(crate) fn place(&self, hive: &VolumeHive<'_>) -> String {
        format!("{}: {}", self.volume.context(&self.reference), hive.name.path)
    }

    /// Reads a hive with its logs; one whose last write is incomplete as it is: that was accepted when it was stored.
    pub(crate) fn read(&self, hive: &VolumeHive<'_>) -> Result<Hive> {
        let place = || self.place(hive);
        let window = self.volume.window(&self.source)?;
        let files =
            registry::read(&window, &hive.streams).map_err(Error::io(format!("reading {}", place())))?;
        files.open_dirty().map_err(|source| Error::Hive { context: place(), source })
    }

    /// Digests of a hive's file and logs: equal ones are equal hives.
    pub(crate) fn digests(&self, hive: &VolumeHive<'_>) -> Result<Vec<store::BlobId>> {
        let window = self.volume.window(&self.source)?;
        let window: &dyn ByteSource = &window;
        let streams = [hive.streams.file].into_iter().chain(hive.streams.logs.iter().copied());
        streams
            .map(|stream| Ok(crate::streams::digest(window, stream)?.0))
            .collect::<std::io::Result<_>>()
            .map_err(Error::io(format!("reading {}", self.place(hive))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use operation::Explain;

    fn name(kind: Option<HiveKind>, path: &str) -> HiveName {
        let mut parts: Vec<Name> = path.split('\\').skip(1).map(Name::from).collect();
        let file = parts.pop().unwrap();
        HiveName::new(kind, &parts.iter().collect::<Vec<_>>(), &file)
    }

    #[test]
    fn hives_are_called_as_windows_mounts_them_and_users_by_their_folder() {
        let config = "\\Windows\\System32\\config";
        let classes = "\\Users\\ann\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat";
        for (kind, path, shown, place) in [
            (Some(HiveKind::System), format!("{config}\\system"), "SYSTEM", "HKEY_LOCAL_MACHINE\\SYSTEM"),
            (Some(HiveKind::Default), format!("{config}\\DEFAULT"), "DEFAULT", "HKEY_USERS\\.DEFAULT"),
            (None, format!("{config}\\SAM"), "SAM", "HKEY_LOCAL_MACHINE\\SAM"),
            (
                Some(HiveKind::User),
                "\\Users\\ann\\NTUSER.DAT".into(),
                "\\Users\\ann\\NTUSER.DAT",
                "HKEY_USERS\\ann",
            ),
            (Some(HiveKind::Classes), classes.into(), classes, "HKEY_USERS\\ann_Classes"),
        ] {
            let name = name(kind, &path);
            assert_eq!((name.shown(), name.place().as_str()), (shown, place), "{path}");
        }
    }

    #[test]
    fn a_hive_is_chosen_by_name_user_or_path_and_secrets_only_by_name() {
        let ann = name(Some(HiveKind::User), "\\Users\\ann\\NTUSER.DAT");
        let bob = name(Some(HiveKind::User), "\\Users\\Bob\\NTUSER.DAT");
        let sam = name(None, "\\Windows\\System32\\config\\SAM");
        let chosen = |text: Option<&str>| {
            let filter = HiveFilter::parse(text).unwrap();
            [&ann, &bob, &sam].map(|name| filter.matches(name))
        };
        assert_eq!(chosen(None), [true, true, false]);
        assert_eq!(chosen(Some("user")), [true, true, false]);
        assert_eq!(chosen(Some("USER:bob")), [false, true, false]);
        assert_eq!(chosen(Some("CLASSES:ann")), [false, false, false]);
        assert_eq!(chosen(Some("/users/ANN/ntuser.dat")), [true, false, false]);
        assert_eq!(chosen(Some("sam")), [false, false, true]);
        for text in ["HKLM", "SOFTWARE:ann", "USER:", ""] {
            assert_eq!(HiveFilter::parse(Some(text)).unwrap_err().code(), "hive-name", "{text}");
        }
    }
}
