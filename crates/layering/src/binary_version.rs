//! The version resource of Windows binaries: VS_FIXEDFILEINFO inside the resource section of a PE file.
//!
//! Only as much is read as the way there needs. A file that is no PE file, or whose structures do not add up, has no
//! version; nothing here is an error, because nothing depends on it but a report.
//!
//! Layouts: Microsoft PE and COFF specification ("The .rsrc Section") and the VERSIONINFO resource.

use std::io;
use volume::Name;

/// Resource type RT_VERSION.
const RT_VERSION: u32 = 16;
/// VS_FIXEDFILEINFO.dwSignature.
const SIGNATURE: u32 = 0xfeef_04bd;
/// More sections or resource entries than any linker makes.
const MAX_ENTRIES: usize = 4096;

/// Whether a file of this name may carry a version resource.
pub(crate) fn may_have_version(name: &Name) -> bool {
    let name = name.to_string().to_ascii_lowercase();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    matches!(
        extension,
        "exe" | "dll" | "sys" | "ocx" | "cpl" | "drv" | "mui" | "scr" | "efi" | "ax" | "tlb" | "com"
    )
}

/// The file version of a PE file, most significant part first. `read` fills a buffer from an offset in the file, or
/// fails with [`io::ErrorKind::UnexpectedEof`] past its end.
pub(crate) fn binary_version(
    mut read: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<Option<[u16; 4]>> {
    match find(&mut read) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        found => found,
    }
}

type Read<'a> = &'a mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>;

fn bytes<const N: usize>(read: Read<'_>, at: u64) -> io::Result<[u8; N]> {
    let mut buf = [0; N];
    read(at, &mut buf)?;
    Ok(buf)
}

fn u16_at(read: Read<'_>, at: u64) -> io::Result<u16> {
    Ok(u16::from_le_bytes(bytes(read, at)?))
}

fn u32_at(read: Read<'_>, at: u64) -> io::Result<u32> {
    Ok(u32::from_le_bytes(bytes(read, at)?))
}

fn find(read: Read<'_>) -> io::Result<Option<[u16; 4]>> {
    if &bytes::<2>(read, 0)? != b"MZ" {
        return Ok(None);
    }
    let pe = u64::from(u32_at(read, 0x3c)?);
    if &bytes::<4>(read, pe)? != b"PE\0\0" {
        return Ok(None);
    }
    let sections = usize::from(u16_at(read, pe + 6)?).min(MAX_ENTRIES);
    let optional = pe + 24;
    let section_table = optional + u64::from(u16_at(read, pe + 20)?);
    let directories = match u16_at(read, optional)? {
        0x10b => optional + 96,
        0x20b => optional + 112,
        _ => return Ok(None),
    };
    let resources = u32_at(read, directories + 2 * 8)?;
    if resources == 0 {
        return Ok(None);
    }
    let mut table = Vec::with_capacity(sections);
    for index in 0..sections as u64 {
        let section: [u8; 40] = bytes(read, section_table + index * 40)?;
        let field =
            |at: usize| u32::from_le_bytes([section[at], section[at + 1], section[at + 2], section[at + 3]]);
        // Virtual address, the larger of virtual and raw size, raw offset.
        table.push((field(12), field(8).max(field(16)), field(20)));
    }
    let place = |rva: u32| {
        let (start, _, raw) = table.iter().find(|(start, len, _)| rva >= *start && rva - start < *len)?;
        Some(u64::from(*raw) + u64::from(rva - start))
    };
    let Some(root) = place(resources) else { return Ok(None) };
    let Some(kind) = entry(read, root, Some(RT_VERSION))? else { return Ok(None) };
    let Some(name) = subdirectory(read, root, kind)? else { return Ok(None) };
    let Some(language) = subdirectory(read, root, name)? else { return Ok(None) };
    if language & 0x8000_0000 != 0 {
        return Ok(None);
    }
    let data = root + u64::from(language);
    let (rva, len) = (u32_at(read, data)?, u32_at(read, data + 4)?);
    let Some(at) = place(rva) else { return Ok(None) };
    let mut version = vec![0; len.min(4096) as usize];
    read(at, &mut version)?;
    let words: Vec<u32> = version
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    let found = words.windows(4).find(|words| words[0] == SIGNATURE);
    Ok(found.map(|words| {
        let (high, low) = (words[2], words[3]);
        [(high >> 16) as u16, high as u16, (low >> 16) as u16, low as u16]
    }))
}

/// The offset field of the resource directory entry with this id, or of the first entry.
fn entry(read: Read<'_>, directory: u64, id: Option<u32>) -> io::Result<Option<u32>> {
    let named = u64::from(u16_at(read, directory + 12)?);
    let numbered = u64::from(u16_at(read, directory + 14)?);
    let (first, count) = if id.is_some() { (named, numbered) } else { (0, named + numbered) };
    for index in first..first + count.min(MAX_ENTRIES as u64) {
        let at = directory + 16 + index * 8;
        let wanted = match id {
            Some(id) => u32_at(read, at)? == id,
            None => true,
        };
        if wanted {
            return u32_at(read, at + 4).map(Some);
        }
    }
    Ok(None)
}

/// Follows an offset that must lead to a directory and gives back the offset field of that directory's first entry.
fn subdirectory(read: Read<'_>, root: u64, offset: u32) -> io::Result<Option<u32>> {
    if offset & 0x8000_0000 == 0 {
        return Ok(None);
    }
    entry(read, root + u64::from(offset & 0x7fff_ffff), None)
}

#[cfg(test)]
mod sample;

#[cfg(test)]
mod tests {
    use super::sample::binary;
    use super::*;

    fn version_of(file: &[u8]) -> Option<[u16; 4]> {
        binary_version(|at, buf| {
            let start = usize::try_from(at).unwrap_or(usize::MAX);
            let part = start.checked_add(buf.len()).and_then(|end| file.get(start..end));
            buf.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
        .unwrap()
    }

    #[test]
    fn the_file_version_is_found() {
        assert_eq!(version_of(&binary([10, 0, 19041, 3636])), Some([10, 0, 19041, 3636]));
    }

    #[test]
    fn damaged_binaries_have_no_version_and_do_no_harm() {
        let whole = binary([1, 2, 3, 4]);
        for len in 0..whole.len() {
            version_of(&whole[..len]);
        }
        for at in 0..whole.len() {
            for value in [0, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                version_of(&damaged);
            }
        }
        assert_eq!(version_of(b"not a program"), None);
    }
}
