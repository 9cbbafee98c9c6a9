//! ReAgent.xml from hostile disks: what comes out is what a naive model makes of it, which cuts the text at its quotes;
//! so nothing but the offsets of moved partitions changes.
//!
//! The input: a byte of which the lowest two bits count partitions that were moved and the highest says that one more
//! was, which begins where the text's first offset says; from where and to where each was moved (u64 LE each); the text.

use disk::partition::Moved;
use layering::fuzzing::relocate;

/// Panics when the rule above is broken.
pub fn check(input: &[u8]) {
    let Some((&first, mut rest)) = input.split_first() else { return };
    let mut moved = Vec::new();
    for number in 0..u32::from(first & 3) {
        let Some((pair, behind)) = rest.split_first_chunk::<16>() else { return };
        let [from, to] = [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|i| pair[at + i])));
        moved.push(Moved { number, from, to, len: 1 });
        rest = behind;
    }
    let text = std::str::from_utf8(rest).ok();
    if let Some(from) = text.filter(|_| first & 0x80 != 0).and_then(first_offset) {
        moved.push(Moved { number: 9, from, to: from.rotate_left(7), len: 1 });
    }
    let expected = text.and_then(|text| model(text, &moved));
    let found = relocate(rest, &moved);
    assert_eq!(found, expected.map(String::into_bytes));
    assert_eq!(relocate(rest, &[]), None, "without a move nothing changes");
    if let Some(found) = found {
        let quotes = |text: &[u8]| text.iter().filter(|&&byte| byte == b'"').count();
        assert_eq!(quotes(&found), quotes(rest));
    }
}

fn first_offset(text: &str) -> Option<u64> {
    let (_, behind) = text.split_once("offset=\"")?;
    behind.split('"').next()?.parse().ok()
}

/// `None` when nothing changes, or when the quotes of an offset are not closed.
fn model(text: &str, moved: &[Moved]) -> Option<String> {
    let parts: Vec<&str> = text.split('"').collect();
    let mut new: Vec<String> = Vec::new();
    let mut changed = false;
    let mut at = 0;
    while let Some(part) = parts.get(at) {
        new.push((*part).to_owned());
        at += 1;
        if !part.ends_with("offset=") || at == parts.len() {
            continue;
        }
        let value = parts[at];
        if at + 1 == parts.len() {
            return None;
        }
        let target = value.parse().ok().and_then(|from: u64| moved.iter().find(|moved| moved.from == from));
        changed |= target.is_some();
        new.push(target.map_or_else(|| value.to_owned(), |moved| moved.to.to_string()));
        at += 1;
    }
    changed.then(|| new.join("\""))
}
