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
    /// `next` changed goes into this one's.
    pub fn then(&self, next: &Delta, upcase: &Upcase, lists: &dyn Lists) -> Delta {
        let mut sequence = Sequence {
            sides: [Side::new(self, upcase), Side::new(next, upcase)],
            upcase,
            lists,
            result: Delta::default(),
            securities: HashMap::new(),
        };
        match (self.keys.is_empty(), next.keys.is_empty()) {
            (_, true) => self.clone(),
            (true, false) => next.clone(),
            (false, false) => {
                sequence.both(0, 0, 0);
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
        self.settle(position, earlier, later);
    }

    /// What becomes of a key, and which side's properties are the current ones. `Removed` is settled later.
    fn role(&mut self, earlier: &'d KeyChange, later: &'d KeyChange) -> (KeyRole, usize) {
        let before = |sequence: &mut Self, side: usize, properties: &Properties<'static>, security| {
            let security = sequence.security_of((side, security));
            KeyRole::Changed { properties: properties.clone(), security }
        };
        match (&earlier.role, &later.role) {
            (KeyRole::Added, KeyRole::Removed) => (KeyRole::Context, 0),
            (KeyRole::Added, KeyRole::Context) => (KeyRole::Added, 0),
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
            (KeyRole::Changed { properties, security }, KeyRole::Context | KeyRole::Changed { .. }) => {
                let current = usize::from(later.role != KeyRole::Context);
                (before(self, 0, properties, *security), current)
            }
            (KeyRole::Changed { .. }, KeyRole::Removed) => (KeyRole::Removed, 0),
            (KeyRole::Changed { .. }, KeyRole::Added) => (KeyRole::Added, 1),
        }
    }

    /// Corrects the role of a key when everything below it is known.
    fn settle(&mut self, position: u32, earlier: &KeyChange, later: &KeyChange) {
        let below = &self.result.keys[position as usize + 1..];
        let removes = |key: &KeyChange| key.values.iter().any(|value| value.after.is_none());
        let anything_goes = || {
            below.iter().any(|key| key.role == KeyRole::Removed || removes(key))
                || removes(&self.result.keys[position as usize])
        };
        let key = &self.result.keys[position as usize];
        let settled = match &key.role {
            // what this layer added is gone; what else was there, and was removed with it, still has to go
            KeyRole::Context
                if earlier.role == KeyRole::Added && later.role == KeyRole::Removed && anything_goes() =>
            {
                Some(KeyRole::Removed)
            }
            KeyRole::Changed { properties, security }
                if same_properties(properties, &key.properties)
                    && self.descriptor(*security) == self.descriptor(key.security) =>
            {
                Some(KeyRole::Context)
            }
            _ => None,
        };
        if let Some(role) = settled {
            self.result.keys[position as usize].role = role;
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
