//! The chain of files that an image refers to, followed before another program does: QEMU follows a cycle until it runs
//! out of something.

use super::image_file::ImageFile;
use super::{Error, Result, detect, qcow2, vmdk};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Images in a chain at most.
const MAX_CHAIN: usize = 64;

/// Refuses chains that come back to where they were, that are very long, or that lead out of the file system.
pub(super) fn check_chain(image: &ImageFile) -> Result<()> {
    let mut seen = Vec::new();
    let mut path = image.path().to_owned();
    loop {
        let file = ImageFile::open(&path)?;
        let metadata = file.file().metadata().map_err(|source| Error::Read { path: path.clone(), source })?;
        let id = (metadata.dev(), metadata.ino());
        if seen.contains(&id) {
            return Err(
                image.corrupt(format!("its chain of backing files is a cycle through {}", path.display()))
            );
        }
        seen.push(id);
        if seen.len() > MAX_CHAIN {
            return Err(image.corrupt(format!("its chain of backing files has more than {MAX_CHAIN} images")));
        }
        let name = match detect::recognise(&file)? {
            detect::Kind::Qcow2 => qcow2::backing_name(&file)?,
            detect::Kind::Vmdk => vmdk::parent_name(&file)?,
            detect::Kind::Foreign(name) => return Err(file.unsupported(format!("it is a {name}"))),
            _ => None,
        };
        let Some(name) = name else { return Ok(()) };
        // `json:…`, `nbd://…` and the like; a colon after a slash is a part of a file's name.
        if name.split('/').next().is_some_and(|first| first.contains(':')) {
            return Err(file.backing(format!("its backing file {name:?} is not a file")));
        }
        path = path.parent().unwrap_or(Path::new("")).join(name);
    }
}
