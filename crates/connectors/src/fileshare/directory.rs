//! A share that is a directory of this machine, wherever its file system really is.
//!
//! Every path is resolved by the kernel beneath the directory's descriptor, refusing symbolic links on the way
//! (`openat2`, Linux 5.6): whoever can write in the share cannot lead us out of it by exchanging a folder for a link.

use super::local_file::{LocalFile, blocking};
use super::share::{Access, Opening, RawEntry, Share, SharePath, Sink, Source};
use super::usage;
use crate::connector::{DiskStamp, FileIdentity, Location, Usage};
use crate::error::{Error, Result};
use crate::name::DiskName;
use async_trait::async_trait;
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// How often a path is tried again while somebody renames folders in it.
const RESOLVE_ATTEMPTS: usize = 64;

/// The directory of a configuration.
#[derive(Debug, Clone)]
pub(crate) struct DirectoryAccess {
    path: PathBuf,
    place: String,
    /// Whether the engine may read and write in the directory itself.
    in_place: bool,
}

impl DirectoryAccess {
    /// The directory with this absolute path. Without `in_place` disks are copied in and out, as over a network.
    pub(crate) fn new(path: &str, in_place: bool) -> DirectoryAccess {
        DirectoryAccess { path: path.into(), place: format!("the folder {path}"), in_place }
    }
}

#[async_trait]
impl Access for DirectoryAccess {
    async fn open(&self) -> Result<Box<dyn Share>> {
        let access = self.clone();
        blocking(move || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match fs::open(&access.path, flags, Mode::empty()) {
                Ok(root) => {
                    let directory = Directory { root, place: access.place };
                    Ok(Box::new(OpenDirectory(Arc::new(directory))) as Box<dyn Share>)
                }
                Err(error @ (Errno::NOENT | Errno::NOTDIR)) => {
                    Err(Error::NoShare { place: access.place, reason: error.to_string() })
                }
                Err(error) => Err(failure(&access.place, "it", "opening", error)),
            }
        })
        .await
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn location(&self, name: &DiskName) -> Location {
        let path = self.path.join(name.as_str());
        Location { text: path.display().to_string(), path: Some(path), link: None }
    }

    fn here(&self, file: &SharePath) -> Option<PathBuf> {
        self.in_place.then(|| self.path.join(file.as_str()))
    }
}

/// What a failed system call means for a person.
fn failure(place: &str, what: &str, doing: &str, error: Errno) -> Error {
    let (place, name) = (place.to_owned(), what.to_owned());
    match error {
        Errno::LOOP => Error::NotPlain { place, name, reason: "a symbolic link is in the way" },
        Errno::XDEV => Error::NotPlain { place, name, reason: "it leads out of the share" },
        Errno::NOTDIR => Error::NotPlain { place, name, reason: "a file is where a folder should be" },
        Errno::ISDIR => Error::NotPlain { place, name, reason: "it is a folder" },
        Errno::ACCESS | Errno::PERM | Errno::ROFS => {
            Error::Denied { place, what: name, reason: error.to_string() }
        }
        Errno::NOENT => Error::NoDisk { place, name },
        Errno::EXIST => Error::Taken { place, name },
        Errno::STALE | Errno::NOTCONN | Errno::HOSTDOWN | Errno::TIMEDOUT => {
            Error::Lost { place, reason: error.to_string() }
        }
        _ => Error::io(format!("{doing} {what} in {place}"), format!("{what} in {place}"), error.into()),
    }
}

/// The directory, open. Everything here blocks.
#[derive(Debug)]
struct Directory {
    root: OwnedFd,
    place: String,
}

impl Directory {
    fn fail<'a>(&'a self, doing: &'a str, what: &'a SharePath) -> impl Fn(Errno) -> Error + 'a {
        move |error| failure(&self.place, what.as_str(), doing, error)
    }

    /// Opens beneath the root without following links.
    fn open_beneath(&self, path: &str, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        for _ in 1..RESOLVE_ATTEMPTS {
            match fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, mode, resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                outcome => return outcome,
            }
        }
        fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, mode, resolve)
    }

    fn open_folder(&self, folder: Option<&SharePath>) -> rustix::io::Result<OwnedFd> {
        let path = folder.map_or(".", SharePath::as_str);
        self.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    /// Opens an ordinary file. A pipe does not block, and neither it nor a device is given out.
    fn open_file(&self, file: &SharePath, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let opened = self.open_beneath(file.as_str(), flags | OFlags::NONBLOCK | OFlags::NOCTTY, mode);
        let opened = opened.map_err(self.fail("opening", file))?;
        self.stamp_of(&opened, file)?;
        Ok(opened)
    }

    fn stamp_of(&self, opened: &OwnedFd, file: &SharePath) -> Result<DiskStamp> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let facts =
            fs::statx(opened, "", AtFlags::EMPTY_PATH, wanted).map_err(self.fail("examining", file))?;
        match FileType::from_raw_mode(facts.stx_mode.into()) {
            FileType::RegularFile => {}
            FileType::Symlink => return Err(self.fail("examining", file)(Errno::LOOP)),
            FileType::Directory => return Err(self.fail("examining", file)(Errno::ISDIR)),
            _ => {
                let (place, name) = (self.place.clone(), file.as_str().to_owned());
                return Err(Error::NotPlain { place, name, reason: "it is a device, pipe or socket" });
            }
        }
        let nanoseconds = |time: fs::StatxTimestamp| {
            time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec.into())
        };
        // An inode number is used again after its file is gone; with the time of birth it is not. The device's number
        // is left out: it may be another one after a restart.
        let identity = if StatxFlags::from_bits_retain(facts.stx_mask).contains(StatxFlags::BTIME) {
            format!("{}-{}", facts.stx_ino, nanoseconds(facts.stx_btime))
        } else {
            facts.stx_ino.to_string()
        };
        Ok(DiskStamp {
            bytes: facts.stx_size,
            modified: nanoseconds(facts.stx_mtime),
            identity: FileIdentity(identity),
        })
    }

    fn stamp(&self, file: &SharePath) -> Result<Option<DiskStamp>> {
        match self.open_beneath(file.as_str(), OFlags::PATH, Mode::empty()) {
            Ok(opened) => self.stamp_of(&opened, file).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.fail("examining", file)(error)),
        }
    }

    fn list(&self, folder: Option<&SharePath>) -> Result<Vec<RawEntry>> {
        let what = folder.map_or("the share", SharePath::as_str);
        let fail = |error| match (error, folder) {
            (Errno::NOENT, Some(_)) => {
                let place = format!("folder {what} in {}", self.place);
                Error::NoShare { place, reason: Errno::NOENT.to_string() }
            }
            _ => failure(&self.place, what, "listing", error),
        };
        let opened = self.open_folder(folder).map_err(fail)?;
        let mut entries = Vec::new();
        for entry in fs::Dir::read_from(&opened).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            // Names that are not UTF-8 cannot be written in a request.
            let Ok(name) = entry.file_name().to_str() else { continue };
            let mut kind = entry.file_type();
            if kind == FileType::Unknown {
                match fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(facts) => kind = FileType::from_raw_mode(facts.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(fail(error)),
                }
            }
            let folder = match kind {
                FileType::Directory if name != "." && name != ".." => true,
                FileType::RegularFile => false,
                _ => continue,
            };
            entries.push(RawEntry { name: name.to_owned(), folder, bytes: None });
        }
        Ok(entries)
    }

    fn rename_new(&self, from: &SharePath, to: &SharePath) -> Result<()> {
        let source = self.open_folder(from.parent().as_ref()).map_err(self.fail("renaming", from))?;
        let target = self.open_folder(to.parent().as_ref()).map_err(self.fail("renaming", to))?;
        let (old, new) = (from.file_name(), to.file_name());
        match fs::renameat_with(&source, old, &target, new, RenameFlags::NOREPLACE) {
            // File systems without that flag, NFS among them: a link refuses an existing name as well.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                fs::linkat(&source, old, &target, new, AtFlags::empty()).map_err(self.fail("naming", to))?;
                fs::unlinkat(&source, old, AtFlags::empty()).map_err(self.fail("renaming", from))?;
            }
            Err(Errno::NOENT) => return Err(self.fail("renaming", from)(Errno::NOENT)),
            // Here it means that the folder is another file system.
            Err(Errno::XDEV) => {
                let (place, name) = (self.place.clone(), to.as_str().to_owned());
                return Err(Error::NotPlain { place, name, reason: "its folder is another file system" });
            }
            outcome => outcome.map_err(self.fail("naming", to))?,
        }
        fs::fsync(&target).map_err(self.fail("making durable", to))?;
        fs::fsync(&source).map_err(self.fail("making durable", from))
    }

    fn replace(&self, from: &SharePath, to: &SharePath) -> Result<()> {
        let folder = self.open_folder(from.parent().as_ref()).map_err(self.fail("renaming", from))?;
        fs::renameat(&folder, from.file_name(), &folder, to.file_name()).map_err(self.fail("naming", to))?;
        fs::fsync(&folder).map_err(self.fail("making durable", to))
    }

    fn remove(&self, path: &SharePath, flags: AtFlags) -> Result<bool> {
        let folder = match self.open_folder(path.parent().as_ref()) {
            Err(Errno::NOENT) => return Ok(false),
            folder => folder.map_err(self.fail("removing", path))?,
        };
        match fs::unlinkat(&folder, path.file_name(), flags) {
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(self.fail("removing", path)(error)),
            Ok(()) => fs::fsync(&folder).map_err(self.fail("making durable", path)).map(|()| true),
        }
    }

    fn make_folder(&self, folder: &SharePath, mode: Mode) -> Result<()> {
        let parent = self.open_folder(folder.parent().as_ref()).map_err(self.fail("making", folder))?;
        match fs::mkdirat(&parent, folder.file_name(), mode) {
            Ok(()) => fs::fsync(&parent).map_err(self.fail("making durable", folder)),
            // Opened, so that a link of this name is refused.
            Err(Errno::EXIST) => {
                self.open_folder(Some(folder)).map(drop).map_err(self.fail("opening", folder))
            }
            Err(error) => Err(self.fail("making", folder)(error)),
        }
    }
}

struct OpenDirectory(Arc<Directory>);

impl OpenDirectory {
    async fn run<T: Send + 'static>(
        &self,
        path: &SharePath,
        work: impl FnOnce(&Directory, &SharePath) -> T + Send + 'static,
    ) -> T {
        let (directory, path) = (Arc::clone(&self.0), path.clone());
        blocking(move || work(&directory, &path)).await
    }
}

#[async_trait]
impl Share for OpenDirectory {
    async fn list(&self, folder: Option<&SharePath>, see: &mut (dyn FnMut(RawEntry) + Send)) -> Result<()> {
        let (directory, folder) = (Arc::clone(&self.0), folder.cloned());
        blocking(move || directory.list(folder.as_ref())).await?.into_iter().for_each(see);
        Ok(())
    }

    async fn has_folder(&self, folder: &SharePath) -> Result<bool> {
        self.run(folder, |directory, folder| match directory.open_folder(Some(folder)) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(directory.fail("opening", folder)(error)),
        })
        .await
    }

    async fn stamp(&self, file: &SharePath) -> Result<Option<DiskStamp>> {
        self.run(file, Directory::stamp).await
    }

    async fn usage(&self, file: &SharePath) -> Result<Usage> {
        let opened = self
            .run(file, |directory, file| {
                directory.open_file(file, OFlags::RDONLY, Mode::empty()).map(File::from)
            })
            .await?;
        let name = format!("{} in {}", file.as_str(), self.0.place);
        usage::of_open_file(opened, &name).await
    }

    async fn read(&self, file: &SharePath) -> Result<(Box<dyn Source>, DiskStamp)> {
        let (opened, stamp) = self
            .run(file, |directory, file| {
                let opened = directory.open_file(file, OFlags::RDONLY, Mode::empty())?;
                let stamp = directory.stamp_of(&opened, file)?;
                Ok::<_, Error>((File::from(opened), stamp))
            })
            .await?;
        Ok((Box::new(LocalFile::new(opened, &format!("{} in {}", file.as_str(), self.0.place))), stamp))
    }

    async fn write(&self, file: &SharePath, opening: Opening) -> Result<Box<dyn Sink>> {
        let made = match opening {
            Opening::New => OFlags::CREATE | OFlags::EXCL,
            Opening::Existing => OFlags::empty(),
        };
        let opened = self
            .run(file, move |directory, file| {
                let mode = if opening == Opening::New { Mode::from_raw_mode(0o666) } else { Mode::empty() };
                directory.open_file(file, OFlags::RDWR | made, mode).map(File::from)
            })
            .await?;
        Ok(Box::new(LocalFile::new(opened, &format!("{} in {}", file.as_str(), self.0.place))))
    }

    async fn make_hidden_folder(&self, folder: &SharePath) -> Result<()> {
        self.run(folder, |directory, folder| directory.make_folder(folder, Mode::RWXU)).await
    }

    async fn make_folder(&self, folder: &SharePath) -> Result<()> {
        let mode = Mode::RWXU | Mode::RWXG | Mode::RWXO; // less what the process's mask takes away
        self.run(folder, move |directory, folder| directory.make_folder(folder, mode)).await
    }

    async fn rename_new(&self, from: &SharePath, to: &SharePath) -> Result<()> {
        let to = to.clone();
        self.run(from, move |directory, from| directory.rename_new(from, &to)).await
    }

    async fn replace(&self, from: &SharePath, to: &SharePath) -> Result<()> {
        let to = to.clone();
        self.run(from, move |directory, from| directory.replace(from, &to)).await
    }

    async fn remove(&self, file: &SharePath) -> Result<bool> {
        self.run(file, |directory, file| directory.remove(file, AtFlags::empty())).await
    }

    async fn remove_folder(&self, folder: &SharePath) -> Result<bool> {
        self.run(folder, |directory, folder| directory.remove(folder, AtFlags::REMOVEDIR)).await
    }

    async fn free(&self) -> Result<u64> {
        let directory = Arc::clone(&self.0);
        blocking(move || {
            let facts = fs::fstatvfs(&directory.root)
                .map_err(|error| failure(&directory.place, "it", "measuring", error))?;
            Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
        })
        .await
    }

    async fn leave(&self) {}
}
