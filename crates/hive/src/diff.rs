//! Comparing two hives by what they mean: names, values, classes, security; not by where things lie or when they were
//! written.

use crate::delta::{KeyChange, KeyRole, ValueChange};
use crate::record::key_flags;
use crate::tree::{KeyId, KeyNode};
use crate::{Delta, Properties, Tree, Upcase, Value};
use serde_bytes::ByteBuf;
use std::cmp::Ordering;
use std::collections::HashMap;

/// The part of the user flags that programs set; the rest is history and debugging.
const SET_BY_PROGRAMS: u16 = 0x00ff;
/// From this many values on, those of the other side are found through a map.
const MANY: usize = 16;

impl Delta {
    /// What has to be done to `base` to get `changed`. Both compare names alike.
    pub fn between(base: &Tree<'_>, changed: &Tree<'_>) -> Delta {
        let mut comparison =
            Comparison { base, changed, delta: Delta::default(), securities: HashMap::new() };
        comparison.both(base.root(), changed.root(), 0);
        let mut delta = comparison.delta;
        if delta.keys.is_empty() {
            delta.keys.push(comparison_root(changed));
        }
        delta.prune();
        delta
    }
}

fn comparison_root(tree: &Tree<'_>) -> KeyChange {
    let root = tree.key(tree.root());
    KeyChange {
        parent: 0,
        name: root.name.clone().into_owned(),
        role: KeyRole::Context,
        properties: root.properties.clone().into_owned(),
        security: None,
        values: Vec::new(),
    }
}

/// Whether two keys have the same class, settings and flags, times and history aside.
pub(crate) fn same_properties(left: &Properties<'_>, right: &Properties<'_>) -> bool {
    let flags = |properties: &Properties<'_>| properties.flags & !key_flags::VOLATILE;
    flags(left) == flags(right)
        && left.user_flags & SET_BY_PROGRAMS == right.user_flags & SET_BY_PROGRAMS
        && left.class == right.class
}

struct Comparison<'c, 'h> {
    base: &'c Tree<'h>,
    changed: &'c Tree<'h>,
    delta: Delta,
    securities: HashMap<&'c [u8], u32>,
}

impl<'c> Comparison<'c, '_> {
    /// Compares a key that both have. A tree is at most 512 levels deep, and so is this recursion.
    fn both(&mut self, base: KeyId, changed: KeyId, parent: u32) {
        let (old, new) = (self.base.key(base), self.changed.key(changed));
        let (old_security, new_security) = (self.base.key_security(base), self.changed.key_security(changed));
        let role = if same_properties(&old.properties, &new.properties) && old_security == new_security {
            KeyRole::Context
        } else {
            let security = old_security.map(|descriptor| self.security(descriptor));
            KeyRole::Changed { properties: old.properties.clone().into_owned(), security }
        };
        let values = value_changes(self.base.upcase(), old.values(), new.values());
        let position = self.push(parent, new, new_security, role, values);
        self.below(&old.subkeys, &new.subkeys, position);
        let last = self.delta.keys.len() as u32 - 1 == position;
        let key = &self.delta.keys[position as usize];
        if last && position != 0 && key.role == KeyRole::Context && key.values.is_empty() {
            self.delta.keys.pop();
        }
    }

    fn below(&mut self, old: &[KeyId], new: &[KeyId], parent: u32) {
        let (base, changed) = (self.base, self.changed);
        let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => {
                    base.upcase().compare(&base.key(**left).name, &changed.key(**right).name)
                }
            };
            match order {
                Ordering::Less => {
                    let gone = *old.next().expect("it was seen");
                    self.one(base, gone, parent, &KeyRole::Removed);
                }
                Ordering::Greater => {
                    let added = *new.next().expect("it was seen");
                    self.one(changed, added, parent, &KeyRole::Added);
                }
                Ordering::Equal => {
                    let (left, right) =
                        (*old.next().expect("it was seen"), *new.next().expect("it was seen"));
                    self.both(left, right, parent);
                }
            }
        }
    }

    /// Takes in a key that only one side has, with everything below it.
    fn one(&mut self, tree: &'c Tree<'_>, id: KeyId, parent: u32, role: &KeyRole) {
        let key = tree.key(id);
        let change = |value: &Value<'_>| {
            let data = Some(value.data.clone().into_owned());
            let (before, after) = if *role == KeyRole::Added { (None, data) } else { (data, None) };
            ValueChange { name: value.name.clone().into_owned(), before, after }
        };
        let mut values: Vec<ValueChange> = key.values().iter().map(change).collect();
        values.sort_by(|left, right| tree.upcase().compare(&left.name, &right.name));
        values.dedup_by(|later, earlier| tree.upcase().same(&later.name, &earlier.name));
        let position = self.push(parent, key, tree.key_security(id), role.clone(), values);
        for subkey in key.subkeys() {
            self.one(tree, *subkey, position, role);
        }
    }

    fn push(
        &mut self,
        parent: u32,
        key: &KeyNode<'_>,
        security: Option<&'c [u8]>,
        role: KeyRole,
        values: Vec<ValueChange>,
    ) -> u32 {
        let security = security.map(|descriptor| self.security(descriptor));
        self.delta.keys.push(KeyChange {
            parent,
            name: key.name.clone().into_owned(),
            role,
            properties: key.properties.clone().into_owned(),
            security,
            values,
        });
        self.delta.keys.len() as u32 - 1
    }

    fn security(&mut self, descriptor: &'c [u8]) -> u32 {
        *self.securities.entry(descriptor).or_insert_with(|| {
            self.delta.securities.push(ByteBuf::from(descriptor));
            self.delta.securities.len() as u32 - 1
        })
    }
}

fn value_changes(upcase: &Upcase, old: &[Value<'_>], new: &[Value<'_>]) -> Vec<ValueChange> {
    // most keys have the same values in the same order
    if old == new {
        return Vec::new();
    }
    let mut changes = Vec::new();
    let (in_old, in_new) = (Names::new(upcase, old), Names::new(upcase, new));
    for (position, value) in new.iter().enumerate() {
        if in_new.find(&value.name) != Some(position) {
            continue; // a name that comes twice: Windows finds the first
        }
        let before = in_old.find(&value.name).map(|at| &old[at].data);
        if before != Some(&value.data) {
            changes.push(ValueChange {
                name: value.name.clone().into_owned(),
                before: before.cloned().map(crate::Data::into_owned),
                after: Some(value.data.clone().into_owned()),
            });
        }
    }
    for (position, value) in old.iter().enumerate() {
        if in_old.find(&value.name) == Some(position) && in_new.find(&value.name).is_none() {
            changes.push(ValueChange {
                name: value.name.clone().into_owned(),
                before: Some(value.data.clone().into_owned()),
                after: None,
            });
        }
    }
    changes.sort_by(|left, right| upcase.compare(&left.name, &right.name));
    changes
}

/// The values of a key by name.
pub(crate) struct Names<'v, 'h> {
    upcase: &'v Upcase,
    values: &'v [Value<'h>],
    map: Option<HashMap<Vec<u16>, usize>>,
}

impl<'v, 'h> Names<'v, 'h> {
    pub(crate) fn new(upcase: &'v Upcase, values: &'v [Value<'h>]) -> Names<'v, 'h> {
        let map = (values.len() >= MANY).then(|| {
            // the first of several wins
            values.iter().enumerate().rev().map(|(at, value)| (upcase.folded(&value.name), at)).collect()
        });
        Names { upcase, values, map }
    }

    pub(crate) fn find(&self, name: &crate::Name<'_>) -> Option<usize> {
        match &self.map {
            Some(map) => map.get(&self.upcase.folded(name)).copied(),
            None => self.values.iter().position(|value| self.upcase.same(&value.name, name)),
        }
    }
}
