//! What values of the registry say, in words for people, and the two forms of text that only Windows itself uses.

use hive::{Data, value_kind};

/// Bytes of a value that is no text which are shown.
const BYTES: usize = 16;
/// Bytes of a value that are looked at where its beginning is enough: a hive may claim values as long as itself.
const LOOKED_AT: usize = 4096;
/// Characters that a path has at most.
const LONGEST_PATH: usize = 32_767;

/// The beginning of a value.
pub(super) fn beginning<'d>(data: &'d Data<'_>) -> Data<'d> {
    Data::new(data.kind, &data.bytes[..data.bytes.len().min(LOOKED_AT)])
}

/// What a value holds, in one line.
pub(super) fn shown(data: &Data<'_>) -> String {
    let data = beginning(data);
    if let Some(text) = data.text() {
        return text;
    }
    if let Some(number) = data.number() {
        return number.to_string();
    }
    if data.kind == value_kind::MULTI_SZ {
        return strings(&data).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
    }
    let hex: Vec<String> = data.bytes.iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect();
    let more = if data.bytes.len() > BYTES { " …" } else { "" };
    format!("{}{more}", hex.join(" "))
}

/// The strings of a list that may have empty ones among them and at its end, each no longer than a path.
fn strings<'d>(data: &'d Data<'_>) -> impl Iterator<Item = String> + use<'d> {
    let mut units = data.bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).peekable();
    std::iter::from_fn(move || {
        units.peek()?;
        let mut text = Vec::new();
        for unit in units.by_ref().take_while(|unit| *unit != 0) {
            if text.len() < LONGEST_PATH {
                text.push(unit);
            }
        }
        Some(String::from_utf16_lossy(&text))
    })
}

/// What is to be renamed at the next start: from where, and to where or `None` for what is to be deleted. (A list of
/// pairs, as MoveFileEx describes it; an empty second string deletes.)
pub(super) fn pending_renames(data: &Data<'_>) -> impl Iterator<Item = (String, Option<String>)> {
    let mut strings = strings(data);
    let pairs = std::iter::from_fn(move || {
        let from = strings.next()?;
        Some((from, strings.next().filter(|to| !to.is_empty())))
    });
    pairs.filter(|(from, to)| !from.is_empty() || to.is_some())
}

/// The text of a `UNICODE_STRING` as the security hive keeps it: length and maximum length in bytes (2 each), offset
/// of the characters (4), characters.
pub(super) fn counted_text(bytes: &[u8]) -> Option<String> {
    let (head, _) = bytes.split_at_checked(8)?;
    let len = usize::from(u16::from_le_bytes([head[0], head[1]]));
    let start = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
    let text = bytes.get(start..start.checked_add(len)?)?;
    let units: Vec<u16> = text.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    Some(String::from_utf16_lossy(&units)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive::{multi_string, string};

    fn list(text: &str) -> Data<'static> {
        let units = text.replace('|', "\0");
        Data::new(value_kind::MULTI_SZ, units.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
    }

    #[test]
    fn pending_renames_are_pairs_of_which_an_empty_second_deletes() {
        let pending_renames = |data: &Data<'_>| pending_renames(data).collect::<Vec<_>>();
        let pairs = pending_renames(&list(r"\??\C:\a||\??\C:\b|!\??\C:\c||"));
        assert_eq!(pairs, [(r"\??\C:\a".into(), None), (r"\??\C:\b".into(), Some(r"!\??\C:\c".into()))]);
        for none in ["", "|", "||", "||||"] {
            assert_eq!(pending_renames(&list(none)), [], "{none:?}");
        }
        assert_eq!(pending_renames(&multi_string([])), []);
        // a list whose end is missing
        assert_eq!(pending_renames(&list(r"\??\C:\a")), [(r"\??\C:\a".into(), None)]);
    }

    #[test]
    fn a_value_as_long_as_its_hive_is_not_copied_as_a_whole() {
        let long = Data::new(value_kind::SZ, [b'a', 0].repeat(1 << 20));
        assert_eq!(shown(&long).len(), LOOKED_AT / 2);
        let long = Data::new(value_kind::MULTI_SZ, long.bytes);
        let (from, to) = pending_renames(&long).next().unwrap();
        assert_eq!((from.len(), to), (LONGEST_PATH, None));
    }

    #[test]
    fn the_security_hives_text_is_read_where_its_head_says_and_no_further() {
        let name = b"\x08\x00\x0a\x00\x08\x00\x00\x00C\0O\0R\0P\0\0\0";
        assert_eq!(counted_text(name).as_deref(), Some("CORP"));
        assert_eq!(counted_text(&name[..12]), None);
        assert_eq!(counted_text(b"\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(counted_text(b""), None);
        assert_eq!(counted_text(&[0; 8]), None);
    }

    #[test]
    fn values_are_shown_in_one_line() {
        assert_eq!(shown(&string(value_kind::EXPAND_SZ, "%A%\\b")), "%A%\\b");
        assert_eq!(shown(&Data::new(value_kind::DWORD, vec![42, 0, 0, 0])), "42");
        assert_eq!(shown(&list("a||b||")), "a; b");
        assert_eq!(shown(&Data::new(value_kind::BINARY, vec![1, 0xab])), "01 ab");
        assert!(shown(&Data::new(value_kind::BINARY, vec![0; 99])).ends_with(" 00 …"));
    }
}
