//! Recognising an image by its contents.
//!
//! A fixed VHD is decided by its footer, before its start is looked at: the start belongs to whoever wrote the disk
//! inside, who could put the header of another format there. Only then the start decides; a header there makes the
//! file that format even if someone meant it to be raw.

use super::fields::be_u32;
use super::image_file::ImageFile;
use super::vhd::{self, Footer};
use super::{Error, Result};

pub(super) enum Kind {
    Raw,
    VhdFixed(Footer),
    VhdDynamic,
    Vhdx,
    Qcow2,
    Vmdk,
    /// Recognised, and not read.
    Foreign(&'static str),
}

pub(super) fn recognise(file: &ImageFile) -> Result<Kind> {
    let footer = vhd::footer_at_end(file)?;
    if let vhd::FooterAtEnd::Valid(footer) = &footer
        && footer.kind == vhd::FIXED
    {
        return Ok(Kind::VhdFixed(footer.clone()));
    }
    let mut start = [0; 4096];
    let len = file.len().min(start.len() as u64) as usize;
    file.read(0, &mut start[..len], "the start of the file")?;
    if let Some(kind) = by_start(&start) {
        return Ok(kind);
    }
    match footer {
        vhd::FooterAtEnd::None => Ok(Kind::Raw),
        // The copy at the start is gone, so what the footer describes cannot be found or believed.
        vhd::FooterAtEnd::Valid(_) | vhd::FooterAtEnd::Damaged => Err(Error::Corrupt {
            path: file.path().to_owned(),
            format: super::Format::Vhd,
            what: "it ends with a VHD footer whose checksum or counterpart at the start is wrong".to_owned(),
        }),
    }
}

fn by_start(start: &[u8]) -> Option<Kind> {
    let known: [(&[u8], Kind); 14] = [
        (vhd::COOKIE, Kind::VhdDynamic),
        (b"vhdxfile", Kind::Vhdx),
        (b"KDMV", Kind::Vmdk),
        (b"COWD", Kind::Foreign("VMDK of the obsolete ESX sparse kind")),
        (b"QED\0", Kind::Foreign("QED image")),
        (b"WithoutFreeSpace", Kind::Foreign("Parallels image")),
        (b"WithouFreSpacExt", Kind::Foreign("Parallels image")),
        (b"EVF\x09\x0d\x0a\xff\x00", Kind::Foreign("EWF forensic image")),
        (b"LUKS\xba\xbe", Kind::Foreign("LUKS encrypted container")),
        (b"\x1f\x8b\x08", Kind::Foreign("gzip archive; unpack it first")),
        (b"\xfd7zXZ\0", Kind::Foreign("xz archive; unpack it first")),
        (b"\x28\xb5\x2f\xfd", Kind::Foreign("zstd archive; unpack it first")),
        (b"7z\xbc\xaf\x27\x1c", Kind::Foreign("7z archive; unpack it first")),
        (b"PK\x03\x04", Kind::Foreign("zip archive; unpack it first")),
    ];
    if start.starts_with(b"QFI\xfb") {
        return Some(match be_u32(start, 4) {
            1 => Kind::Foreign("QCOW image of version 1"),
            _ => Kind::Qcow2,
        });
    }
    if start[64..68] == [0x7f, 0x10, 0xda, 0xbe] {
        return Some(Kind::Foreign("VDI image"));
    }
    if start[257..262] == *b"ustar" {
        return Some(Kind::Foreign("tar or OVA archive; unpack it first"));
    }
    // A VMDK descriptor is text; comments and blanks may come before the line that names it.
    if is_vmdk_descriptor(start) {
        return Some(Kind::Vmdk);
    }
    known.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, kind)| kind)
}

fn is_vmdk_descriptor(start: &[u8]) -> bool {
    let text = start.split(|&byte| byte == 0).next().unwrap_or_default();
    text.split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .take_while(|line| line.is_empty() || line.starts_with(b"#"))
        .any(|line| line.eq_ignore_ascii_case(b"# Disk DescriptorFile"))
        || text
            .split(|&byte| byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .find(|line| !line.is_empty() && !line.starts_with(b"#"))
            .is_some_and(|line| [b"version=1", b"version=2", b"version=3"].iter().any(|known| line == *known))
}
