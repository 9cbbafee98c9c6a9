//! One delta after another, as one.

use crate::delta::{KeyChange, KeyRole, ValueChange};
use crate::diff::same_properties;
use crate::list::{MergedList, merge_lists};
use crate::{Data, Delta, Lists, Properties, Upcase};
use serde_bytes::ByteBuf;
use std::cmp::Ordering;
use std::collections::HashMap;

impl Delta {
    /// The delta that does what this one does and then `next`.
    ///
    /// `next` was found on a hive to which this one and others had been applied. What this one added and `next` took
    /// away is in neither; so is what comes to be what it was at first. Of a list that others had changed too, only what
    /// `next` changed goes into this one's. Of a key that `next` took away nothing stays, not even what `next` could not
    /// see.
    pub fn then(&self, next: &Delta, upcase: &Upcase, lists: &dyn Lists) -> Delta {
        let mut sequence = Sequence {
            sides: [Side::new(self, upcase), Side::new(next, upcase)],
            upcase,
            lists,
            result: Delta::default(),
            securities: HashMap::new(),
            goes: Vec::new(),
        };
        match (self.keys.is_empty(), next.keys.is_empty()) {
            (_, true) => self.clone(),
            (true, false) => next.clone(),
            (false, false) => {
                sequence.both(0, 0, 0);
                sequence.clear();
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
        Side { delta, subkeys }
    }

    fn key(&self, position: u32) -> &'d KeyChange {
        &self.delta.keys[position as usize]
    }
}

struct Sequence<'d> {
    sides: [Side<'d>; 2],
    upcase: &'d Upcase,
    lists: &'d dyn Lists,
    result: Delta,
    securities: HashMap<&'d [u8], u32>,
    /// Of each key of the result, whether the later delta takes it away, or one above it.
    goes: Vec<bool>,
}

impl<'d> Sequence<'d> {
    /// Joins a key that both say something of.
    fn both(&mut self, first: u32, next: u32, parent: u32) {
        let (earlier, later) = (self.sides[0].key(first), self.sides[1].key(next));
        let position = self.result.keys.len() as u32;
        let (role, current) = self.role(earlier, later);
        let security =
            self.security_of(if current == 0 { (0, earlier.security) } else { (1, later.security) });
        let source = if current == 0 { earlier } else { later };
        self.goes.push(later.role == KeyRole::Removed || self.below_one_that_goes(position, parent));
        self.result.keys.push(KeyChange {
            parent,
            name: later.name.clone(),
            role,
            properties: source.properties.clone(),
            security,
            values: Vec::new(),
        });
        let path = self.result.path(position as usize);
        let values = self.values(&path, &earlier.values, &later.values);
        self.result.keys[position as usize].values = values;
        self.below(first, next, position);
        self.settle(position);
    }

    /// What becomes of a key, and which side's properties are the current ones. What `next` takes away is cleared later.
    fn role(&mut self, earlier: &'d KeyChange, later: &'d KeyChange) -> (KeyRole, usize) {
        let before = |sequence: &mut Self, side: usize, properties: &Properties<'static>, security| {
            let security = sequence.security_of((side, security));
            KeyRole::Changed { properties: properties.clone(), security }
        };
        match (&earlier.role, &later.role) {
            (KeyRole::Added, KeyRole::Context | KeyRole::Removed) => (KeyRole::Added, 0),
            (KeyRole::Added, _) => (KeyRole::Added, 1),
            (KeyRole::Removed, KeyRole::Removed) => (KeyRole::Removed, 0),
            (KeyRole::Removed, _) => (before(self, 0, &earlier.properties, earlier.security), 1),
            (KeyRole::Context, role) => {
                let role = match role {
                    KeyRole::Changed { properties, security } => before(self, 1, properties, *security),
                    other => other.clone(),
                };
                (role, 1)
            }
            (KeyRole::Changed { .. }, KeyRole::Added) => (KeyRole::Added, 1),
            (KeyRole::Changed { properties, security }, role) => {
                let current = usize::from(matches!(role, KeyRole::Changed { .. }));
                (before(self, 0, properties, *security), current)
            }
        }
    }

    /// Corrects the role of a key that is what it was at first.
    fn settle(&mut self, position: u32) {
        let key = &self.result.keys[position as usize];
        if let KeyRole::Changed { properties, security } = &key.role
            && same_properties(properties, &key.properties)
            && self.descriptor(*security) == self.descriptor(key.security)
        {
            self.result.keys[position as usize].role = KeyRole::Context;
        }
    }

    fn below_one_that_goes(&self, position: u32, parent: u32) -> bool {
        position != 0 && self.goes[parent as usize]
    }

    /// Empties the keys that the later delta takes away. What the earlier one added is in neither; what was there before
    /// both still has to go, also where the later one does not speak of it.
    fn clear(&mut self) {
        let keys = &mut self.result.keys;
        let mut has_subkeys = vec![false; keys.len()];
        for position in (1..keys.len()).rev().filter(|position| self.goes[*position]) {
            let key = &mut keys[position];
            key.values.retain(|value| value.before.is_some());
            key.values.iter_mut().for_each(|value| value.after = None);
            if key.role == KeyRole::Added && key.values.is_empty() && !has_subkeys[position] {
                key.role = KeyRole::Context;
                continue;
            }
            let role = std::mem::replace(&mut key.role, KeyRole::Removed);
            if let KeyRole::Changed { properties, security } = role {
                (key.properties, key.security) = (properties, security);
            }
            has_subkeys[key.parent as usize] = true;
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
        let security = self.security_of((side, key.security));
        let role = match &key.role {
            KeyRole::Changed { properties, security } => {
                let security = self.security_of((side, *security));
                KeyRole::Changed { properties: properties.clone(), security }
            }
            other => other.clone(),
        };
        let position = self.result.keys.len() as u32;
        self.goes.push(self.below_one_that_goes(position, parent));
        self.result.keys.push(KeyChange { parent, role, security, ..key.clone() });
        for subkey in self.sides[side].subkeys[at as usize].clone() {
            self.one(side, subkey, position);
        }
    }

    fn values(&self, path: &str, earlier: &[ValueChange], later: &[ValueChange]) -> Vec<ValueChange> {
        let mut joined: HashMap<Vec<u16>, ValueChange> = HashMap::new();
        for change in earlier {
            joined.insert(self.upcase.folded(&change.name), change.clone());
        }
        for change in later {
            let name = self.upcase.folded(&change.name);
            match joined.remove(&name) {
                None => {
                    joined.insert(name, change.clone());
                }
                Some(first) => {
                    let after = self.after(path, &first, change);
                    if first.before != after {
                        joined.insert(name, ValueChange { before: first.before, after, ..change.clone() });
                    }
                }
            }
        }
        let mut values: Vec<ValueChange> = joined.into_values().collect();
        values.sort_by(|left, right| self.upcase.compare(&left.name, &right.name));
        values
    }

    /// What a value is after both changes.
    fn after(&self, path: &str, first: &ValueChange, next: &ValueChange) -> Option<Data<'static>> {
        if first.after == next.before {
            return next.after.clone();
        }
        let list = self.lists.kind(path, &next.name);
        if let (Some(kind), Some(own)) = (list, &first.after) {
            match merge_lists(self.upcase, kind, next.before.as_ref(), next.after.as_ref(), own) {
                MergedList::Data(data) => return Some(data),
                MergedList::Unchanged => return Some(own.clone()),
                MergedList::Removed => return None,
                MergedList::NotAList => {}
            }
        }
        next.after.clone()
    }

    /// The position in the result of a descriptor of one side.
    fn security_of(&mut self, (side, at): (usize, Option<u32>)) -> Option<u32> {
        let descriptor: &'d [u8] = &self.sides[side].delta.securities[at? as usize];
        let result = &mut self.result;
        Some(*self.securities.entry(descriptor).or_insert_with(|| {
            result.securities.push(ByteBuf::from(descriptor));
            result.securities.len() as u32 - 1
        }))
    }

    fn descriptor(&self, at: Option<u32>) -> Option<&ByteBuf> {
        at.map(|at| &self.result.securities[at as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::value_kind;
    use crate::text::string;
    use crate::{NoLists, Tree};

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
        let both = delta(first).then(&delta(next), &upcase, &NoLists);
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

    #[test]
    fn a_key_that_was_changed_and_goes_is_said_to_have_had_what_it_had_at_first() {
        let upcase = Upcase::unicode();
        let old = hive(&upcase, &["Vendor"]);
        let mut changed = old.clone();
        let vendor = changed.descendant(changed.root(), "Vendor").unwrap();
        let closed = changed.security_id(vec![2; 20]);
        changed.set_security(vendor, Some(closed));
        let first = Delta::between(&old, &changed);
        let both = first.then(&Delta::between(&changed, &hive(&upcase, &[])), &upcase, &NoLists);
        assert_eq!(both, Delta::between(&old, &hive(&upcase, &[])));
    }
}
