//! The directory of an OCI image layout: opening it, reading blobs that are what they should be, adding to it.
//!
//! A layout lies where others write. Nothing in it is opened through a symbolic link, only regular files are read, and a
//! file's length is looked at before it is. What is written gets its name when it is complete and flushed; the index is
//! replaced last. So at every moment the layout is valid: an interrupted export leaves blobs that no index names.

use super::error::LayoutError;
use super::oci::{Descriptor, Digest, Index, LAYOUT_VERSION, Marker};
use crate::Result;
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const MARKER: &str = "oci-layout";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs";
const ALGORITHM: &str = "sha256";
/// Locked while somebody exports. It stays, as removing it would let two lock two.
const LOCK: &str = ".lamina.lock";
/// What names of files that are being written begin and end with.
const TEMPORARY: (&str, &str) = (".lamina-", ".part");

/// The longest `oci-layout`, bytes.
const LONGEST_MARKER: u64 = 4096;
/// The longest index, bytes: some 7,000 layer versions.
const LONGEST_INDEX: u64 = 4 << 20;

/// An open layout.
pub(super) struct Layout {
    path: PathBuf,
    root: OwnedFd,
    blobs: OwnedFd,
    temporaries: AtomicU64,
}

/// Nobody else exports to the layout as long as this lives, where the file system has locks.
pub(super) struct Exclusive(Option<File>);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn subdirectory(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    Ok(openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)
}

/// Opens a regular file for reading, which no link, device or pipe is.
fn regular_file(directory: &OwnedFd, name: &str) -> io::Result<(File, u64)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Err(rustix::io::Errno::LOOP) => return Err(io::Error::other("it is a symbolic link")),
        file => File::from(file?),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok((file, metadata.len()))
}

fn sync(directory: &OwnedFd) -> io::Result<()> {
    Ok(rustix::fs::fsync(directory)?)
}

impl Layout {
    /// Opens a layout to be read.
    pub(super) fn open(path: &Path) -> Result<Layout> {
        let root = Layout::root(path)?;
        let not = |why: &str| LayoutError::NotALayout { path: path.to_owned(), why: why.to_owned() };
        let Some(marker) = small_file(&root, path, MARKER, "the file `oci-layout`", LONGEST_MARKER)? else {
            return Err(not("it has no file `oci-layout`").into());
        };
        let marker: Marker = serde_json::from_slice(&marker)
            .map_err(|error| LayoutError::damaged(path.join(MARKER), error.to_string()))?;
        if marker.image_layout_version != LAYOUT_VERSION {
            return Err(LayoutError::Newer { path: path.to_owned(), what: "an image layout" }.into());
        }
        let at = path.join(BLOBS).join(ALGORITHM);
        let blobs = subdirectory(&root, BLOBS).and_then(|blobs| subdirectory(&blobs, ALGORITHM));
        let blobs = blobs.map_err(LayoutError::io("open the directory", at))?;
        Ok(Layout { path: path.to_owned(), root, blobs, temporaries: AtomicU64::new(0) })
    }

    fn root(path: &Path) -> Result<OwnedFd> {
        match openat(CWD, path, DIRECTORY, Mode::empty()) {
            Ok(root) => Ok(root),
            Err(rustix::io::Errno::NOENT) => Err(LayoutError::Missing { path: path.to_owned() }.into()),
            Err(rustix::io::Errno::NOTDIR) => {
                let why = "it is not a directory".to_owned();
                Err(LayoutError::NotALayout { path: path.to_owned(), why }.into())
            }
            Err(error) => Err(LayoutError::io("open the directory", path)(error.into()).into()),
        }
    }

    /// Opens a layout to be added to; makes one in a directory that is empty or does not exist. Removes what
    /// interrupted exports left unfinished.
    pub(super) fn open_or_create(path: &Path) -> Result<(Layout, Exclusive)> {
        let failed = |action, at: PathBuf| LayoutError::io(action, at);
        match std::fs::create_dir(path) {
            Ok(()) => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let parent = parent.unwrap_or(Path::new("."));
                File::open(parent)
                    .and_then(|parent| parent.sync_all())
                    .map_err(failed("flush the directory", parent.to_owned()))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("create", path.to_owned())(error).into()),
        }
        let root = Layout::root(path)?;
        let names = names_in(&root).map_err(failed("list", path.to_owned()))?;
        if !names.iter().any(|name| name == MARKER)
            && let Some(other) = names
                .iter()
                .find(|name| ![INDEX, BLOBS, LOCK].contains(&name.as_str()) && !is_temporary(name))
        {
            let why = format!("it has no file `oci-layout`, but {other:?}");
            return Err(LayoutError::NotALayout { path: path.to_owned(), why }.into());
        }
        let exclusive = lock(&root, path)?;
        if exclusive.0.is_some() {
            for name in names.iter().filter(|name| is_temporary(name)) {
                // another export may have removed it before it let go of the lock
                _ = unlinkat(&root, name.as_str(), AtFlags::empty());
            }
        }
        let at = path.join(BLOBS).join(ALGORITHM);
        let make = |parent: &OwnedFd, name: &str| match mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => subdirectory(parent, name),
            Err(error) => Err(error.into()),
        };
        let blobs = make(&root, BLOBS).and_then(|blobs| {
            let digests = make(&blobs, ALGORITHM)?;
            sync(&blobs)?;
            sync(&root)?;
            Ok(digests)
        });
        let blobs = blobs.map_err(failed("create the directory", at))?;
        let layout = Layout { path: path.to_owned(), root, blobs, temporaries: AtomicU64::new(0) };
        // The marker is what makes the directory a layout, so it comes last.
        if !names.iter().any(|name| name == MARKER) {
            if !names.iter().any(|name| name == INDEX) {
                layout.replace(INDEX, &Index::empty().encode())?;
            }
            let marker = Marker { image_layout_version: LAYOUT_VERSION.to_owned() };
            let marker = serde_json::to_vec(&marker).expect("plain data always encodes");
            layout.replace(MARKER, &marker)?;
        }
        Ok((Layout { temporaries: layout.temporaries, ..Layout::open(path)? }, exclusive))
    }

    /// Where the layout is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a blob is, for messages.
    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path.join(BLOBS).join(ALGORITHM).join(digest.hex())
    }

    /// What the layout says it holds.
    pub(super) fn index(&self) -> Result<Index> {
        let path = self.path.join(INDEX);
        let Some(bytes) = small_file(&self.root, &self.path, INDEX, "an index", LONGEST_INDEX)? else {
            return Err(LayoutError::damaged(path, "it is missing").into());
        };
        Ok(Index::decode(&bytes).map_err(|why| LayoutError::damaged(path, why))?)
    }

    /// Makes the layout say that it holds something else. Everything that was added before is durable then.
    pub(super) fn replace_index(&self, index: &Index) -> Result<()> {
        let bytes = index.encode();
        if bytes.len() as u64 > LONGEST_INDEX {
            let (path, size) = (self.path.join(INDEX), bytes.len() as u64);
            return Err(LayoutError::TooLong { path, what: "an index", size, limit: LONGEST_INDEX }.into());
        }
        sync(&self.blobs).map_err(LayoutError::io("flush the directory", self.path.join(BLOBS)))?;
        self.replace(INDEX, &bytes)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.write(&[bytes], |temporary| {
            renameat(&self.root, temporary, &self.root, name)?;
            sync(&self.root)
        })
        .map_err(|error| LayoutError::io("write", self.path.join(name))(error).into())
    }

    /// Writes a file that `finish` gives its name; removes it when something fails.
    fn write(&self, parts: &[&[u8]], finish: impl FnOnce(&str) -> io::Result<()>) -> io::Result<()> {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{}-{number}{}", TEMPORARY.0, std::process::id(), TEMPORARY.1);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.root, &name, flags, Mode::from_raw_mode(0o666))?);
        let written = parts.iter().try_for_each(|part| file.write_all(part));
        written.and_then(|()| file.sync_all()).and_then(|()| finish(&name)).inspect_err(|_| {
            // only tidiness: the next export removes it
            _ = unlinkat(&self.root, &name, AtFlags::empty());
        })
    }

    /// Opens a blob of this length; `Ok(None)` when the layout has no such blob.
    ///
    /// # Errors
    /// If it cannot be opened, is no regular file, or has another length.
    pub(super) fn blob(&self, digest: &Digest, size: u64) -> Result<Option<File>> {
        let path = self.blob_path(digest);
        match regular_file(&self.blobs, &digest.hex()) {
            Ok((file, found)) if found == size => Ok(Some(file)),
            Ok((_, found)) => {
                let why = format!("it has {found} bytes instead of {size}");
                Err(LayoutError::damaged(path, why).into())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LayoutError::io("open", path)(error).into()),
        }
    }

    /// The length of a blob, whatever it holds; `None` when there is no such regular file.
    pub(super) fn blob_len(&self, digest: &Digest) -> Option<u64> {
        regular_file(&self.blobs, &digest.hex()).ok().map(|(_, len)| len)
    }

    /// Reads a blob and verifies its digest; `Ok(None)` when the layout has no such blob. `what` it is and the most
    /// bytes that are accepted of it are for hostile descriptors.
    pub(super) fn read(&self, blob: &Descriptor, what: &'static str, limit: u64) -> Result<Option<Vec<u8>>> {
        let path = self.blob_path(&blob.digest);
        if blob.size > limit {
            return Err(LayoutError::TooLong { path, what, size: blob.size, limit }.into());
        }
        let Some(file) = self.blob(&blob.digest, blob.size)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(blob.size as usize);
        // It may grow while it is read.
        file.take(blob.size + 1).read_to_end(&mut bytes).map_err(LayoutError::io("read", &path))?;
        if bytes.len() as u64 != blob.size || Digest::of(&[&bytes]) != blob.digest {
            return Err(LayoutError::damaged(path, "its content does not have its digest").into());
        }
        Ok(Some(bytes))
    }

    /// Adds a blob that consists of these parts. It is durable when the index is [replaced](Layout::replace_index).
    pub(super) fn put(&self, parts: &[&[u8]]) -> Result<(Digest, u64)> {
        let digest = Digest::of(parts);
        let written =
            self.write(parts, |temporary| Ok(renameat(&self.root, temporary, &self.blobs, digest.hex())?));
        written.map_err(LayoutError::io("write", self.blob_path(&digest)))?;
        Ok((digest, parts.iter().map(|part| part.len() as u64).sum()))
    }

    /// Adds a blob unless it is there already, whole.
    pub(super) fn keep(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
        let descriptor = Descriptor::new(media_type, Digest::of(&[bytes]), bytes.len() as u64);
        if !matches!(self.read(&descriptor, "a blob", descriptor.size), Ok(Some(_))) {
            self.put(&[bytes])?;
        }
        Ok(descriptor)
    }

    /// The digests of all blobs that there are.
    pub(super) fn blobs(&self) -> Result<Vec<Digest>> {
        let names = names_in(&self.blobs).map_err(LayoutError::io("list", self.path.join(BLOBS)))?;
        Ok(names.iter().filter_map(|name| Digest::of_file_name(name)).collect())
    }
}

fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1)
}

fn lock(root: &OwnedFd, path: &Path) -> Result<Exclusive> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(root, LOCK, flags, Mode::from_raw_mode(0o666));
    let file = File::from(file.map_err(|error| LayoutError::io("open", path.join(LOCK))(error.into()))?);
    match file.try_lock() {
        Ok(()) => Ok(Exclusive(Some(file))),
        Err(TryLockError::WouldBlock) => Err(LayoutError::Busy { path: path.to_owned() }.into()),
        // A share without locks: whoever exports to it twice at once may lose an entry of the index, but no blob.
        Err(TryLockError::Error(_)) => Ok(Exclusive(None)),
    }
}

/// The names in a directory, sorted, those that are not UTF-8 left out.
fn names_in(directory: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_str().map(str::to_owned);
        names.extend(name.ok().filter(|name| name != "." && name != ".."));
    }
    names.sort_unstable();
    Ok(names)
}

fn small_file(
    directory: &OwnedFd,
    path: &Path,
    name: &str,
    what: &'static str,
    limit: u64,
) -> Result<Option<Vec<u8>>> {
    let path = path.join(name);
    let (file, size) = match regular_file(directory, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(LayoutError::io("open", &path))?,
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(LayoutError::io("read", &path))?;
    if bytes.len() as u64 > limit {
        return Err(LayoutError::TooLong { path, what, size, limit }.into());
    }
    Ok(Some(bytes))
}
