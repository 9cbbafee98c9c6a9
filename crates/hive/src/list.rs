//! Values that hold lists to which several installers append, merged three ways.

use crate::record::value_kind;
use crate::{Data, Upcase};
use std::collections::{HashMap, HashSet};

/// How a list is written in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// Text with `;` between the elements, such as `PATH`; a `;` inside quotation marks belongs to the element, unless one
    /// of the marks is missing.
    Semicolons,
    /// Text with `,` between the elements.
    Commas,
    /// Text with spaces or commas between the elements, such as `AppInit_DLLs`; elements that are added get the separator
    /// that the list has already.
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

impl MergedList {
    /// What a value comes to that was `target`; `None` where there is nothing to merge.
    pub fn over(self, target: Option<&Data<'_>>) -> Option<Option<Data<'static>>> {
        match self {
            MergedList::Data(data) => Some(Some(data)),
            MergedList::Unchanged => Some(target.map(|data| data.clone().into_owned())),
            MergedList::Removed => Some(None),
            MergedList::NotAList => None,
        }
    }
}

/// An element, both as it is written and as it is compared: UTF-16 code units.
#[derive(Debug, Clone, Copy)]
struct Element<'l> {
    text: &'l [u16],
    key: &'l [u16],
}

/// The text of a list, and the same text in upper case.
#[derive(Default)]
struct List {
    text: Vec<u16>,
    upper: Vec<u16>,
}

/// Does to the list `target` what was done to get `after` from `before`; `None` is a value that is not there.
///
/// The result is `target`, minus what was removed, plus what was added, each after its nearest predecessor in `after`
/// that is an element of `before` and still there (in front if it has no such predecessor at all, at the end if none is
/// left). No element comes twice; another order alone changes nothing. Elements are equal without regard to case and
/// to a `\` at the end. `REG_EXPAND_SZ` wins over `REG_SZ`. A list that nobody else changed is `after` as it is
/// written, if it comes to the same. The time it takes is proportional to the length of the lists.
pub fn merge_lists(
    upcase: &Upcase,
    kind: ListKind,
    before: Option<&Data<'_>>,
    after: Option<&Data<'_>>,
    target: Option<&Data<'_>>,
) -> MergedList {
    let read = |data: Option<&Data<'_>>| data.map_or(Some(List::default()), |data| read(upcase, kind, data));
    let (Some(old), Some(changed), Some(own)) = (read(before), read(after), read(target)) else {
        return MergedList::NotAList;
    };
    if let (None, Some(new), None) = (before, after, target) {
        return MergedList::Data(new.clone().into_owned());
    }
    let (wanted, untouched) = (changed.elements(kind), own.elements(kind));
    let result = merge(&old.elements(kind), &wanted, &untouched);

    // without a list, nothing to add makes none
    let Some(form) = target.or(after).filter(|_| !result.is_empty() || (target.is_some() && after.is_some()))
    else {
        return MergedList::Removed;
    };
    let value_type = match after {
        Some(after) if form.kind == value_kind::SZ && after.kind == value_kind::EXPAND_SZ => after.kind,
        _ => form.kind,
    };
    let is = |elements: &[Element<'_>]| {
        result.iter().map(|element| element.text).eq(elements.iter().map(|element| element.text))
    };
    if target.is_some_and(|target| target.kind == value_type) && is(&untouched) {
        return MergedList::Unchanged;
    }
    if let Some(after) = after.filter(|after| target == before && after.kind == value_type && is(&wanted)) {
        return MergedList::Data(after.clone().into_owned());
    }
    let separator = if target.is_some() { own.separator(kind) } else { changed.separator(kind) };
    let bytes = join(kind, separator, &result);
    MergedList::Data(Data { kind: value_type, flags: form.flags, bytes: bytes.into() })
}

/// What a list has to be changed from so that a change to `after` makes of `now` what `wanted` has in it: `before`, without
/// what still has to be added and with what still has to go. `None` where one of them is no list.
pub(crate) fn origin_of_list(
    upcase: &Upcase,
    kind: ListKind,
    [before, after]: [Option<&Data<'_>>; 2],
    [now, wanted]: [Option<&Data<'_>>; 2],
) -> Option<Option<Data<'static>>> {
    let read = |data: Option<&Data<'_>>| data.map_or(Some(List::default()), |data| read(upcase, kind, data));
    let lists = [read(before)?, read(after)?, read(now)?, read(wanted)?];
    let [was, is, there, aim] = lists.each_ref().map(|list| list.elements(kind));
    let [was_keys, is_keys, there_keys, aim_keys] = [&was, &is, &there, &aim].map(|list| keys(list));
    let added = |element: &Element<'_>| {
        is_keys.contains(element.key) && aim_keys.contains(element.key) && !there_keys.contains(element.key)
    };
    let goes = |element: &Element<'_>| !aim_keys.contains(element.key) && !was_keys.contains(element.key);
    let stays = was.iter().filter(|element| !added(element));
    let result: Vec<Element<'_>> =
        stays.chain(there.iter().filter(|element| goes(element))).copied().collect();
    if result.iter().map(|element| element.key).eq(was.iter().map(|element| element.key)) {
        return Some(before.map(|data| data.clone().into_owned()));
    }
    let Some(form) = before.or(now).filter(|_| !result.is_empty() || now.is_some()) else {
        return Some(None);
    };
    let bytes = join(kind, lists[if before.is_some() { 0 } else { 2 }].separator(kind), &result);
    Some(Some(Data { kind: form.kind, flags: form.flags, bytes: bytes.into() }))
}

fn keys<'l>(elements: &[Element<'l>]) -> HashSet<&'l [u16]> {
    elements.iter().map(|element| element.key).collect()
}

fn merge<'l>(before: &[Element<'l>], changed: &[Element<'l>], target: &[Element<'l>]) -> Vec<Element<'l>> {
    let (before_keys, changed_keys) = (keys(before), keys(changed));
    let mut result = Chain::default();
    for element in target {
        if changed_keys.contains(element.key) || !before_keys.contains(element.key) {
            result.insert(*element, result.last);
        }
    }
    // predecessors of the base, and those that were added just before, so that additions keep their order
    let mut predecessor = None;
    let mut had_predecessor = false;
    for element in changed {
        let of_base = before_keys.contains(element.key);
        if !of_base && !result.places.contains_key(element.key) {
            let end = if had_predecessor { result.last } else { None };
            result.insert(*element, predecessor.or(end));
        }
        predecessor = result.places.get(element.key).copied().or(predecessor);
        had_predecessor |= of_base;
    }
    let mut seen = HashSet::new();
    result.elements().filter(|element| seen.insert(element.key)).collect()
}

/// Elements in an order into which others are inserted.
#[derive(Default)]
struct Chain<'l> {
    /// Each element with the place of that which follows it.
    links: Vec<(Element<'l>, Option<usize>)>,
    first: Option<usize>,
    last: Option<usize>,
    /// Where the first element with each key is.
    places: HashMap<&'l [u16], usize>,
}

impl<'l> Chain<'l> {
    /// Puts an element behind another, in front of all behind none.
    fn insert(&mut self, element: Element<'l>, behind: Option<usize>) {
        let place = self.links.len();
        let link = behind.map_or(&mut self.first, |behind| &mut self.links[behind].1);
        let next = link.replace(place);
        self.links.push((element, next));
        if next.is_none() {
            self.last = Some(place);
        }
        self.places.entry(element.key).or_insert(place);
    }

    fn elements(&self) -> impl Iterator<Item = Element<'l>> {
        std::iter::successors(self.first, |place| self.links[*place].1).map(|place| self.links[place].0)
    }
}

/// The text of a list; `None` when the value is of another type.
fn read(upcase: &Upcase, kind: ListKind, data: &Data<'_>) -> Option<List> {
    if !data.bytes.len().is_multiple_of(2) {
        return None;
    }
    let units = data.bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let text: Vec<u16> = match (kind, data.kind) {
        (ListKind::Strings, value_kind::MULTI_SZ) => units.collect(),
        (ListKind::Strings, _) => return None,
        (_, value_kind::SZ | value_kind::EXPAND_SZ) => units.take_while(|unit| *unit != 0).collect(),
        _ => return None,
    };
    let upper = text.iter().map(|unit| upcase.unit(*unit)).collect();
    Some(List { text, upper })
}

impl List {
    /// The elements that are not empty. A list of strings may have an empty one inside, which ends nothing.
    fn elements(&self, kind: ListKind) -> Vec<Element<'_>> {
        let mark = u16::from(b'"');
        // a quotation mark without a second one means nothing
        let marks = self.text.iter().filter(|unit| **unit == mark).count();
        let quotes = kind == ListKind::Semicolons && marks.is_multiple_of(2);
        let mut elements = Vec::new();
        let (mut start, mut quoted) = (0, false);
        for end in 0..=self.text.len() {
            let unit = self.text.get(end);
            quoted ^= quotes && unit == Some(&mark);
            if unit.is_none_or(|unit| !quoted && separators(kind).contains(unit)) {
                elements.extend(self.element(kind, start, end));
                start = end + 1;
            }
        }
        elements
    }

    fn element(&self, kind: ListKind, mut start: usize, mut end: usize) -> Option<Element<'_>> {
        let ends_with = |unit: u8, end: usize| self.text[start..end].last() == Some(&u16::from(unit));
        while kind == ListKind::Commas && ends_with(b' ', end) {
            end -= 1;
        }
        let mut key_end = end;
        while ends_with(b'\\', key_end) {
            key_end -= 1;
        }
        while kind == ListKind::Commas && self.text[start..end].first() == Some(&u16::from(b' ')) {
            start += 1;
        }
        (start < end).then(|| Element { text: &self.text[start..end], key: &self.upper[start..key_end] })
    }

    /// What is between the elements: what the list itself uses where there is a choice.
    fn separator(&self, kind: ListKind) -> u16 {
        let all = separators(kind);
        let used = self.text.iter().find(|unit| all.contains(unit)).copied();
        used.unwrap_or(all[0])
    }
}

fn join(kind: ListKind, separator: u16, elements: &[Element<'_>]) -> Vec<u8> {
    let mut units = Vec::new();
    for (position, element) in elements.iter().enumerate() {
        if position > 0 && kind != ListKind::Strings {
            units.push(separator);
        }
        units.extend_from_slice(element.text);
        if kind == ListKind::Strings {
            units.push(0);
        }
    }
    units.push(0);
    units.into_iter().flat_map(u16::to_le_bytes).collect()
}

/// What may be between elements, the usual one first.
fn separators(kind: ListKind) -> &'static [u16] {
    match kind {
        ListKind::Semicolons => &[b';' as u16],
        ListKind::Commas => &[b',' as u16],
        ListKind::Spaces => &[b' ' as u16, b',' as u16],
        ListKind::Strings => &[0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{multi_string, string};
    use proptest::prelude::*;

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
        match merge_lists(&Upcase::unicode(), kind, before.as_ref(), after.as_ref(), Some(&data(target))) {
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
    fn a_single_quotation_mark_binds_nothing_together() {
        assert_eq!(semicolons("a;\"b", "a;\"b;n", "a;\"b;o"), "a;\"b;n;o");
        assert_eq!(semicolons("a;\"b;c", "a;\"b;c;n", "a;\"b;c;n"), "=");
    }

    #[test]
    fn of_a_list_that_is_gone_only_what_was_added_comes_back() {
        let list = |elements: &[&str]| Some(multi_string(elements.iter().copied()));
        let merged = |before: Option<Data<'_>>, after: Option<Data<'_>>| {
            merge_lists(&Upcase::unicode(), ListKind::Strings, before.as_ref(), after.as_ref(), None)
        };
        assert_eq!(merged(list(&["a"]), list(&["a", "b"])), MergedList::Data(multi_string(["b"])));
        assert_eq!(merged(list(&["a", "b"]), list(&["b"])), MergedList::Removed);
        assert_eq!(merged(list(&["a"]), None), MergedList::Removed);
        let twice = list(&["b", "b"]);
        assert_eq!(merged(None, twice.clone()), MergedList::Data(twice.unwrap()));
    }

    #[test]
    fn what_comes_to_the_same_is_written_as_the_installer_wrote_it() {
        assert_eq!(merged(ListKind::Commas, Some("a"), Some("a, b,"), "a"), "a, b,");
    }

    #[test]
    fn comma_lists_and_lists_of_strings_merge_alike() {
        assert_eq!(merged(ListKind::Commas, Some("x, y"), Some("x,y,z"), "x,y,w"), "x,y,z,w");
        assert_eq!(merged(ListKind::Strings, Some("a|b"), Some("a|b|n"), "a|b|o"), "a|b|n|o");
    }

    #[test]
    fn an_empty_string_inside_ends_no_list_of_strings() {
        let units = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let list = |text: &str| Data::new(value_kind::MULTI_SZ, units(text));
        let (before, after) = (list("a\0\0"), list("a\0\0n\0\0"));
        let target = list("a\0\0b\0\0\0c\0\0");
        let merged =
            merge_lists(&Upcase::unicode(), ListKind::Strings, Some(&before), Some(&after), Some(&target));
        assert_eq!(merged, MergedList::Data(list("a\0n\0b\0c\0\0")));
    }

    #[test]
    fn where_spaces_or_commas_separate_additions_get_what_the_list_uses() {
        let spaces = |before, after, target| merged(ListKind::Spaces, Some(before), Some(after), target);
        assert_eq!(spaces("a.dll,b.dll", "a.dll,b.dll,n.dll", "b.dll,o.dll"), "b.dll,n.dll,o.dll");
        assert_eq!(spaces("a.dll b.dll", "a.dll, b.dll n.dll", "a.dll,b.dll"), "a.dll,b.dll,n.dll");
        assert_eq!(spaces("a.dll", "a.dll,n.dll", "a.dll n.dll"), "=");
        assert_eq!(spaces("a.dll,b.dll", "a.dll,b.dll,n.dll", "a.dll"), "a.dll n.dll");
        assert_eq!(spaces("a,b", "a,b", "b  a"), "=");
    }

    #[test]
    fn a_list_of_a_hundred_thousand_elements_is_merged_at_once() {
        let names =
            |numbers: std::ops::Range<u32>| numbers.map(|number| number.to_string()).collect::<Vec<_>>();
        let list = |names: &[String]| multi_string(names.iter().map(String::as_str));
        let (old, new, own) = (names(0..100_000), names(50_000..150_000), names(90_000..200_000));
        let started = std::time::Instant::now();
        let merged = merge_lists(
            &Upcase::unicode(),
            ListKind::Strings,
            Some(&list(&old)),
            Some(&list(&new)),
            Some(&list(&own)),
        );
        assert_eq!(merged, MergedList::Unchanged);
        let merged = merge_lists(
            &Upcase::unicode(),
            ListKind::Strings,
            Some(&list(&own)),
            Some(&list(&new)),
            Some(&list(&old[..60_000])),
        );
        let MergedList::Data(data) = merged else { panic!("{merged:?}") };
        assert_eq!(data.texts().unwrap().len(), 90_000);
        // the square of the length would take an hour
        assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
    }

    /// What a merge is, word by word: the model that the merge is compared with.
    fn model(before: &[String], changed: &[String], target: &[String]) -> Vec<String> {
        let key = |element: &String| element.trim_end_matches('\\').to_uppercase();
        let keys = |elements: &[String]| elements.iter().map(key).collect::<Vec<String>>();
        let (before, changed_keys) = (keys(before), keys(changed));
        let mut result = target.to_vec();
        result.retain(|element| changed_keys.contains(&key(element)) || !before.contains(&key(element)));
        for (position, element) in changed.iter().enumerate() {
            let own = key(element);
            if before.contains(&own) || keys(&result).contains(&own) {
                continue;
            }
            let earlier = &changed_keys[..position];
            let place =
                earlier.iter().rev().find_map(|other| keys(&result).iter().position(|key| key == other));
            let at = match place {
                Some(place) => place + 1,
                None if earlier.iter().any(|other| before.contains(other)) => result.len(),
                None => 0,
            };
            result.insert(at, element.clone());
        }
        let mut seen = Vec::new();
        result.retain(|element| {
            let new = !seen.contains(&key(element));
            seen.push(key(element));
            new
        });
        result
    }

    fn elements() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec("[a-fA-B]\\\\{0,1}|\\\\", 0..9)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn a_merge_is_what_the_model_says(before in elements(), after in elements(), target in elements()) {
            let list = |elements: &[String]| multi_string(elements.iter().map(String::as_str));
            let (was, is, own) = (list(&before), list(&after), list(&target));
            let merged = merge_lists(&Upcase::unicode(), ListKind::Strings, Some(&was), Some(&is), Some(&own));
            let expected = model(&before, &after, &target);
            let expected = match expected == target {
                true => MergedList::Unchanged,
                false => MergedList::Data(list(&expected)),
            };
            prop_assert_eq!(merged, expected);
        }
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
        let merged = merge_lists(&upcase, ListKind::Semicolons, Some(&before), Some(&after), Some(&target));
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
            Some(&path("a")),
        );
        assert_eq!(merged, MergedList::NotAList);
    }
}
