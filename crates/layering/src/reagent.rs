//! Where Windows looks for its recovery environment: `\Windows\System32\Recovery\ReAgent.xml` names the recovery
//! partition by its offset on the disk, which changes when the partition is moved.
//!
//! Observed form: `<WinreLocation path="\Recovery\WindowsRE" id="0" offset="511705088" guid="{...}"/>`, UTF-8. Only the
//! digits of offsets that name a moved partition are changed; everything else of the file stays.

use crate::manifest::{ContentRecord, Manifest, NameRecord, Piece, StreamRecord};
use crate::placement::Placement;
use crate::streams;
use crate::{Error, Result};
use disk::ByteSource;
use disk::partition::Moved;
use volume::{Name, NewData, NewStream, Tree, VolumeEditor};

/// Larger than any such file.
const MAX_LEN: u64 = 1 << 20;

/// Path of the file.
const PATH: [&str; 4] = ["Windows", "System32", "Recovery", "ReAgent.xml"];

/// What became of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is not there.
    Absent,
    /// It names the new places.
    Updated,
    /// It names no partition that moved, or cannot be read.
    Unchanged,
}

/// Updates the file of the OS volume for moved partitions. `tree` and `window` are the volume before.
pub(crate) fn update(
    editor: &mut dyn VolumeEditor,
    tree: &Tree,
    window: &dyn ByteSource,
    moved: &[Moved],
    context: &str,
) -> Result<Outcome> {
    let Some(node) = tree.lookup(&PATH.map(Name::from)) else { return Ok(Outcome::Absent) };
    let Some(stream) = node.streams.iter().find(|stream| stream.name.is_empty()) else {
        return Ok(Outcome::Unchanged);
    };
    if stream.size > MAX_LEN || stream.flags.compressed || stream.flags.encrypted {
        return Ok(Outcome::Unchanged);
    }
    let mut text = vec![0; stream.size as usize];
    streams::read_stream_at(window, stream, 0, &mut text).map_err(Error::io("reading ReAgent.xml"))?;
    let Some(updated) = relocate(&text, moved) else { return Ok(Outcome::Unchanged) };
    let len = updated.len() as u64;
    let new = NewStream {
        name: &stream.name,
        size: len,
        valid: len,
        flags: stream.flags,
        data: NewData::Inline(&updated),
    };
    let failed = || Error::volume(format!("{context}: ReAgent.xml"));
    editor.set_streams(node.id, &[new]).map_err(failed())?;
    editor.set_metadata(node.id, &node.metadata).map_err(failed())?;
    Ok(Outcome::Updated)
}

/// The manifest with its own version of the file updated, or `None` when nothing is to be changed in it.
pub(crate) fn update_layer(
    manifest: &Manifest,
    tree: &Tree,
    placement: &Placement<'_>,
    moved: &[Moved],
) -> Result<(Outcome, Option<Manifest>)> {
    let wanted = PATH.map(|part| tree.fold(&Name::from(part)));
    let is_it = |name: &NameRecord| {
        let directory = manifest.directory_path(name.directory);
        directory.len() + 1 == wanted.len()
            && directory
                .into_iter()
                .chain([&name.name])
                .zip(&wanted)
                .all(|(part, wanted)| tree.fold(part) == *wanted)
    };
    let Some(position) = manifest.files.iter().position(|file| file.names.iter().any(is_it)) else {
        return Ok((Outcome::Absent, None));
    };
    let Some(stream) = manifest.files[position].streams.iter().position(|stream| stream.name.is_empty())
    else {
        return Ok((Outcome::Unchanged, None));
    };
    let Some(text) = text_of(&manifest.files[position].streams[stream], placement)? else {
        return Ok((Outcome::Unchanged, None));
    };
    let Some(updated) = relocate(&text, moved) else { return Ok((Outcome::Unchanged, None)) };
    let mut manifest = manifest.clone();
    let stream = &mut manifest.files[position].streams[stream];
    (stream.size, stream.valid) = (updated.len() as u64, updated.len() as u64);
    stream.content = ContentRecord::Inline(updated.into());
    Ok((Outcome::Updated, Some(manifest)))
}

/// The bytes of a small plain stream.
fn text_of(stream: &StreamRecord, placement: &Placement<'_>) -> Result<Option<Vec<u8>>> {
    if stream.size > MAX_LEN || stream.flags.compressed || stream.flags.encrypted {
        return Ok(None);
    }
    let mut text = match &stream.content {
        ContentRecord::Inline(bytes) => bytes.to_vec(),
        ContentRecord::Stored { layout, .. } if !layout.is_empty() => return Ok(None),
        ContentRecord::Stored { content, len, pieces, .. } => {
            let whole = [Piece { blob: Some(*content), offset: 0, len: *len }];
            let pieces = if pieces.is_empty() { &whole[..] } else { pieces };
            let mut text = Vec::new();
            for piece in pieces {
                let from = text.len();
                text.resize(from + piece.len.min(MAX_LEN) as usize, 0);
                if let Some(blob) = piece.blob {
                    placement.read(blob, piece.offset, &mut text[from..])?;
                }
            }
            text
        }
    };
    text.resize(stream.size as usize, 0);
    Ok(Some(text))
}

/// The text with the offsets of moved partitions changed, or `None` when it names none of them.
pub(crate) fn relocate(text: &[u8], moved: &[Moved]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut updated = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut changed = false;
    while let Some(at) = rest.find("offset=\"") {
        let digits_at = at + "offset=\"".len();
        let end = rest[digits_at..].find('"')? + digits_at;
        let target = rest[digits_at..end].parse::<u64>().ok();
        let to = target.and_then(|from| moved.iter().find(|moved| moved.from == from)).map(|moved| moved.to);
        updated.push_str(&rest[..digits_at]);
        match to {
            Some(to) => {
                updated.push_str(&to.to_string());
                changed = true;
            }
            None => updated.push_str(&rest[digits_at..end]),
        }
        rest = &rest[end..];
    }
    updated.push_str(rest);
    changed.then(|| updated.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_offsets_of_moved_partitions_change() {
        let text =
            br#"<WinreLocation path="\x" id="0" offset="1048576" guid="{1}"/><ImageLocation offset="0"/>"#;
        let moved = [Moved { number: 4, from: 1_048_576, to: 99_999_999, len: 1 }];
        let updated = String::from_utf8(relocate(text, &moved).unwrap()).unwrap();
        assert_eq!(
            updated,
            r#"<WinreLocation path="\x" id="0" offset="99999999" guid="{1}"/><ImageLocation offset="0"/>"#
        );
        assert_eq!(relocate(b"offset=\"5\" offset=\"", &moved), None);
    }
}
