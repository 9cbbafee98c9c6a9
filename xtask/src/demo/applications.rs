//! The two applications of the demo: Windows builds of Qt from PyPI, pinned by version and hash.
//!
//! Each brings the Visual C++ run-time and a software OpenGL for `\Windows\System32`, in different builds: the
//! conflict that layers have to settle. A wheel's RECORD lists the SHA-256 of every file in it, which is what the
//! result is compared with.

use crate::command::{command, output};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The pinned wheels, with the hash of each.
const QT5: &str = include_str!("../../python/qt5.txt");
const QT6: &str = include_str!("../../python/qt6.txt");

/// What both applications put into `\Windows\System32`.
const SHARED: [&str; 7] = [
    "concrt140.dll",
    "msvcp140.dll",
    "msvcp140_1.dll",
    "msvcp140_2.dll",
    "opengl32sw.dll",
    "vcruntime140.dll",
    "vcruntime140_1.dll",
];

/// An application as its installer would lay it out.
#[derive(Debug)]
pub(crate) struct Application {
    /// Its name as a layer.
    pub(crate) name: &'static str,
    /// Its version as a layer version.
    pub(crate) version: &'static str,
    /// Its files by their place on the volume, `/` between the names.
    pub(crate) files: BTreeMap<String, Content>,
}

/// A file of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// Where it was unpacked.
    pub(crate) source: PathBuf,
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// SHA-256 in URL-safe base64 without padding, as wheels record it.
    pub(crate) sha256: String,
}

impl Application {
    /// The bytes of all its files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().map(|content| content.bytes).sum()
    }
}

/// Downloads and unpacks both applications below `work`.
pub(crate) fn fetch(python: &Path, work: &Path) -> Result<[Application; 2]> {
    Ok([
        fetch_one(python, work, "Qt 5 Runtime", "5.15.2", QT5, "PyQt5/Qt5/")?,
        fetch_one(python, work, "Qt 6 Runtime", "6.2.4", QT6, "PyQt6/Qt6/")?,
    ])
}

fn fetch_one(
    python: &Path,
    work: &Path,
    name: &'static str,
    version: &'static str,
    requirements: &str,
    inside: &str,
) -> Result<Application> {
    let folder = work.join(name.replace(' ', "-"));
    let wheels = folder.join("wheels");
    std::fs::create_dir_all(&wheels)?;
    let list = folder.join("requirements.txt");
    std::fs::write(&list, requirements)?;
    output(
        command(python)
            .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"])
            .args(["--no-deps", "--only-binary=:all:", "--platform", "win_amd64", "--python-version", "3.11"])
            .arg("--dest")
            .arg(&wheels)
            .arg("-r")
            .arg(&list),
    )
    .with_context(|| format!("cannot download {name} from PyPI"))?;

    let mut files = BTreeMap::new();
    let mut wheel_paths: Vec<PathBuf> =
        std::fs::read_dir(&wheels)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    // PyQt6_Qt6 sorts before msvc_runtime, whose newer run-time takes the place of the one Qt came with.
    wheel_paths.sort();
    for (index, wheel) in wheel_paths.iter().enumerate() {
        let unpacked = folder.join(format!("unpacked-{index}"));
        output(command(python).args(["-m", "zipfile", "--extract"]).arg(wheel).arg(&unpacked))?;
        for (path, content) in record(&unpacked)? {
            for place in places(&path, inside, &format!("Program Files/Qt {version}/")) {
                files.insert(place, content.clone());
            }
        }
    }
    if files.len() < 1000 {
        bail!("{name} has only {} files: the wheel is not laid out as expected", files.len());
    }
    Ok(Application { name, version, files })
}

/// Where a file of a wheel goes on the volume: below the application's folder, to System32, to both or nowhere.
fn places(path: &str, inside: &str, folder: &str) -> Vec<String> {
    let mut places = Vec::new();
    let file = path.rsplit('/').next().unwrap_or(path);
    let of_application = path.strip_prefix(inside);
    if let Some(rest) = of_application {
        places.push(format!("{folder}{rest}"));
    }
    if (of_application.is_some() || path.contains(".data/data/Scripts/")) && SHARED.contains(&file) {
        places.push(format!("Windows/System32/{file}"));
    }
    places
}

/// The files of an unpacked wheel with the hashes that it records.
fn record(unpacked: &Path) -> Result<Vec<(String, Content)>> {
    let record = std::fs::read_dir(unpacked)?
        .filter_map(|entry| Some(entry.ok()?.path().join("RECORD")))
        .find(|path| path.exists())
        .with_context(|| format!("no RECORD in {}", unpacked.display()))?;
    let mut files = Vec::new();
    for line in std::fs::read_to_string(record)?.lines() {
        let Some((path, sha256, bytes)) = record_line(line) else { continue };
        files.push((
            path.to_owned(),
            Content { source: unpacked.join(path), bytes, sha256: sha256.to_owned() },
        ));
    }
    Ok(files)
}

/// Path, hash and length of a line of RECORD; `None` for the line that stands for RECORD itself.
fn record_line(line: &str) -> Option<(&str, &str, u64)> {
    let (rest, bytes) = line.rsplit_once(',')?;
    let (path, hash) = rest.rsplit_once(',')?;
    Some((path.trim_matches('"'), hash.strip_prefix("sha256=")?, bytes.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_time_library_goes_to_the_application_and_to_system32() {
        let places = |path| places(path, "PyQt6/Qt6/", "Program Files/Qt 6.2.4/");
        assert_eq!(places("PyQt6/Qt6/bin/Qt6Core.dll"), ["Program Files/Qt 6.2.4/bin/Qt6Core.dll"]);
        assert_eq!(
            places("PyQt6/Qt6/bin/opengl32sw.dll"),
            ["Program Files/Qt 6.2.4/bin/opengl32sw.dll", "Windows/System32/opengl32sw.dll"]
        );
        assert_eq!(
            places("msvc_runtime-14.data/data/Scripts/msvcp140.dll"),
            ["Windows/System32/msvcp140.dll"]
        );
        assert!(places("PyQt6_Qt6-6.2.4.dist-info/METADATA").is_empty());
    }

    #[test]
    fn a_line_of_record_is_path_hash_and_length() {
        assert_eq!(record_line("a/b,c.dll,sha256=AbC-_1,42"), Some(("a/b,c.dll", "AbC-_1", 42)));
        assert_eq!(record_line("x.dist-info/RECORD,,"), None);
    }
}
