//! Disks to test with: raw files with a GPT and NTFS volumes that mkntfs made.

use super::edit::Edit;
use disk::format::{OpenOptions, open};
use disk::partition::{
    GPT_BASIC_DATA, GPT_EFI_SYSTEM, GPT_WINDOWS_RECOVERY, Partition, PartitionKind, PartitionTable, Scheme,
    create,
};
use disk::{BlockDevice, ByteSource, SourceRange, SourceWindow, Window};
use std::collections::HashMap;
use std::fs::{File, OpenOptions as FileOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use uuid::Uuid;

pub const MIB: u64 = 1 << 20;

/// What a partition of a test disk is.
#[derive(Clone, Copy)]
pub enum Part {
    /// An EFI system partition of 2 MiB full of bytes that are no file system.
    Esp,
    /// An NTFS volume of so many MiB.
    Ntfs(u64),
    /// A Windows recovery partition of 2 MiB full of bytes that are no file system.
    Recovery,
    /// A basic data partition of 2 MiB with this OEM name in its boot sector.
    Signed(&'static [u8; 8]),
}

/// What a Windows installation makes, in small.
pub const WINDOWS: &[Part] = &[Part::Esp, Part::Ntfs(32)];

/// Whether volumes can be made at all.
pub fn can_format() -> bool {
    Command::new("mkntfs").arg("--version").output().is_ok()
}

/// A file that is changed in place. What is spliced into it comes from a buffer that the test fills.
pub struct RawFile {
    file: File,
    len: u64,
    pub arena: Arc<Mutex<Vec<u8>>>,
}

impl RawFile {
    fn open(path: &Path) -> RawFile {
        let file = FileOptions::new().read(true).write(true).open(path).unwrap();
        let len = file.metadata().unwrap().len();
        RawFile { file, len, arena: Arc::default() }
    }
}

impl BlockDevice for RawFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> io::Result<()> {
        assert!(offset + buf.len() as u64 <= self.len);
        self.file.write_all_at(buf, offset)
    }

    fn discard(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.write_at(offset, &vec![0; len as usize])
    }

    fn splice(&mut self, offset: u64, len: u64, from: SourceRange) -> io::Result<()> {
        let arena = Arc::clone(&self.arena);
        let arena = arena.lock().unwrap();
        self.write_at(offset, &arena[from.offset as usize..(from.offset + len) as usize])
    }
}

/// A raw disk image in the test's directory.
#[derive(Clone, Debug)]
pub struct Disk {
    pub path: PathBuf,
}

impl Disk {
    /// A fresh disk with these partitions, 1 MiB apart from each other and from the end.
    pub fn create(path: PathBuf, parts: &[Part]) -> Disk {
        let mut partitions = Vec::new();
        let mut at = MIB;
        for (index, part) in parts.iter().enumerate() {
            let (kind, name, len) = match part {
                Part::Esp => (GPT_EFI_SYSTEM, "EFI system partition", 2),
                Part::Ntfs(mib) => (GPT_BASIC_DATA, "Basic data partition", *mib),
                Part::Recovery => (GPT_WINDOWS_RECOVERY, "Recovery", 2),
                Part::Signed(_) => (GPT_BASIC_DATA, "Signed", 2),
            };
            partitions.push(Partition {
                number: index as u32 + 1,
                start: at,
                len: len * MIB,
                kind: PartitionKind::Gpt(kind),
                guid: Some(Uuid::from_u128(0xa0 + index as u128)),
                name: name.to_owned(),
                attributes: if matches!(part, Part::Recovery) { 0x8000_0000_0000_0001 } else { 0 },
                logical: false,
            });
            at += (len + 1) * MIB;
        }
        let scheme = Scheme::Gpt { disk: Uuid::from_u128(0x1234) };
        Disk::partitioned(path, at, scheme, &partitions, parts)
    }

    /// A fresh disk with an MBR and one NTFS volume.
    pub fn with_mbr(path: PathBuf, signature: u32) -> Disk {
        let volume = Partition {
            number: 1,
            start: MIB,
            len: 32 * MIB,
            kind: PartitionKind::Mbr(7),
            guid: None,
            name: String::new(),
            attributes: 0x80,
            logical: false,
        };
        Disk::partitioned(path, 34 * MIB, Scheme::Mbr { signature }, &[volume], &[Part::Ntfs(32)])
    }

    fn partitioned(
        path: PathBuf,
        len: u64,
        scheme: Scheme,
        partitions: &[Partition],
        parts: &[Part],
    ) -> Disk {
        let file = File::create(&path).unwrap();
        file.set_len(len).unwrap();
        create(&mut RawFile::open(&path), scheme, partitions).unwrap();
        let disk = Disk { path };
        for (part, partition) in parts.iter().zip(partitions) {
            match part {
                Part::Ntfs(_) => {
                    for (at, page) in template(partition.len).iter() {
                        disk.write(partition.start + at, page);
                    }
                }
                Part::Esp => disk.fill(partition, b"boot files "),
                Part::Recovery => disk.fill(partition, b"recovery "),
                Part::Signed(name) => {
                    let mut sector = [0; 512];
                    sector[3..11].copy_from_slice(&name[..]);
                    sector[510..].copy_from_slice(&[0x55, 0xaa]);
                    disk.write(partition.start, &sector);
                }
            }
        }
        disk
    }

    /// Changes the OS volume: the first NTFS volume.
    pub fn edit(&self, change: impl FnOnce(&mut Edit)) -> &Disk {
        self.edit_volume(self.os_number(), change)
    }

    /// Changes the NTFS volume with this number.
    pub fn edit_volume(&self, number: u32, change: impl FnOnce(&mut Edit)) -> &Disk {
        let partition = self.partition(number);
        let window = self.volume(number);
        let device = RawFile::open(&self.path);
        let arena = Arc::clone(&device.arena);
        let device = Window::new(device, partition.start, partition.len).unwrap();
        let mut edit = Edit::open(device, arena, &window);
        change(&mut edit);
        edit.finish();
        self
    }

    /// The number of the first NTFS volume.
    pub fn os_number(&self) -> u32 {
        let table = self.table();
        let is_ntfs = |partition: &&Partition| self.read(partition.start + 3, 4) == b"NTFS";
        table.partitions.iter().find(is_ntfs).expect("the disk has an NTFS volume").number
    }

    pub fn table(&self) -> PartitionTable {
        PartitionTable::read(&*self.source()).unwrap()
    }

    pub fn partition(&self, number: u32) -> Partition {
        self.table().partition(number).unwrap().clone()
    }

    pub fn source(&self) -> Arc<dyn ByteSource> {
        open(&self.path, &OpenOptions::default()).unwrap().source
    }

    /// The bytes of a partition, to be read.
    pub fn volume(&self, number: u32) -> SourceWindow<Arc<dyn ByteSource>> {
        let partition = self.partition(number);
        SourceWindow::new(self.source(), partition.start, partition.len).unwrap()
    }

    /// All bytes of a partition.
    pub fn bytes_of(&self, number: u32) -> Vec<u8> {
        let partition = self.partition(number);
        self.read(partition.start, partition.len)
    }

    pub fn read(&self, offset: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.source().read_exact_at(offset, &mut bytes).unwrap();
        bytes
    }

    /// Writes past every file system: what a damaged or other program leaves.
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        FileOptions::new().write(true).open(&self.path).unwrap().write_all_at(bytes, offset).unwrap();
    }

    fn fill(&self, partition: &Partition, words: &[u8]) {
        let bytes: Vec<u8> = words.iter().copied().cycle().take(partition.len as usize).collect();
        self.write(partition.start, &bytes);
    }

    /// A copy in another file, holes kept.
    pub fn copy(&self, path: PathBuf) -> Disk {
        let status = Command::new("cp").arg("--sparse=always").arg(&self.path).arg(&path).status().unwrap();
        assert!(status.success());
        Disk { path }
    }
}

type Pages = Arc<Vec<(u64, Vec<u8>)>>;

/// The pages that are not zero of an empty volume of this length.
fn template(len: u64) -> Pages {
    static MADE: OnceLock<Mutex<HashMap<u64, Pages>>> = OnceLock::new();
    let mut made = MADE.get_or_init(Mutex::default).lock().unwrap();
    Arc::clone(made.entry(len).or_insert_with(|| {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(len).unwrap();
        let sectors = (len / 512).to_string();
        let options = ["-F", "-Q", "-q", "-c", "4096", "-s", "512", "-p", "2048", "-H", "255", "-S", "63"];
        let output = Command::new("mkntfs").args(options).arg(file.path()).arg(sectors).output().unwrap();
        assert!(output.status.success(), "mkntfs: {}", String::from_utf8_lossy(&output.stderr));
        let mut pages = Vec::new();
        for at in (0..len).step_by(65536) {
            let mut page = vec![0; 65536.min((len - at) as usize)];
            file.as_file().read_exact_at(&mut page, at).unwrap();
            if page.iter().any(|&byte| byte != 0) {
                pages.push((at, page));
            }
        }
        Arc::new(pages)
    }))
}
