//! What must hold for any bytes: used by the fuzz targets, and by the test that replays their corpora.
//!
//! Every file of a store carries a checksum that random bytes never match, so each oracle looks at the bytes twice: as
//! they are, and with the checksum made right, as an attacker would.
#![allow(dead_code, reason = "each fuzz target uses one of these")]

use store::encoding::{Format, Index, RefRecord, Unusable, decode_object_file, encode_object_file};
use store::{Object, ObjectId, PackId, RefName};

const PACK: PackId = PackId([7; 16]);

/// An index that is read is whole: it encodes to the same bytes, and finds each of its blobs and no others.
pub(crate) fn index(data: &[u8]) {
    index_as_it_is(data);
    // header ‖ data ‖ checksum, where the checksum covers all but the block digests that data's counts announce.
    let mut sealed = b"LMNAIDX\x01".to_vec();
    sealed.extend_from_slice(&PACK.0);
    sealed.extend_from_slice(&[0; 8]);
    sealed.extend_from_slice(data);
    if data.len() >= 32 {
        let counts = sealed.len() - 32;
        let blocks = u64::from_le_bytes(sealed[counts..counts + 8].try_into().expect("eight bytes"));
        let tail = blocks.checked_mul(32).and_then(|len| len.checked_add(32)).unwrap_or(u64::MAX);
        let tail = usize::try_from(tail).unwrap_or(usize::MAX).min(sealed.len());
        let checksum = blake3::Hasher::new().update(&sealed[..32]).update(&sealed[tail..]).finalize();
        sealed.extend_from_slice(checksum.as_bytes());
    }
    index_as_it_is(&sealed);
}

fn index_as_it_is(data: &[u8]) {
    let Ok(index) = Index::read(data, PACK) else { return };
    let (header, tail) = index.encode();
    let digests = &data[header.len()..data.len() - tail.len()];
    assert_eq!(digests.len() as u64, index.blocks() * 32);
    assert!(data.starts_with(&header) && data.ends_with(&tail), "what was read encodes to the same bytes");
    assert_eq!(index.entries().count(), index.len());
    for entry in index.entries() {
        assert_eq!(index.find(&entry.id), Some(entry));
        assert!(entry.offset / 4096 + entry.len.div_ceil(4096) <= index.blocks());
        let mut other = entry.id;
        other.0[31] ^= 1;
        assert_eq!(index.find(&other), index.entries().find(|entry| entry.id == other));
    }
    let segments = index.blocks().div_ceil(1024);
    let mut into = Vec::new();
    for segment in 0..segments {
        let sound = index.read_segment(data, segment, &mut into).is_ok();
        let expected = digests.chunks(32 * 1024).nth(segment as usize).expect("as many as announced");
        assert!(!sound || into.as_flattened() == expected);
    }
    index.fills_pack();
}

/// A reference has one form only; any text makes a segment of a name that comes back.
pub(crate) fn reference(data: &[u8]) {
    reference_as_it_is(data);
    reference_as_it_is(&[data, format!("blake3 {}\n", blake3::hash(data)).as_bytes()].concat());
    let text = String::from_utf8_lossy(data);
    if let Ok(name) = text.parse::<RefName>() {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(name) = RefName::new(text.split('\n')) {
        assert_eq!(name.segments(), text.split('\n').collect::<Vec<_>>());
        assert_eq!(name.as_str().parse::<RefName>().expect("a name parses"), name);
        let record = RefRecord { name, object: ObjectId(*blake3::hash(data).as_bytes()) };
        assert_eq!(RefRecord::decode(&record.encode()), Ok(record));
    }
}

fn reference_as_it_is(data: &[u8]) {
    if let Ok(record) = RefRecord::decode(data) {
        assert_eq!(record.encode(), data);
    }
}

/// An object has one form only; what comes out of a file is as long as announced.
pub(crate) fn object(data: &[u8]) {
    if let Ok(object) = Object::decode(data) {
        assert_eq!(object.encode().as_deref(), Some(data));
    }
    let object = Object { kind: "fuzz".into(), payload: data.to_vec(), ..Object::default() };
    let canonical = object.encode().expect("short enough");
    assert_eq!(Object::decode(&canonical), Ok(object));
    let file = encode_object_file(&canonical).expect("memory is enough");
    assert_eq!(decode_object_file(&file), Ok(canonical));

    object_file_as_it_is(data);
    // Three bytes of length, so that a bomb costs the fuzzer little.
    if let Some((length, compressed)) = data.split_at_checked(3) {
        let mut sealed = b"LMNAZOB\x01".to_vec();
        sealed.extend_from_slice(length);
        sealed.extend_from_slice(&[0; 5]);
        let checksum = blake3::Hasher::new().update(&sealed).update(compressed).finalize();
        sealed.extend_from_slice(checksum.as_bytes());
        sealed.extend_from_slice(compressed);
        object_file_as_it_is(&sealed);
    }
}

fn object_file_as_it_is(data: &[u8]) {
    if let Ok(canonical) = decode_object_file(data) {
        assert_eq!(canonical.len() as u64, u64::from_le_bytes(data[8..16].try_into().expect("eight bytes")));
    }
}

/// A format file lets a store be opened only if it is of this format and needs nothing unknown; every other reason is
/// told apart. Damage never looks like another version.
pub(crate) fn format(data: &[u8]) {
    let sealed = [data, format!("\n{}\n", blake3::hash(data).to_hex()).as_bytes()].concat();
    _ = format_as_it_is(&sealed);
    let read = format_as_it_is(data);
    let json = data.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if data.get(json.len() + 1..) != Some(format!("{}\n", blake3::hash(json).to_hex()).as_bytes()) {
        assert!(
            matches!(read, Err(Unusable::Damaged(_) | Unusable::Foreign(_))),
            "{read:?} of what is not sealed"
        );
    }
    // The same with every field as the input says.
    let Some((number, names)) = data.split_first_chunk::<2>() else { return };
    let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let names: Vec<String> = names.split(|&byte| byte == 0).map(name).collect();
    let (required, optional) = names.split_at(usize::from(number[1]).min(names.len()));
    let format =
        Format { format: u64::from(number[0] % 4), required: required.to_vec(), optional: optional.to_vec() };
    let bytes = format.encode();
    let current = Format::current().format;
    let read = format_as_it_is(&bytes);
    if bytes.len() > 64 << 10 {
        assert!(matches!(read, Err(Unusable::Foreign(_))), "{read:?}");
    } else if format.format < current {
        assert_eq!(read, Err(Unusable::Older(format.format)));
    } else if format.format > current {
        assert_eq!(read, Err(Unusable::Newer(format.format)));
    } else if !required.is_empty() {
        assert_eq!(read, Err(Unusable::Unknown(required.to_vec())));
    } else {
        assert_eq!(read, Ok(format));
    }
}

fn format_as_it_is(data: &[u8]) -> Result<Format, Unusable> {
    let read = Format::decode(data);
    let current = Format::current().format;
    match &read {
        Ok(format) => {
            assert_eq!((format.format, &format.required[..]), (current, &[][..]));
            assert_eq!(Format::decode(&format.encode()).as_ref(), Ok(format));
        }
        Err(Unusable::Older(found)) => assert!(*found < current),
        Err(Unusable::Newer(found)) => assert!(*found > current),
        Err(Unusable::Unknown(features)) => assert!(!features.is_empty()),
        Err(Unusable::Foreign(_) | Unusable::Damaged(_)) => {}
    }
    read
}
