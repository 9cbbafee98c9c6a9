//! Values that hold lists to which several installers append, merged three ways.

use crate::record::value_kind;
use crate::{Data, Upcase};

/// How a list is written in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// Text with `;` between the elements, such as `PATH`; a `;` inside quotation marks belongs to the element.
    Semicolons,
    /// Text with `,` between the elements.
    Commas,
    /// Text with spaces between the elements.
    Spaces,
    /// `REG_MULTI_SZ`.
    Strings,
}

/// What a merge of a list comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergedList {
    /// The value gets this content.
    Data(Data<'static>),
    /// The value stays what it is.
    Unchanged,
    /// Nothing is left of the list.
    Removed,
    /// One of the values is no list of this kind: they cannot be merged.
    NotAList,
}

/// An element: UTF-16 code units.
type Element = Vec<u16>;

/// Does to the list `target` what was done to get `after` from `before`; `None` is a value that is not there.
///
/// The result is `target`, minus what was removed, plus what was added, each after its nearest predecessor in `after`
/// that is an element of `before` and still there (in front if it has no such predecessor at all, at the end if none is
/// left). No element comes twice; another order alone changes nothing. Elements are equal without regard to case and
/// to a `\` at the end. `REG_EXPAND_SZ` wins over `REG_SZ`.
pub fn merge_lists(
    upcase: &Upcase,
    kind: ListKind,
    before: Option<&Data<'_>>,
    after: Option<&Data<'_>>,
    target: &Data<'_>,
) -> MergedList {
    let elements = |data: Option<&Data<'_>>| data.map_or(Some(Vec::new()), |data| split(kind, data));
    let (Some(before), Some(changed), Some(mut result)) =
        (elements(before), elements(after), split(kind, target))
    else {
        return MergedList::NotAList;
    };
    let key = |element: &Element| -> Element {
        let end = element.len() - element.iter().rev().take_while(|unit| **unit == u16::from(b'\\')).count();
        element[..end].iter().map(|unit| upcase.unit(*unit)).collect()
    };
    let keys = |elements: &[Element]| elements.iter().map(key).collect::<Vec<Element>>();
    let (before_keys, changed_keys) = (keys(&before), keys(&changed));
    let untouched = result.clone();

    result.retain(|element| {
        let element = key(element);
        changed_keys.contains(&element) || !before_keys.contains(&element)
    });
    for (position, element) in changed.iter().enumerate() {
        let own = &changed_keys[position];
        if before_keys.contains(own) || result.iter().any(|other| key(other) == *own) {
            continue;
        }
        // predecessors of the base, and those that were added just before, so that additions keep their order
        let earlier = changed_keys[..position].iter().rev();
        let mut had_predecessor = false;
        let place = earlier
            .inspect(|other| had_predecessor |= before_keys.contains(other))
            .find_map(|other| result.iter().position(|there| key(there) == *other));
        let at = match place {
            Some(place) => place + 1,
            None if had_predecessor => result.len(),
            None => 0,
        };
        result.insert(at, element.clone());
    }
    let mut seen: Vec<Element> = Vec::with_capacity(result.len());
    result.retain(|element| {
        let own = key(element);
        let new = !seen.contains(&own);
        seen.push(own);
        new
    });

    if result.is_empty() && after.is_none() {
        return MergedList::Removed;
    }
    let value_type = match after {
        Some(after) if target.kind == value_kind::SZ && after.kind == value_kind::EXPAND_SZ => after.kind,
        _ => target.kind,
    };
    if result == untouched && value_type == target.kind {
        return MergedList::Unchanged;
    }
    MergedList::Data(Data { kind: value_type, flags: target.flags, bytes: join(kind, &result).into() })
}

/// The elements of a list; `None` when the value is of another type.
fn split(kind: ListKind, data: &Data<'_>) -> Option<Vec<Element>> {
    if !data.bytes.len().is_multiple_of(2) {
        return None;
    }
    let units = data.bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let text: Vec<u16> = match (kind, data.kind) {
        (ListKind::Strings, value_kind::MULTI_SZ) => {
            let units: Vec<u16> = units.collect();
            let strings = units.split(|unit| *unit == 0).take_while(|string| !string.is_empty());
            return Some(strings.map(<[u16]>::to_vec).collect());
        }
        (ListKind::Strings, _) => return None,
        (_, value_kind::SZ | value_kind::EXPAND_SZ) => units.take_while(|unit| *unit != 0).collect(),
        _ => return None,
    };
    let mut elements = vec![Element::new()];
    let mut quoted = false;
    for unit in text {
        quoted ^= kind == ListKind::Semicolons && unit == u16::from(b'"');
        match elements.last_mut() {
            Some(element) if unit != separator(kind) || quoted => element.push(unit),
            _ => elements.push(Element::new()),
        }
    }
    if kind == ListKind::Commas {
        elements.iter_mut().for_each(trim);
    }
    elements.retain(|element| !element.is_empty());
    Some(elements)
}

fn trim(element: &mut Element) {
    let space = |unit: &u16| *unit == u16::from(b' ');
    let start = element.iter().take_while(|unit| space(unit)).count();
    element.drain(..start);
    let end = element.len() - element.iter().rev().take_while(|unit| space(unit)).count();
    element.truncate(end);
}

fn join(kind: ListKind, elements: &[Element]) -> Vec<u8> {
    let mut units = Vec::new();
    for (position, element) in elements.iter().enumerate() {
        if position > 0 && kind != ListKind::Strings {
            units.push(separator(kind));
        }
        units.extend_from_slice(element);
        if kind == ListKind::Strings {
            units.push(0);
        }
    }
    units.push(0);
    units.into_iter().flat_map(u16::to_le_bytes).collect()
}

fn separator(kind: ListKind) -> u16 {
    match kind {
        ListKind::Semicolons => u16::from(b';'),
        ListKind::Commas => u16::from(b','),
        ListKind::Spaces => u16::from(b' '),
        ListKind::Strings => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{multi_string, string};

    fn path(list: &str) -> Data<'static> {
        string(value_kind::SZ, list)
    }

    /// The merged list as text; `=` when it stays, `-` when it goes.
    fn merged(kind: ListKind, before: Option<&str>, after: Option<&str>, target: &str) -> String {
        let data = |list: &str| match kind {
            ListKind::Strings => multi_string(list.split('|')),
            _ => path(list),
        };
        let (before, after) = (before.map(data), after.map(data));
        match merge_lists(&Upcase::unicode(), kind, before.as_ref(), after.as_ref(), &data(target)) {
            MergedList::Unchanged => "=".to_owned(),
            MergedList::Removed => "-".to_owned(),
            MergedList::NotAList => "?".to_owned(),
            MergedList::Data(data) => {
                let units: Vec<u16> =
                    data.bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
                String::from_utf16(&units).unwrap().trim_end_matches('\0').replace('\0', "|")
            }
        }
    }

    fn semicolons(before: &str, after: &str, target: &str) -> String {
        merged(ListKind::Semicolons, Some(before), Some(after), target)
    }

    #[test]
    fn two_layers_that_append_to_path_both_stay_and_the_higher_ones_is_found_first() {
        assert_eq!(semicolons("C:\\W", "C:\\W;C:\\B", "C:\\W;C:\\A"), "C:\\W;C:\\B;C:\\A");
    }

    #[test]
    fn what_is_put_in_front_stays_in_front() {
        assert_eq!(semicolons("w;x", "n;w;x", "a;w;x"), "n;a;w;x");
    }

    #[test]
    fn an_addition_follows_its_nearest_predecessor_that_is_still_there() {
        assert_eq!(semicolons("a;b;c", "a;b;n;c", "a;b;o;c"), "a;b;n;o;c");
        assert_eq!(semicolons("a;b;c", "a;b;n;c", "a;o;c"), "a;n;o;c");
        assert_eq!(semicolons("a;b;c", "a;b;m;n;c", "a;b;c;o"), "a;b;m;n;c;o");
    }

    #[test]
    fn an_addition_whose_predecessors_are_all_gone_comes_last() {
        assert_eq!(semicolons("a", "a;n", "o;p"), "o;p;n");
    }

    #[test]
    fn what_a_layer_removed_goes_and_what_others_added_stays() {
        assert_eq!(semicolons("a;b", "a", "a;b;c"), "a;c");
        assert_eq!(merged(ListKind::Semicolons, Some("a;b"), None, "a;b;c"), "c");
        assert_eq!(merged(ListKind::Semicolons, Some("a;b"), None, "b;a"), "-");
    }

    #[test]
    fn another_order_alone_changes_nothing() {
        assert_eq!(semicolons("a;b;c", "c;a;b", "a;b;c;d"), "=");
    }

    #[test]
    fn elements_are_equal_without_regard_to_case_and_a_backslash_at_the_end() {
        assert_eq!(semicolons("a", "a;C:\\Tools\\", "a;c:\\tools"), "=");
        assert_eq!(semicolons("C:\\W;%X%", "%X%", "c:\\w\\;%x%;d"), "%x%;d");
    }

    #[test]
    fn a_list_that_is_new_in_both_is_united() {
        assert_eq!(merged(ListKind::Strings, None, Some("n|m"), "o"), "n|m|o");
    }

    #[test]
    fn a_separator_inside_quotation_marks_belongs_to_the_element() {
        assert_eq!(semicolons("a", "a;\"C:\\x;y\"", "a;b"), "a;\"C:\\x;y\";b");
    }

    #[test]
    fn comma_lists_and_lists_of_strings_merge_alike() {
        assert_eq!(merged(ListKind::Commas, Some("x, y"), Some("x,y,z"), "x,y,w"), "x,y,z,w");
        assert_eq!(merged(ListKind::Strings, Some("a|b"), Some("a|b|n"), "a|b|o"), "a|b|n|o");
    }

    #[test]
    fn nothing_comes_twice() {
        assert_eq!(semicolons("a", "a;n;N", "a;b;B"), "a;n;b");
    }

    #[test]
    fn text_with_variables_wins_over_plain_text() {
        let upcase = Upcase::unicode();
        let (before, target) = (path("a"), path("a;b"));
        let after = string(value_kind::EXPAND_SZ, "a;%n%");
        let merged = merge_lists(&upcase, ListKind::Semicolons, Some(&before), Some(&after), &target);
        assert_eq!(merged, MergedList::Data(string(value_kind::EXPAND_SZ, "a;%n%;b")));
    }

    #[test]
    fn numbers_are_no_lists() {
        let number = Data::new(value_kind::DWORD, vec![1, 0, 0, 0]);
        let merged = merge_lists(
            &Upcase::unicode(),
            ListKind::Semicolons,
            Some(&path("a")),
            Some(&number),
            &path("a"),
        );
        assert_eq!(merged, MergedList::NotAList);
    }
}
