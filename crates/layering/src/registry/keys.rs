//! The keys that several deltas speak of, each once.

use hive::{Delta, KeyChange, Name, Upcase};
use std::collections::HashMap;

/// The keys that several deltas speak of. The first is the root.
pub(crate) struct Keys<'d> {
    keys: Vec<SaidKey<'d>>,
}

/// A key, and what is said of it.
pub(crate) struct SaidKey<'d> {
    /// Position of the key above; the root is its own.
    pub(crate) parent: usize,
    /// What each delta says that leads to it or speaks of it: the delta's position among those given, the delta, and the
    /// key's position in it. In the order of the deltas.
    pub(crate) said: Vec<(usize, &'d Delta, usize)>,
}

impl<'d> SaidKey<'d> {
    /// What one of the deltas says of it.
    pub(crate) fn by(&self, delta: usize) -> Option<(&'d Delta, &'d KeyChange)> {
        let (_, delta, position) = self.said.iter().find(|(by, _, _)| *by == delta)?;
        Some((delta, &delta.keys[*position]))
    }

    /// Its name.
    pub(crate) fn name(&self) -> Option<&'d Name<'static>> {
        self.said.last().map(|(_, delta, position)| &delta.keys[*position].name)
    }

    /// Its path below the root.
    pub(crate) fn path(&self) -> String {
        self.said.last().map_or_else(String::new, |(_, delta, position)| delta.path(*position))
    }
}

impl<'d> Keys<'d> {
    pub(crate) fn of(deltas: &[&'d Delta], upcase: &Upcase) -> Keys<'d> {
        let mut keys = vec![SaidKey { parent: 0, said: Vec::new() }];
        let mut ids: HashMap<(usize, Vec<u16>), usize> = HashMap::new();
        for (by, delta) in deltas.iter().enumerate() {
            let mut places = Vec::with_capacity(delta.keys.len());
            for (position, key) in delta.keys.iter().enumerate() {
                let place = if position == 0 {
                    0
                } else {
                    let parent: usize = places[key.parent as usize];
                    *ids.entry((parent, upcase.folded(&key.name))).or_insert_with(|| {
                        keys.push(SaidKey { parent, said: Vec::new() });
                        keys.len() - 1
                    })
                };
                places.push(place);
                keys[place].said.push((by, delta, position));
            }
        }
        Keys { keys }
    }

    pub(crate) fn key(&self, at: usize) -> &SaidKey<'d> {
        &self.keys[at]
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The positions of all keys, parents first and in the order of names.
    pub(crate) fn walk(&self, upcase: &Upcase) -> Vec<usize> {
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); self.keys.len()];
        for (at, key) in self.keys.iter().enumerate().skip(1) {
            below[key.parent].push(at);
        }
        let mut order = Vec::with_capacity(self.keys.len());
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            order.push(at);
            let mut subkeys = std::mem::take(&mut below[at]);
            subkeys.sort_by(|a, b| match (self.keys[*b].name(), self.keys[*a].name()) {
                (Some(left), Some(right)) => upcase.compare(left, right),
                _ => std::cmp::Ordering::Equal,
            });
            open.extend(subkeys);
        }
        order
    }
}
