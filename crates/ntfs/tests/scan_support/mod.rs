//! Volumes to test with: images of the test data, unpacked once, and volumes made by mkntfs and ntfs-3g.

#![allow(dead_code, unreachable_pub)] // each test binary uses its part
#![allow(clippy::print_stdout)] // skips are printed for the test command to count

pub mod opinion;
pub mod surgery;

use disk::ByteSource;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A part of a file as a volume. What the file lacks at the end (some images are cut) reads as zeros.
pub struct Volume {
    pub name: String,
    pub path: PathBuf,
    pub offset: u64,
    pub len: u64,
    file: File,
}

impl Volume {
    /// The volume at `offset` bytes of a file, as long as its boot sector says, with the backup boot sector.
    pub fn open(path: &Path, offset: u64) -> Volume {
        let file = File::open(path).unwrap();
        let mut sector = [0; 512];
        file.read_exact_at(&mut sector, offset).unwrap();
        let sectors = u64::from_le_bytes(sector[0x28..0x30].try_into().unwrap());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        Volume { name, path: path.to_owned(), offset, len: (sectors + 1) * 512, file }
    }
}

impl ByteSource for Volume {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset + buf.len() as u64 > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < buf.len() {
            match self.file.read_at(&mut buf[done..], self.offset + offset + done as u64)? {
                0 => break,
                read => done += read,
            }
        }
        buf[done..].fill(0);
        Ok(())
    }
}

/// A volume in memory, to be damaged.
#[derive(Clone)]
pub struct Memory(pub Vec<u8>);

impl Memory {
    pub fn of(source: &dyn ByteSource) -> Memory {
        let mut bytes = vec![0; source.len() as usize];
        source.read_exact_at(0, &mut bytes).unwrap();
        Memory(bytes)
    }
}

impl ByteSource for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(self.0.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Prints the line by which the test command counts tests that could not run.
pub fn skipped(test: &str, reason: &str) {
    println!("SKIPPED {test}: {reason}");
}

/// Whether a program can be started.
pub fn has(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Runs a shell command and returns what it printed.
pub fn shell(command: &str) -> Result<String, String> {
    let output = Command::new("bash").args(["-c", &format!("set -e; {command}")]).output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// One image of the test data: its path there, the command that unpacks `$from` to `$to`, and where its volume begins.
struct Image {
    packed: &'static str,
    unpack: &'static str,
    sector: u64,
}

const GZIP: &str = "set -o pipefail; gzip -dc $from | cp --sparse=always /dev/stdin $to";
// Both archives hold one sparse member; through a pipe its holes would be 64 GiB of zeros to search.
const TAR: &str = "mkdir $to.d; tar xzSf $from -C $to.d; mv -f $to.d/*.raw $to; rmdir $to.d";
const PLAIN: &str = "cp $from $to";
const QEMU: &str = "qemu-img convert -O raw $from $to";

/// Images that Windows formatted or changed last, and that are whole.
const WINDOWS: &[Image] = &[
    Image { packed: "ntfs-samples/ns_ntfs-2m.raw.gz", unpack: GZIP, sector: 128 },
    Image { packed: "ntfs-samples/ns_ntfs-lastaccess.raw.gz", unpack: GZIP, sector: 128 },
    Image { packed: "ntfs-samples/ns_ntfs-ptrn.raw.gz", unpack: GZIP, sector: 128 },
    Image { packed: "ntfs-samples/ns_ntfs-ramslack.raw.gz", unpack: GZIP, sector: 128 },
    Image { packed: "ntfs-samples/ns_ntfs-si-vs-fn.raw.gz", unpack: GZIP, sector: 128 },
    Image { packed: "ntfs-samples/ns_ntfs.tgz", unpack: TAR, sector: 2048 },
    Image { packed: "dfir_ntfs/dn_ntfs_index.raw.gz", unpack: GZIP, sector: 128 },
    Image { packed: "dfir_ntfs/dn_vss_1_vol.tar.gz", unpack: TAR, sector: 67584 },
    Image { packed: "colinfinck-ntfs/testfs1", unpack: PLAIN, sector: 0 },
    Image { packed: "plaso/vsstest.qcow2", unpack: QEMU, sector: 0 },
];

/// Images that other systems wrote.
const OTHERS: &[Image] = &[
    Image { packed: "dfir_ntfs/dn_ntfs3.raw.gz", unpack: GZIP, sector: 0 },
    Image { packed: "dfir_ntfs/dn_ntfs3_attrlist.raw.gz", unpack: GZIP, sector: 0 },
    Image { packed: "dfvfs/windows_volume.qcow2", unpack: QEMU, sector: 0 },
];

/// Real Windows system volumes, cut: the file table is whole, most contents are not.
const CUT: &[Image] = &[
    Image { packed: "dissect.ntfs/ntfs.bin.gz", unpack: GZIP, sector: 0 },
    Image { packed: "dissect.ntfs/ntfs-cloud.bin.gz", unpack: GZIP, sector: 0 },
];

/// Which images.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// Windows wrote them last.
    Windows,
    /// Others wrote them.
    Others,
    /// Cut off.
    Cut,
}

/// The images of a set; empty, with a visible skip in the name of `test`, where the test data is not there. An image
/// that cannot be unpacked is skipped by its own line.
pub fn images(test: &str, set: Set) -> Vec<Volume> {
    let Some(data) = std::env::var_os("LAMINA_TESTDATA") else {
        skipped(test, "LAMINA_TESTDATA is not set");
        return Vec::new();
    };
    let list = match set {
        Set::Windows => WINDOWS,
        Set::Others => OTHERS,
        Set::Cut => CUT,
    };
    let mut volumes = Vec::new();
    for image in list {
        let from = Path::new(&data).join("ntfs").join(image.packed);
        if !from.exists() {
            skipped(test, &format!("{} is not in the test data", image.packed));
            continue;
        }
        match unpacked(&from, image) {
            Ok(path) => volumes.push(Volume::open(&path, image.sector * 512)),
            Err(reason) => skipped(test, &reason),
        }
    }
    volumes
}

/// The image with this packed path.
pub fn image(test: &str, packed: &str) -> Option<Volume> {
    let stem = packed.rsplit('/').next().unwrap().split('.').next().unwrap();
    [Set::Windows, Set::Others, Set::Cut]
        .into_iter()
        .filter(|&set| {
            let list = match set {
                Set::Windows => WINDOWS,
                Set::Others => OTHERS,
                Set::Cut => CUT,
            };
            list.iter().any(|image| image.packed == packed)
        })
        .flat_map(|set| images(test, set))
        .find(|volume| volume.name.split('.').next() == Some(stem))
}

/// Unpacks once; other tests and later runs find the result.
fn unpacked(from: &Path, image: &Image) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ntfs-images");
    fs::create_dir_all(&folder).unwrap();
    let stem = image.packed.rsplit('/').next().unwrap().split('.').next().unwrap();
    let to = folder.join(format!("{stem}.raw"));
    if !to.exists() {
        let part = tempfile::NamedTempFile::new_in(&folder).unwrap();
        shell(&format!("from={:?} to={:?}; {}", from, part.path(), image.unpack))?;
        part.persist(&to).unwrap();
    }
    Ok(to)
}

/// A fresh volume of `mib` MiB made by mkntfs, with further arguments.
pub fn formatted(folder: &Path, mib: u64, arguments: &str) -> Result<PathBuf, String> {
    let path = folder.join("volume.raw");
    File::create(&path).unwrap().set_len(mib << 20).unwrap();
    shell(&format!("PATH=$PATH:/sbin:/usr/sbin mkntfs -F -Q -q {arguments} {path:?}"))?;
    Ok(path)
}

/// Mounts a volume with ntfs-3g, runs a shell command in its root, and unmounts it. `Err` when the driver is not here
/// or cannot mount, which is a reason to skip; a command that fails is a mistake of the test.
pub fn populate(image: &Path, command: &str) -> Result<(), String> {
    let mount = tempfile::tempdir().unwrap();
    let at = mount.path();
    if !has("setfattr") {
        return Err("setfattr (package attr) is not installed".into());
    }
    // In the foreground, so that its end, which comes after the last write, can be waited for.
    let mut driver = Command::new("ntfs-3g")
        .args(["-o", "no_detach,streams_interface=windows,compression"])
        .args([image, at])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("ntfs-3g cannot be started: {error}"))?;
    while !fs::read_to_string("/proc/mounts").unwrap().contains(&*at.to_string_lossy()) {
        if driver.try_wait().unwrap().is_some() {
            return Err("ntfs-3g cannot mount here".into());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let result = shell(&format!("cd {at:?}; {command}"));
    shell(&format!("fusermount -u {at:?} || umount {at:?}")).expect("what was mounted can be unmounted");
    assert!(driver.wait().unwrap().success(), "the driver ends well");
    result.expect("the command runs");
    Ok(())
}
