//! Folders of exported layers on a share, as the engine works on them: where they are, or in a copy here.
//!
//! A folder that the engine cannot work in is copied in two parts. Its *outline* are the files that say what it holds;
//! they are short. The rest are contents, of which only what is needed is copied. What a folder holds otherwise is not
//! looked at (docs/layer-exchange.md says which files a layout has).

use connectors::{Connector, DiskName, FolderFile, Watch};
use operation::Failure;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

/// The longest file of an outline, bytes: no manifest and no record of a version is longer.
const LONGEST: u64 = 4 << 20;
/// The most bytes of an outline. What is beyond is not copied, and the engine says what cannot be read without it.
const MOST: u64 = 256 << 20;
/// The files that are not contents, in the order in which they are written: the last makes the folder a layout.
const ROOT: [&str; 2] = ["index.json", "oci-layout"];
/// The folder of contents.
const BLOBS: &str = "blobs/sha256";

/// Whether a file of this name belongs to a layout.
pub(super) fn is_part(name: &DiskName) -> bool {
    let digest = name.as_str().strip_prefix(BLOBS).and_then(|rest| rest.strip_prefix('/'));
    ROOT.contains(&name.as_str()) || digest.is_some_and(is_digest)
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Copies the outline of a folder to the local folder `target`, and gives the files that are not in it.
pub(super) async fn outline(
    connector: &dyn Connector,
    folder: &DiskName,
    target: &Path,
    watch: &Watch,
) -> connectors::Result<Vec<FolderFile>> {
    let mut files = connector.folder_files(folder).await?;
    files.retain(|file| is_part(&file.name));
    files.sort_by_key(|file| (!ROOT.contains(&file.name.as_str()), file.bytes));
    let mut room = MOST;
    let (outline, rest): (Vec<FolderFile>, Vec<FolderFile>) = files.into_iter().partition(|file| {
        let taken = file.bytes <= LONGEST && file.bytes <= room;
        if taken {
            room -= file.bytes;
        }
        taken
    });
    connector.fetch_files(folder, &outline, target, watch).await?;
    Ok(rest)
}

/// Makes what a layout needs besides its files, and in the place of files that are not copied empty ones of their
/// lengths, by which the engine sees that they are there.
pub(super) fn fill(target: &Path, rest: &[FolderFile]) -> Result<(), Failure> {
    let made = || -> io::Result<()> {
        fs::create_dir_all(target.join(BLOBS))?;
        for file in rest {
            match File::create_new(target.join(file.name.as_str())) {
                Ok(made) => made.set_len(file.bytes)?,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    made().map_err(|error| failed(target, &error))
}

/// The files of a layout in a local folder, in the order in which they may be copied to where others read them.
pub(super) fn parts(folder: &Path) -> Result<Vec<DiskName>, Failure> {
    let names = || -> io::Result<BTreeSet<String>> {
        let entries = fs::read_dir(folder.join(BLOBS))?;
        entries.map(|entry| Ok(format!("{BLOBS}/{}", entry?.file_name().to_string_lossy()))).collect()
    };
    let blobs = names().map_err(|error| failed(folder, &error))?;
    let parsed = blobs.iter().map(String::as_str).chain(ROOT).filter_map(|name| name.parse().ok());
    Ok(parsed.filter(is_part).collect())
}

/// The index of a local folder; `None` when there is none.
pub(super) fn index(folder: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(folder.join(ROOT[0])) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(folder, &error)),
    }
}

/// Removes from a local folder what an earlier run took over of what the folder on the share said then.
pub(super) fn forget(folder: &Path) -> Result<(), Failure> {
    for name in ROOT {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(folder, &error)),
            _ => {}
        }
    }
    Ok(())
}

/// The name of the index.
pub(super) fn index_name() -> DiskName {
    ROOT[0].parse().expect("the index has a name as files of a share have it")
}

fn failed(folder: &Path, error: &io::Error) -> Failure {
    Failure {
        code: "scratch-io".to_owned(),
        message: format!("The copy of a layout in {} cannot be made or read: {error}", folder.display()),
        hint: Some("Check that the disk of the server's directory has room.".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_a_layout_has_are_part_of_one() {
        let digest = "0123456789abcdef".repeat(4);
        for good in ["index.json", "oci-layout", &format!("blobs/sha256/{digest}")] {
            assert!(is_part(&good.parse().unwrap()), "{good}");
        }
        let long = format!("blobs/sha256/{digest}0");
        let upper = format!("blobs/sha256/{}", digest.to_uppercase());
        for bad in ["INDEX.JSON", "blobs", "blobs/sha256/a", &long, &upper, &digest, "blobs/sha256/a/b"] {
            assert!(!is_part(&bad.parse().unwrap()), "{bad}");
        }
    }

    #[test]
    fn what_makes_a_folder_a_layout_comes_last() {
        let folder = tempfile::tempdir().unwrap();
        let digest = "a".repeat(64);
        fill(folder.path(), &[FolderFile { name: format!("{BLOBS}/{digest}").parse().unwrap(), bytes: 5 }])
            .unwrap();
        let names: Vec<String> = parts(folder.path()).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, [format!("{BLOBS}/{digest}"), "index.json".into(), "oci-layout".into()]);
        assert_eq!(fs::metadata(folder.path().join(&names[0])).unwrap().len(), 5);
        assert_eq!(index(folder.path()).unwrap(), None);
    }
}
