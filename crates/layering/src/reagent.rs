//! Where Windows looks for its recovery environment: `\Windows\System32\Recovery\ReAgent.xml` names the recovery
//! partition by its offset on the disk, which changes when the partition is moved.
//!
//! Observed form: `<WinreLocation path="\Recovery\WindowsRE" id="0" offset="511705088" guid="{...}"/>`, UTF-8. Only the
//! digits of offsets that name a moved partition are changed; everything else of the file stays.

use crate::streams;
use crate::{Error, Result};
use disk::ByteSource;
use disk::partition::Moved;
use volume::{Name, NewData, NewStream, Tree, VolumeEditor};

/// Larger than any such file.
const MAX_LEN: u64 = 1 << 20;

/// Updates the file for moved partitions, where it is there and names one. `tree` and `window` are the volume before.
pub(crate) fn update(
    editor: &mut dyn VolumeEditor,
    tree: &Tree,
    window: &dyn ByteSource,
    moved: &[Moved],
    context: &str,
) -> Result<()> {
    if moved.is_empty() {
        return Ok(());
    }
    let path = ["Windows", "System32", "Recovery", "ReAgent.xml"].map(Name::from);
    let Some(node) = tree.lookup(&path) else { return Ok(()) };
    let Some(stream) = node.streams.iter().find(|stream| stream.name.is_empty()) else { return Ok(()) };
    if stream.size > MAX_LEN || stream.flags.compressed || stream.flags.encrypted {
        return Ok(());
    }
    let mut text = vec![0; stream.size as usize];
    streams::read_stream_at(window, stream, 0, &mut text).map_err(Error::io("reading ReAgent.xml"))?;
    let Some(updated) = relocate(&text, moved) else { return Ok(()) };
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
    editor.set_metadata(node.id, &node.metadata).map_err(failed())
}

/// The text with the offsets of moved partitions changed, or `None` when it names none of them.
fn relocate(text: &[u8], moved: &[Moved]) -> Option<Vec<u8>> {
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
