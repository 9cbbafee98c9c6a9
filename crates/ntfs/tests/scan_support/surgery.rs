//! Changing single structures of a volume in memory, for tests that damage it.

use super::Memory;
use disk::ByteSource;
use ntfs_volume::attribute::{Body, attributes, code};
use ntfs_volume::boot::Boot;
use ntfs_volume::record::{Header, apply_fixup};
use ntfs_volume::runs;
use volume::{FileId, Name, Run, Tree};

/// A volume in memory and where its file table is.
pub struct Surgery {
    pub volume: Memory,
    pub boot: Boot,
    mft: Vec<Run>,
}

impl Surgery {
    pub fn on(volume: Memory) -> Surgery {
        let boot = Boot::read(&volume).unwrap();
        let start = (boot.mft * boot.cluster) as usize;
        let mut first = volume.0[start..start + boot.record].to_vec();
        apply_fixup(&mut first, b"FILE").unwrap();
        let mft = data_runs(&boot, &first);
        Surgery { volume, boot, mft }
    }

    /// Where byte `offset` of a stream lies on the volume.
    fn place(runs: &[Run], offset: u64) -> usize {
        let mut at = offset;
        for run in runs {
            if at < run.len {
                return (run.at.unwrap() + at) as usize;
            }
            at -= run.len;
        }
        panic!("{offset} lies behind the stream")
    }

    /// Where a record lies on the volume.
    pub fn record_place(&self, number: u64) -> usize {
        Surgery::place(&self.mft, number * self.boot.record as u64)
    }

    /// The header of a record in use.
    pub fn header(&self, number: u64) -> Option<Header> {
        let at = self.record_place(number);
        let mut bytes = self.volume.0[at..at + self.boot.record].to_vec();
        apply_fixup(&mut bytes, b"FILE").ok()?;
        Header::parse(&bytes).filter(Header::in_use)
    }

    /// Whether a record is the base record of a file with a name.
    pub fn is_base(&self, number: u64) -> bool {
        self.header(number).is_some_and(|header| header.base.0 == 0 && header.links > 0)
    }

    /// Changes a record: takes the update sequence off, hands the bytes over, puts it on again.
    pub fn record(&mut self, number: u64, change: impl FnOnce(&mut [u8])) {
        let (at, len) = (self.record_place(number), self.boot.record);
        protected(&mut self.volume.0[at..at + len], b"FILE", change);
    }

    /// Changes the attribute of a type and name in a base record; the closure gets its bytes from the header on.
    pub fn attribute(&mut self, number: u64, code: u32, name: &str, change: impl FnOnce(&mut [u8])) {
        self.record(number, |record| {
            let range = attribute_range(record, code, name).expect("the attribute is there");
            change(&mut record[range]);
        });
    }

    /// Changes the value of a resident attribute.
    pub fn value(&mut self, number: u64, code: u32, name: &str, change: impl FnOnce(&mut [u8])) {
        self.attribute(number, code, name, |attribute| {
            assert_eq!(attribute[8], 0, "the attribute is resident");
            let at = usize::from(u16::from_le_bytes([attribute[0x14], attribute[0x15]]));
            let len = u32::from_le_bytes(attribute[0x10..0x14].try_into().unwrap()) as usize;
            change(&mut attribute[at..at + len]);
        });
    }

    /// The runs of a non-resident attribute.
    pub fn runs(&self, number: u64, code: u32, name: &str) -> Vec<Run> {
        let at = self.record_place(number);
        let mut record = self.volume.0[at..at + self.boot.record].to_vec();
        apply_fixup(&mut record, b"FILE").unwrap();
        let header = Header::parse(&record).unwrap();
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let found =
            attributes(&record, &header).map(Result::unwrap).find(|a| a.code == code && a.name == name);
        let Body::NonResident(extent) = found.unwrap().body else { panic!("the attribute is resident") };
        let mut runs = Vec::new();
        runs::decode(extent.pairs, extent.clusters, self.boot.cluster, self.boot.clusters, &mut runs)
            .unwrap();
        runs
    }

    /// One byte of a non-resident attribute.
    pub fn byte(&mut self, number: u64, code: u32, name: &str, offset: u64) -> &mut u8 {
        let at = Surgery::place(&self.runs(number, code, name), offset);
        &mut self.volume.0[at]
    }

    /// Changes the index block that lies at `offset` of an $INDEX_ALLOCATION.
    pub fn index_block(&mut self, number: u64, name: &str, offset: u64, change: impl FnOnce(&mut [u8])) {
        let at = Surgery::place(&self.runs(number, code::INDEX_ALLOCATION, name), offset);
        let len = self.boot.index_block;
        protected(&mut self.volume.0[at..at + len], b"INDX", change);
    }

    /// The bit of a cluster in $Bitmap.
    pub fn flip_cluster(&mut self, cluster: u64) {
        *self.byte(6, code::DATA, "", cluster / 8) ^= 1 << (cluster % 8);
    }
}

fn protected(block: &mut [u8], signature: &[u8; 4], change: impl FnOnce(&mut [u8])) {
    apply_fixup(block, signature).unwrap();
    change(block);
    let at = usize::from(u16::from_le_bytes([block[4], block[5]]));
    for stride in 1..=block.len() / 512 {
        let tail = stride * 512 - 2;
        for byte in 0..2 {
            block[at + stride * 2 + byte] = block[tail + byte];
            block[tail + byte] = block[at + byte];
        }
    }
}

/// Where an attribute lies in a record.
pub fn attribute_range(record: &[u8], code: u32, name: &str) -> Option<std::ops::Range<usize>> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut at = usize::from(u16::from_le_bytes([record[0x14], record[0x15]]));
    loop {
        let field =
            |offset: usize| u32::from_le_bytes(record[at + offset..at + offset + 4].try_into().unwrap());
        if field(0) == u32::MAX {
            return None;
        }
        let len = field(4) as usize;
        let name_at = at + usize::from(u16::from_le_bytes([record[at + 10], record[at + 11]]));
        let own = &record[name_at..name_at + usize::from(record[at + 9]) * 2];
        if field(0) == code && own == name {
            return Some(at..at + len);
        }
        at += len;
    }
}

fn data_runs(boot: &Boot, record: &[u8]) -> Vec<Run> {
    let header = Header::parse(record).unwrap();
    let data = attributes(record, &header)
        .map(Result::unwrap)
        .find(|attribute| attribute.code == code::DATA)
        .unwrap();
    let Body::NonResident(extent) = data.body else { panic!("$MFT is resident") };
    let mut runs = Vec::new();
    runs::decode(extent.pairs, extent.clusters, boot.cluster, boot.clusters, &mut runs).unwrap();
    runs
}

/// The offsets of the entries of a node whose header begins at `header`, without the last.
pub fn entries(node: &[u8], header: usize) -> Vec<std::ops::Range<usize>> {
    let field = |at: usize| u32::from_le_bytes(node[at..at + 4].try_into().unwrap()) as usize;
    let mut at = header + field(header);
    let end = header + field(header + 4);
    let mut found = Vec::new();
    while at < end && node[at + 12] & 2 == 0 {
        let len = usize::from(u16::from_le_bytes([node[at + 8], node[at + 9]]));
        found.push(at..at + len);
        at += len;
    }
    found
}

/// The record number of the file at a path with `/` between names.
pub fn record_of(tree: &Tree, path: &str) -> u64 {
    let names: Vec<Name> = path.split('/').map(Name::from).collect();
    let FileId(number) = tree.lookup(&names).unwrap_or_else(|| panic!("{path} is there")).id;
    number
}

/// A volume that mkntfs made and ntfs-3g filled with one of everything that the tests touch; made once.
pub fn sample(test: &str) -> Option<Memory> {
    static SAMPLE: std::sync::OnceLock<Result<Memory, String>> = std::sync::OnceLock::new();
    let made = SAMPLE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = super::formatted(folder.path(), 32, "-c 4096")?;
        super::populate(&path, FILL)?;
        let mut volume = super::Volume::open(&path, 0);
        // mkntfs keeps the backup boot sector inside the file.
        volume.len = volume.len.min(std::fs::metadata(&path).unwrap().len());
        Ok(Memory::of(&volume as &dyn ByteSource))
    });
    match made {
        Ok(volume) => Some(volume.clone()),
        Err(reason) => {
            super::skipped(test, reason);
            None
        }
    }
}

const FILL: &str = r#"
mkdir dir links comp
for i in $(seq 100 299); do echo $i > "dir/file number $i.txt"; done
head -c 300000 /dev/urandom > big; head -c 300000 /dev/urandom > other
echo many > many; for i in $(seq 100 150); do ln many "links/a rather long name for a hard link $i"; done
echo main > streams.txt; head -c 100000 /dev/urandom > streams.txt:large; echo ads > streams.txt:small
echo long > "a long name.txt"; setfattr -n system.ntfs_dos_name -v ALONGN~1.TXT "a long name.txt"
echo r > point; setfattr -n system.ntfs_reparse_data -v 0x1b000080080000000102030405060708 point
echo i > identified; setfattr -n system.ntfs_object_id -v 0x000102030405060708090a0b0c0d0e0f identified
setfattr -n system.ntfs_attrib_be -v 0x00000810 comp; yes 'what repeats is small' | head -c 200000 > comp/text
head -c 100000 /dev/urandom > comp/noise
truncate -s 10M sparse; echo end >> sparse
: > empty; echo "$(printf '\xf0\x9f\x98\x80')" > "$(printf 'beyond the BMP \xf0\x9f\x98\x80')"
touch -d 2001-02-03T04:05:06Z dated
"#;
