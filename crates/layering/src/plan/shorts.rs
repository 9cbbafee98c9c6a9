//! Short (8.3) names: unique within a directory among all long and short names.
//!
//! On a collision the higher layer keeps its short name and the other entry gets the next free one. A long name cannot
//! give way, so a short name that equals an existing long name gives way even if it comes from a higher layer.

use super::view::{DirectoryIndex, Slot, Target, View};
use volume::Name;

/// Puts a name into a directory, where none with its folded form is left, and gives back a sentence for every short
/// name that had to be changed.
pub(super) fn insert(
    view: &mut View<'_>,
    place: DirectoryIndex,
    folded: Name,
    name: &Name,
    short: Option<&Name>,
    target: Target,
) -> Vec<String> {
    let mut remarks = Vec::new();
    // An entry that has the new long name as its short name gives way.
    if let Some(other) = view.directories[place].shorts.get(&folded).cloned() {
        remarks.extend(rename_short(view, place, &other, Some(&folded)));
    }
    let mut short = short.cloned();
    if let Some(wanted) = &short {
        let key = view.tree.fold(wanted);
        if key != folded && view.directories[place].entries.contains_key(&key) {
            let free = next_free(view, place, name, Some(&folded));
            remarks.push(describe(view, place, name, wanted, free.as_ref()));
            short = free;
        } else if let Some(other) = view.directories[place].shorts.get(&key).cloned() {
            view.directories[place].shorts.remove(&key);
            remarks.extend(rename_short(view, place, &other, Some(&key)));
        }
    }
    if let Some(short) = &short {
        let key = view.tree.fold(short);
        view.directories[place].shorts.insert(key, folded.clone());
    }
    view.directories[place].entries.insert(folded, Slot { name: name.clone(), short, target });
    remarks
}

/// Gives the entry `folded` the next free short name; `taken` is about to be used and counts as not free.
fn rename_short(
    view: &mut View<'_>,
    place: DirectoryIndex,
    folded: &Name,
    taken: Option<&Name>,
) -> Option<String> {
    let slot = view.directories[place].entries.get(folded)?;
    let (name, old) = (slot.name.clone(), slot.short.clone()?);
    let old_key = view.tree.fold(&old);
    view.directories[place].shorts.remove(&old_key);
    let free = next_free(view, place, &name, taken);
    if let Some(free) = &free {
        let key = view.tree.fold(free);
        view.directories[place].shorts.insert(key, folded.clone());
    }
    let sentence = describe(view, place, &name, &old, free.as_ref());
    if let Some(slot) = view.directories[place].entries.get_mut(folded) {
        slot.short = free;
    }
    Some(sentence)
}

fn describe(view: &View<'_>, place: DirectoryIndex, name: &Name, old: &Name, new: Option<&Name>) -> String {
    let path = view.entry_path(place, name);
    match new {
        Some(new) => format!("{path}: {old} became {new}"),
        None => format!("{path}: {old} was taken away, no other is free"),
    }
}

/// The next free short name for a long one, in Windows' manner: up to six characters, `~`, a number, and up to three
/// characters of the extension. The stem shrinks as the number grows.
fn next_free(view: &View<'_>, place: DirectoryIndex, long: &Name, taken: Option<&Name>) -> Option<Name> {
    let directory = &view.directories[place];
    let (stem, extension) = basis(&view.tree.fold(long).to_string());
    (1..1_000_000u32).find_map(|number| {
        let number = number.to_string();
        let keep = stem.len().min(7 - number.len()).min(6);
        let mut short = format!("{}~{number}", &stem[..keep]);
        if !extension.is_empty() {
            short.push('.');
            short.push_str(&extension);
        }
        let short = Name::from(short.as_str());
        let free = !directory.entries.contains_key(&short)
            && !directory.shorts.contains_key(&short)
            && taken != Some(&short);
        free.then_some(short)
    })
}

/// The ASCII characters of an upper-case long name that a short name may have: stem and extension.
fn basis(upper: &str) -> (String, String) {
    let legal = |c: char| c.is_ascii_alphanumeric() || "!#$%&'()-@^_`{}~".contains(c);
    let trimmed = upper.trim_start_matches('.');
    let (stem, extension) = trimmed.rsplit_once('.').unwrap_or((trimmed, ""));
    let clean = |text: &str, most: usize| -> String {
        text.chars()
            .filter(|c| *c != ' ' && *c != '.')
            .map(|c| if legal(c) { c } else { '_' })
            .take(most)
            .collect()
    };
    let stem = clean(stem, 6);
    (if stem.is_empty() { "_".to_owned() } else { stem }, clean(extension, 3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::view::ROOT;
    use volume::{FileId, Tree};

    fn tree() -> Tree {
        let upcase: Box<[u16]> =
            (0..=0xffffu16).map(|u| if (0x61..=0x7a).contains(&u) { u - 0x20 } else { u }).collect();
        Tree::new(FileId(5), [], Some(upcase))
    }

    fn put(view: &mut View<'_>, name: &str, short: Option<&str>) -> Vec<String> {
        let name = Name::from(name);
        let folded = view.tree.fold(&name);
        let short = short.map(Name::from);
        insert(view, ROOT, folded, &name, short.as_ref(), Target::OldFile(FileId(30)))
    }

    fn short(view: &View<'_>, name: &str) -> Option<String> {
        view.directories[ROOT].entries[&view.tree.fold(&Name::from(name))].short.as_ref().map(Name::to_string)
    }

    #[test]
    fn the_later_entry_keeps_its_short_name_and_the_other_gets_the_next_free_one() {
        let tree = tree();
        let mut view = View::new(&tree);
        assert!(put(&mut view, "Program Alpha.txt", Some("PROGRA~1.TXT")).is_empty());
        assert_eq!(put(&mut view, "Program Beta.txt", Some("PROGRA~1.TXT")).len(), 1);
        assert_eq!(short(&view, "program beta.TXT").as_deref(), Some("PROGRA~1.TXT"));
        assert_eq!(short(&view, "Program Alpha.txt").as_deref(), Some("PROGRA~2.TXT"));
    }

    #[test]
    fn a_short_name_gives_way_to_a_long_name() {
        let tree = tree();
        let mut view = View::new(&tree);
        put(&mut view, "progra~1", None);
        assert_eq!(put(&mut view, "Program Files", Some("PROGRA~1")).len(), 1);
        assert_eq!(short(&view, "Program Files").as_deref(), Some("PROGRA~2"));
        assert_eq!(put(&mut view, "progra~2", None).len(), 1);
        assert_eq!(short(&view, "Program Files").as_deref(), Some("PROGRA~3"));
    }

    #[test]
    fn stems_shrink_as_numbers_grow_and_odd_characters_are_replaced() {
        let tree = tree();
        let mut view = View::new(&tree);
        for number in 1..=12 {
            put(&mut view, &format!("LONGNA~{number}"), None);
        }
        put(&mut view, "LONGN~10", None);
        put(&mut view, "long name+.x", Some("LONGNA~3"));
        assert_eq!(short(&view, "long name+.x").as_deref(), Some("LONGNA~1.X"));
        assert_eq!(basis("..[A] B.TAR.GZIP"), ("_A_BTA".to_owned(), "GZI".to_owned()));
    }
}
