//! One delta after another, as one.

use crate::delta::{KeyChange, KeyRole, ValueChange};
use crate::diff::{Names, same_properties};
use crate::list::{ListKind, merge_lists, origin_of_list};
use crate::tree::KeyId;
use crate::{Data, Delta, Lists, Name, Properties, Tree, Upcase};
use serde_bytes::ByteBuf;
use std::cmp::Ordering;
use std::collections::HashMap;

impl Delta {
    /// The delta that does what this one does and then `next`.
    ///
    /// `next` was found on a hive to which this one and others had been applied, those below it to `below`, if that is
    /// known: applied to `below`, the result makes of it what this one and `next` make of it one after the other, lists
    /// aside, of which it makes the same elements. What this one added and `next` took away is in neither, unless
    /// `below` has it, too; so is what comes to be what it was at first, unless `below` has something else. Of a list that
    /// others had changed too, only what `next` changed goes into this one's. Of a key that `next` took away nothing
    /// stays, not even what `next` could not see.
    pub fn then(&self, next: &Delta, below: Option<&Tree<'_>>, upcase: &Upcase, lists: &dyn Lists) -> Delta {
        let mut sequence = Sequence {
            sides: [Side::new(self, upcase), Side::new(next, upcase)],
            below,
            upcase,
            lists,
            result: Delta::default(),
            securities: HashMap::new(),
            marks: Vec::new(),
        };
        match (self.keys.is_empty(), next.keys.is_empty()) {
            (_, true) => self.clone(),
            (true, false) => next.clone(),
            (false, false) => {
                sequence.both(0, 0, 0);
                sequence.clear();
                sequence.keep();
                sequence.result.prune();
                sequence.result
            }
        }
    }
}

/// A delta with the positions of each key's subkeys, in the order of their names.
struct Side<'d> {
    delta: &'d Delta,
    subkeys: Vec<Vec<u32>>,
    /// Whether each key is made where it is not there.
    makes: Vec<bool>,
}

impl<'d> Side<'d> {
    fn new(delta: &'d Delta, upcase: &Upcase) -> Side<'d> {
        let mut subkeys = vec![Vec::new(); delta.keys.len()];
        for (position, key) in delta.keys.iter().enumerate().skip(1) {
            subkeys[key.parent as usize].push(position as u32);
        }
        let name = |position: &u32| &delta.keys[*position as usize].name;
        for list in &mut subkeys {
            list.sort_by(|left, right| upcase.compare(name(left), name(right)));
        }
        let mut makes: Vec<bool> = delta.keys.iter().map(makes).collect();
        for position in (1..makes.len()).rev().filter(|position| delta.keys[*position].parent > 0) {
            let parent = delta.keys[position].parent as usize;
            makes[parent] |= makes[position];
        }
        Side { delta, subkeys, makes }
    }

    fn key(&self, position: u32) -> &'d KeyChange {
        &self.delta.keys[position as usize]
    }

    fn state(&self, properties: &'d Properties<'static>, security: Option<u32>) -> State<'d> {
        State { properties, security: security.map(|at| &self.delta.securities[at as usize][..]) }
    }
}

/// Whether a key is made, for its own sake, where it is not there.
fn makes(key: &KeyChange) -> bool {
    matches!(key.role, KeyRole::Added | KeyRole::Changed { .. })
        || key.values.iter().any(|value| value.after.is_some())
}

/// What a key has at some time, beside values and subkeys.
#[derive(Clone, Copy)]
struct State<'d> {
    properties: &'d Properties<'d>,
    security: Option<&'d [u8]>,
}

/// What is known of a key of the result.
struct Mark {
    /// Where the hive below has it.
    place: Option<KeyId>,
    /// Whether the later delta takes it away, or one above it.
    goes: bool,
    /// Whether it is there after both, although the hive below lacks it.
    made: bool,
}

struct Sequence<'d> {
    sides: [Side<'d>; 2],
    below: Option<&'d Tree<'d>>,
    upcase: &'d Upcase,
    lists: &'d dyn Lists,
    result: Delta,
    securities: HashMap<&'d [u8], u32>,
    marks: Vec<Mark>,
}

impl<'d> Sequence<'d> {
    /// Joins a key that both say something of.
    fn both(&mut self, first: u32, next: u32, parent: u32) {
        let (earlier, later) = (self.sides[0].key(first), self.sides[1].key(next));
        let position = self.result.keys.len() as u32;
        let place = self.place(position, parent, &later.name);
        let (role, state) = self.role(earlier, later, place);
        let security = self.security_of(state.security);
        let goes = later.role == KeyRole::Removed || self.below_one_that_goes(position, parent);
        let lacking = self.below.is_some() && place.is_none();
        let made = lacking && !goes && later.role != KeyRole::Added && self.sides[0].makes[first as usize];
        self.marks.push(Mark { place, goes, made });
        self.result.keys.push(KeyChange {
            parent,
            name: later.name.clone(),
            role,
            properties: state.properties.clone().into_owned(),
            security,
            values: Vec::new(),
        });
        let path = self.result.path(position as usize);
        let values = self.values(&path, place, &earlier.values, &later.values);
        self.result.keys[position as usize].values = values;
        self.below(first, next, position);
    }

    /// Where the hive below has a key of the result.
    fn place(&self, position: u32, parent: u32, name: &Name<'_>) -> Option<KeyId> {
        let below = self.below?;
        if position == 0 {
            Some(below.root())
        } else {
            below.subkey(self.marks[parent as usize].place?, name)
        }
    }

    /// What the hive below has at a place.
    fn state_below(&self, place: Option<KeyId>) -> Option<State<'d>> {
        let (below, place) = (self.below?, place?);
        Some(State { properties: &below.key(place).properties, security: below.key_security(place) })
    }

    /// What becomes of a key, and what it has then. What `next` takes away is cleared later.
    fn role(
        &mut self,
        earlier: &'d KeyChange,
        later: &'d KeyChange,
        place: Option<KeyId>,
    ) -> (KeyRole, State<'d>) {
        let before = |side: &Side<'d>, key: &'d KeyChange| match &key.role {
            KeyRole::Changed { properties, security } => side.state(properties, *security),
            _ => side.state(&key.properties, key.security),
        };
        let own = self.sides[0].state(&earlier.properties, earlier.security);
        let new = self.sides[1].state(&later.properties, later.security);
        let (was, found) = (before(&self.sides[0], earlier), before(&self.sides[1], later));
        let lacking = self.below.is_some() && place.is_none();
        let (was, is) = match (&earlier.role, &later.role) {
            (KeyRole::Added, KeyRole::Context | KeyRole::Removed) => return (KeyRole::Added, own),
            (KeyRole::Added, _) | (KeyRole::Changed { .. }, KeyRole::Added) => return (KeyRole::Added, new),
            (KeyRole::Removed, KeyRole::Added) if lacking => return (KeyRole::Added, new),
            (KeyRole::Removed, KeyRole::Removed) => return (KeyRole::Removed, own),
            (KeyRole::Context, KeyRole::Changed { .. }) => (found, new),
            (KeyRole::Context, other) => return (other.clone(), new),
            (KeyRole::Changed { .. }, KeyRole::Context | KeyRole::Removed) => (was, own),
            (KeyRole::Removed | KeyRole::Changed { .. }, _) => {
                let own = Some(own).filter(|_| earlier.role != KeyRole::Removed);
                let found = Some(found).filter(|_| later.role != KeyRole::Added);
                let below = self.state_below(place);
                let properties = |state: State<'d>| state.properties;
                let alike = |a: &'d Properties<'d>, b: &'d Properties<'d>| same_properties(a, b);
                let of_properties = joined(
                    alike,
                    (was.properties, own.map(properties)),
                    (found.map(properties), new.properties),
                    below.map(properties),
                );
                let security = |state: State<'d>| state.security;
                let alike = |a: Option<&[u8]>, b: Option<&[u8]>| a == b;
                let of_security = joined(
                    alike,
                    (was.security, own.map(security)),
                    (found.map(security), new.security),
                    below.map(security),
                );
                (
                    State { properties: of_properties.0, security: of_security.0 },
                    State { properties: of_properties.1, security: of_security.1 },
                )
            }
        };
        if same_properties(was.properties, is.properties) && was.security == is.security {
            return (KeyRole::Context, is);
        }
        let security = self.security_of(was.security);
        (KeyRole::Changed { properties: was.properties.clone().into_owned(), security }, is)
    }

    fn below_one_that_goes(&self, position: u32, parent: u32) -> bool {
        position != 0 && self.marks[parent as usize].goes
    }

    /// Empties the keys that the later delta takes away. What the earlier one added is in neither, unless the hive below has
    /// it; what was there before both still has to go, also where the later one does not speak of it.
    fn clear(&mut self) {
        let mut has_subkeys = vec![false; self.result.keys.len()];
        for position in (1..has_subkeys.len()).rev() {
            if !self.marks[position].goes {
                continue;
            }
            let found = self.state_below(self.marks[position].place);
            let security = found.and_then(|found| self.security_of(found.security));
            let key = &mut self.result.keys[position];
            key.values.retain(|value| value.before.is_some());
            key.values.iter_mut().for_each(|value| value.after = None);
            let role = std::mem::replace(&mut key.role, KeyRole::Removed);
            match (role, found) {
                (KeyRole::Added, Some(found)) => {
                    (key.properties, key.security) = (found.properties.clone().into_owned(), security);
                }
                (KeyRole::Added, None) if key.values.is_empty() && !has_subkeys[position] => {
                    key.role = KeyRole::Context;
                    continue;
                }
                (KeyRole::Changed { properties, security }, _) => {
                    (key.properties, key.security) = (properties, security);
                }
                _ => {}
            }
            has_subkeys[key.parent as usize] = true;
        }
    }

    /// Makes the keys that are there after both, although the hive below lacks them and nothing in them asks for them.
    fn keep(&mut self) {
        let mut needed = vec![false; self.result.keys.len()];
        for position in (1..needed.len()).rev() {
            let key = &mut self.result.keys[position];
            if self.marks[position].made && !needed[position] && !makes(key) {
                key.role = KeyRole::Added;
            }
            needed[key.parent as usize] |= needed[position] || makes(key);
        }
    }

    fn below(&mut self, first: u32, next: u32, parent: u32) {
        let lists =
            [self.sides[0].subkeys[first as usize].clone(), self.sides[1].subkeys[next as usize].clone()];
        let (mut left, mut right) = (lists[0].iter().peekable(), lists[1].iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => {
                    self.upcase.compare(&self.sides[0].key(**a).name, &self.sides[1].key(**b).name)
                }
            };
            match order {
                Ordering::Less => self.one(0, *left.next().expect("it was seen"), parent),
                Ordering::Greater => self.one(1, *right.next().expect("it was seen"), parent),
                Ordering::Equal => {
                    let (a, b) = (*left.next().expect("it was seen"), *right.next().expect("it was seen"));
                    self.both(a, b, parent);
                }
            }
        }
    }

    /// Takes over a key that only one side speaks of, with everything below it.
    fn one(&mut self, side: usize, at: u32, parent: u32) {
        let key = self.sides[side].key(at);
        let descriptor = self.sides[side].state(&key.properties, key.security).security;
        let security = self.security_of(descriptor);
        let role = match &key.role {
            KeyRole::Changed { properties, security } => {
                let descriptor = self.sides[side].state(properties, *security).security;
                KeyRole::Changed { properties: properties.clone(), security: self.security_of(descriptor) }
            }
            other => other.clone(),
        };
        let position = self.result.keys.len() as u32;
        let place = self.place(position, parent, &key.name);
        let goes = self.below_one_that_goes(position, parent);
        self.marks.push(Mark { place, goes, made: false });
        self.result.keys.push(KeyChange { parent, role, security, ..key.clone() });
        for subkey in self.sides[side].subkeys[at as usize].clone() {
            self.one(side, subkey, position);
        }
    }

    fn values(
        &self,
        path: &str,
        place: Option<KeyId>,
        earlier: &[ValueChange],
        later: &[ValueChange],
    ) -> Vec<ValueChange> {
        let there = self.below.zip(place).map_or(&[][..], |(below, place)| below.key(place).values());
        let names = Names::new(self.upcase, there);
        let mut joined: HashMap<Vec<u16>, ValueChange> = HashMap::new();
        for change in earlier {
            joined.insert(self.upcase.folded(&change.name), change.clone());
        }
        for change in later {
            let name = self.upcase.folded(&change.name);
            let both = match joined.remove(&name) {
                None => Some(change.clone()),
                Some(first) => {
                    let now = names.find(&change.name).map(|at| &there[at].data);
                    self.value(path, &first, change, self.below.map(|_| now))
                }
            };
            joined.extend(both.map(|change| (name, change)));
        }
        let mut values: Vec<ValueChange> = joined.into_values().collect();
        values.sort_by(|left, right| self.upcase.compare(&left.name, &right.name));
        values
    }

    /// Both changes of a value as one, `None` when they come to nothing; `now` is what the hive below has, if it is known.
    fn value(
        &self,
        path: &str,
        first: &ValueChange,
        next: &ValueChange,
        now: Option<Option<&Data<'_>>>,
    ) -> Option<ValueChange> {
        let list = self.lists.kind(path, &next.name).and_then(|kind| self.list(kind, first, next, now));
        let (before, after) = list.unwrap_or_else(|| {
            let after = next.after.clone();
            let before = match now {
                Some(now) if first.before == after => now.map(|data| data.clone().into_owned()),
                _ => first.before.clone(),
            };
            (before, after)
        });
        (before != after).then(|| ValueChange { before, after, ..next.clone() })
    }

    /// Both changes of a list as one: from what, and to what.
    fn list(
        &self,
        kind: ListKind,
        first: &ValueChange,
        next: &ValueChange,
        now: Option<Option<&Data<'_>>>,
    ) -> Option<(Option<Data<'static>>, Option<Data<'static>>)> {
        let merged = |change: &ValueChange, target: Option<&Data<'_>>| {
            merge_lists(self.upcase, kind, change.before.as_ref(), change.after.as_ref(), target).over(target)
        };
        let after =
            if first.after == next.before { next.after.clone() } else { merged(next, first.after.as_ref())? };
        let before = match now {
            None => first.before.clone(),
            Some(now) => {
                let wanted = merged(next, merged(first, now)?.as_ref())?;
                let change = [first.before.as_ref(), after.as_ref()];
                origin_of_list(self.upcase, kind, change, [now, wanted.as_ref()])?
            }
        };
        Some((before, after))
    }

    /// The position in the result of a descriptor.
    fn security_of(&mut self, descriptor: Option<&'d [u8]>) -> Option<u32> {
        let result = &mut self.result;
        Some(*self.securities.entry(descriptor?).or_insert_with_key(|descriptor| {
            result.securities.push(ByteBuf::from(*descriptor));
            result.securities.len() as u32 - 1
        }))
    }
}

/// A part of a key over two changes: from what, and to what. Of the first, what it was and what it was then, if it was there;
/// of the next, what it was, if it was there, and what it is. What comes to be what it was at first is still a change
/// where the hive below has something else.
fn joined<T: Copy>(
    same: impl Fn(T, T) -> bool,
    (was, had): (T, Option<T>),
    (found, is): (Option<T>, T),
    below: Option<T>,
) -> (T, T) {
    match (had, found) {
        (Some(had), Some(found)) if same(found, is) => (was, had),
        (None, Some(found)) if same(found, is) => (is, is),
        (Some(had), Some(found)) if same(was, had) => (found, is),
        _ => (below.filter(|_| same(was, is)).unwrap_or(was), is),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoLists;
    use crate::record::value_kind;
    use crate::text::string;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A hive of values: `Vendor\Old : License = x`; a line without a value is a key.
    fn hive<'u>(upcase: &'u Upcase, lines: &[&str]) -> Tree<'u> {
        let mut tree = Tree::new(upcase, 5, "ROOT".into(), vec![1; 20]);
        for line in lines {
            let (path, value) = line.split_once(" : ").unwrap_or((line, ""));
            let mut key = tree.root();
            for name in path.split('\\') {
                let properties = Properties {
                    last_written: 0,
                    flags: 0,
                    user_flags: 0,
                    access: 0,
                    class: Vec::new().into(),
                };
                let security = tree.security_id(vec![1; 20]);
                key = tree.make_subkey(key, name.to_owned().as_str().into(), properties, Some(security)).0;
            }
            if let Some((name, text)) = value.split_once(" = ") {
                tree.set_value(key, name.into(), string(value_kind::SZ, text));
            }
        }
        tree
    }

    fn lines(tree: &Tree<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, _) in tree.walk().skip(1) {
            let path = tree.path(key);
            let values = tree.key(key).values().iter();
            let said: Vec<String> = values
                .map(|value| format!("{path} : {} = {}", value.name, value.data.text().unwrap()))
                .collect();
            if said.is_empty() && tree.key(key).subkeys().is_empty() {
                lines.push(path);
            } else {
                lines.extend(said);
            }
        }
        lines
    }

    /// What `[from, to]` and then another `[from, to]` make of `target`.
    fn applied(first: [&[&str]; 2], next: [&[&str]; 2], target: &[&str]) -> Vec<String> {
        let upcase = Upcase::unicode();
        let delta = |[from, to]: [&[&str]; 2]| Delta::between(&hive(&upcase, from), &hive(&upcase, to));
        let both = delta(first).then(&delta(next), None, &upcase, &NoLists);
        assert_eq!(both.verify(), Ok(()));
        let mut target = hive(&upcase, target);
        target.apply(&both, &NoLists);
        lines(&target)
    }

    #[test]
    fn a_key_that_goes_takes_with_it_a_value_that_the_later_delta_does_not_know_of() {
        let old = ["Vendor\\Old : Setting = 1"];
        let with_license = ["Vendor\\Old : Setting = 1", "Vendor\\Old : License = x"];
        let gone = ["Vendor"];
        assert_eq!(applied([&old, &with_license], [&old, &gone], &old), gone);
        // where another layer added that value, it stays
        let kept = ["Vendor\\Old : License = y"];
        let target = ["Vendor\\Old : Setting = 1", "Vendor\\Old : License = y"];
        assert_eq!(applied([&old, &with_license], [&old, &gone], &target), kept);
    }

    #[test]
    fn a_key_that_was_changed_goes_with_its_parent_even_if_a_newer_os_lacks_it() {
        let old = ["Vendor\\Old\\Below : Setting = 1"];
        let changed = ["Vendor\\Old\\Below : Setting = 2", "Vendor\\Old\\Below : More = 3"];
        let (newer, gone) = (["Vendor\\Old"], ["Vendor"]);
        assert_eq!(applied([&old, &changed], [&newer, &gone], &old), gone);
        assert_eq!(applied([&old, &changed], [&newer, &gone], &newer), gone);
    }

    #[test]
    fn keys_that_the_earlier_delta_added_below_one_that_goes_are_in_neither() {
        let (old, gone) = (["Vendor\\Old : Setting = 1"], ["Vendor"]);
        let added = ["Vendor\\Old : Setting = 1", "Vendor\\Old\\New\\Below : x = 1"];
        assert_eq!(applied([&old, &added], [&old, &gone], &old), gone);
        // another layer's key of that name stays, as if this one had never spoken of it
        let target = ["Vendor\\Old\\New\\Below"];
        assert_eq!(applied([&old, &added], [&old, &gone], &target), target);
    }

    #[test]
    fn of_a_key_that_was_added_and_goes_only_what_others_had_in_it_is_said() {
        let (old, added) = (["Vendor"], ["Vendor\\New : own = 1"]);
        let composite = ["Vendor\\New : other = 2"];
        assert_eq!(applied([&old, &added], [&composite, &old], &old), old);
        assert_eq!(applied([&old, &added], [&composite, &old], &composite), old);
    }

    /// The one value is a list.
    struct AllLists;

    impl Lists for AllLists {
        fn kind(&self, _path: &str, _value: &Name<'_>) -> Option<ListKind> {
            Some(ListKind::Semicolons)
        }
    }

    /// A hive with this list; a list without elements is none.
    fn with_list<'u>(upcase: &'u Upcase, elements: &str) -> Tree<'u> {
        let list: Vec<String> = elements.chars().map(String::from).collect();
        match list.is_empty() {
            true => hive(upcase, &["Vendor"]),
            false => hive(upcase, &[&format!("Vendor : List = {}", list.join(";"))]),
        }
    }

    fn elements(tree: &Tree<'_>) -> BTreeSet<String> {
        let key = tree.descendant(tree.root(), "Vendor").unwrap();
        let text = tree.value(key, &"List".into()).and_then(|data| data.text()).unwrap_or_default();
        text.split(';').filter(|element| !element.is_empty()).map(str::to_owned).collect()
    }

    proptest! {
        #[test]
        fn of_a_list_that_a_newer_version_changes_on_another_os_version_there_is_what_its_author_saw(
            lists in proptest::array::uniform4("[a-d]{0,4}")
        ) {
            let upcase = Upcase::unicode();
            let [os, base, newer_os, seen] = lists.each_ref().map(|list| with_list(&upcase, list));
            let base = Delta::between(&os, &base);
            let mut composite = newer_os.clone();
            composite.apply(&base, &AllLists);
            let change = Delta::between(&composite, &seen);
            let both = base.then(&change, Some(&newer_os), &upcase, &AllLists);
            let mut image = newer_os.clone();
            image.apply(&both, &AllLists);
            prop_assert_eq!(elements(&image), elements(&seen), "{:?} {:#?}", lists, both);
        }
    }

    #[test]
    fn what_others_put_into_a_list_is_in_no_version_even_where_the_os_has_changed() {
        let upcase = Upcase::unicode();
        // the layer adds n; a packaging platform t; the newer OS has n itself, and the author takes it away
        let base = Delta::between(&with_list(&upcase, "w"), &with_list(&upcase, "wn"));
        let change = Delta::between(&with_list(&upcase, "wnt"), &with_list(&upcase, "wt"));
        let newer_os = with_list(&upcase, "wn");
        let both = base.then(&change, Some(&newer_os), &upcase, &AllLists);
        for (target, expected) in [("wn", "w"), ("w", "w"), ("wnx", "wx")] {
            let mut image = with_list(&upcase, target);
            image.apply(&both, &AllLists);
            assert_eq!(elements(&image), elements(&with_list(&upcase, expected)), "{target}");
        }
    }

    #[test]
    fn a_key_that_was_changed_and_goes_is_said_to_have_had_what_it_had_at_first() {
        let upcase = Upcase::unicode();
        let old = hive(&upcase, &["Vendor"]);
        let mut changed = old.clone();
        let vendor = changed.descendant(changed.root(), "Vendor").unwrap();
        let closed = changed.security_id(vec![2; 20]);
        changed.set_security(vendor, Some(closed));
        let first = Delta::between(&old, &changed);
        let next = Delta::between(&changed, &hive(&upcase, &[]));
        let both = first.then(&next, None, &upcase, &NoLists);
        assert_eq!(both, Delta::between(&old, &hive(&upcase, &[])));
    }
}
