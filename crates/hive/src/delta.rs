//! What changed in a hive, as data that stands alone.

use crate::layout::{DEEPEST, LONGEST_KEY_NAME, LONGEST_VALUE_NAME};
use crate::record::key_flags;
use crate::{Data, Name, Properties, Upcase};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// What changed in a hive. Keys are listed parents first, in the order of a walk; the first is the root.
///
/// Every change holds what was there before and what is there after it. A removed key lists everything that was below
/// it: applied to another hive, what its author could not see stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// Distinct security descriptors, referred to by position.
    pub securities: Vec<ByteBuf>,
    /// The keys that something is said of, and those that lead to them.
    pub keys: Vec<KeyChange>,
}

/// What changed in a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Position of the parent; the root is its own.
    pub parent: u32,
    /// Name.
    pub name: Name<'static>,
    /// What became of the key itself.
    pub role: KeyRole,
    /// What it has after the change; for a removed key, what it had.
    pub properties: Properties<'static>,
    /// Position of its security descriptor, likewise.
    pub security: Option<u32>,
    /// What changed in its values, in the order of their names.
    pub values: Vec<ValueChange>,
}

/// What became of a key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyRole {
    /// Nothing. Where a target lacks it, it is made if something below asks for it.
    Context,
    /// It is new.
    Added,
    /// Its class, flags or security changed.
    Changed {
        /// What it had before.
        properties: Properties<'static>,
        /// Position of the security descriptor that it had before.
        security: Option<u32>,
    },
    /// It is gone, and so is everything listed below it.
    Removed,
}

/// What changed in a value. At least one of both is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueChange {
    /// Name; empty for the default value.
    pub name: Name<'static>,
    /// What it was; `None` for a new value.
    pub before: Option<Data<'static>>,
    /// What it is; `None` for a removed value.
    pub after: Option<Data<'static>>,
}

/// How many keys and values a delta says something of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys that are new.
    pub keys_added: usize,
    /// Keys whose class, flags or security changed.
    pub keys_changed: usize,
    /// Keys that are gone.
    pub keys_removed: usize,
    /// Values that are new.
    pub values_added: usize,
    /// Values with other content.
    pub values_changed: usize,
    /// Values that are gone.
    pub values_removed: usize,
}

impl Delta {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.keys.iter().all(|key| key.role == KeyRole::Context && key.values.is_empty())
    }

    /// Which rule of this form is broken, if one is: for deltas that come from outside.
    pub fn verify(&self) -> Result<(), &'static str> {
        let known = |security: Option<u32>| security.is_none_or(|at| (at as usize) < self.securities.len());
        let mut depths: Vec<usize> = Vec::with_capacity(self.keys.len());
        for (position, key) in self.keys.iter().enumerate() {
            let parent = key.parent as usize;
            if parent > position || (parent == position && position != 0) {
                return Err("a key comes before its parent");
            }
            let depth = if position == 0 { 0 } else { depths[parent] + 1 };
            if depth > DEEPEST {
                return Err("a key lies deeper than 512 levels");
            }
            depths.push(depth);
            if !key.name.is_valid(LONGEST_KEY_NAME) || key.name.is_empty() {
                return Err("a key has no valid name");
            }
            if key.properties.flags & key_flags::VOLATILE != 0 {
                return Err("a key is one that exists only in memory");
            }
            let before = match &key.role {
                KeyRole::Changed { security, .. } => *security,
                _ => None,
            };
            if !known(key.security) || !known(before) {
                return Err("a key refers to a security descriptor that is not there");
            }
            let above = &self.keys[parent].role;
            if *above == KeyRole::Removed && position != 0 && key.role != KeyRole::Removed {
                return Err("a key is there below one that was removed");
            }
            for value in &key.values {
                if !value.name.is_valid(LONGEST_VALUE_NAME)
                    || (value.before.is_none() && value.after.is_none())
                {
                    return Err("a value has no valid name or no content");
                }
                if key.role == KeyRole::Removed && value.after.is_some() {
                    return Err("a value is there in a key that was removed");
                }
            }
        }
        if self.keys.first().is_some_and(|root| matches!(root.role, KeyRole::Added | KeyRole::Removed)) {
            return Err("the root key was added or removed");
        }
        Ok(())
    }

    /// The names that lead to the key at a position, without the root's, separated by `\`.
    pub fn path(&self, position: usize) -> String {
        let mut names = Vec::new();
        let mut at = position;
        while at != 0 {
            names.push(self.keys[at].name.to_string());
            at = self.keys[at].parent as usize;
        }
        names.reverse();
        names.join("\\")
    }

    /// How much it says.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for key in &self.keys {
            match key.role {
                KeyRole::Context => {}
                KeyRole::Added => counts.keys_added += 1,
                KeyRole::Changed { .. } => counts.keys_changed += 1,
                KeyRole::Removed => counts.keys_removed += 1,
            }
            for value in &key.values {
                match (&value.before, &value.after) {
                    (None, _) => counts.values_added += 1,
                    (Some(_), Some(_)) => counts.values_changed += 1,
                    (Some(_), None) => counts.values_removed += 1,
                }
            }
        }
        counts
    }

    /// Takes out what `keep` does not want: asked with a key's path and no value for the key with all below it, and with
    /// the name of each changed value. A removal is kept or taken out as a whole: without a part of what
    /// was there, the key would stay for the sake of that part.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, Option<&Name<'_>>) -> bool) {
        let mut kept: Vec<bool> = Vec::with_capacity(self.keys.len());
        for position in 0..self.keys.len() {
            let parent = self.keys[position].parent as usize;
            let above = position == 0 || kept[parent];
            let of_removal = position != 0 && self.keys[parent].role == KeyRole::Removed;
            if !above || of_removal {
                kept.push(above);
                continue;
            }
            let path = self.path(position);
            let KeyChange { role, values, .. } = &mut self.keys[position];
            kept.push(keep(&path, None));
            if kept[position] && *role != KeyRole::Removed {
                values.retain(|value| keep(&path, Some(&value.name)));
            }
        }
        // the root stays in any case
        if let Some(root) = kept.first_mut() {
            *root = true;
        }
        self.select(&kept);
        self.prune();
    }

    /// The part of it that is said of a key and of what is below it; `None` when nothing is. The keys above only lead
    /// there.
    pub fn below(&self, path: &[Name<'_>], upcase: &Upcase) -> Option<Delta> {
        // how many names of the path lead to each key, for those on the way and below
        let mut led: Vec<Option<usize>> = Vec::with_capacity(self.keys.len());
        for (position, key) in self.keys.iter().enumerate() {
            let above = if position == 0 { Some(0) } else { led[key.parent as usize] };
            led.push(match above {
                Some(names) if position == 0 || names == path.len() => Some(names),
                Some(names) if upcase.same(&key.name, &path[names]) => Some(names + 1),
                _ => None,
            });
        }
        led.contains(&Some(path.len())).then(|| {
            let mut part = self.clone();
            for (key, names) in part.keys.iter_mut().zip(&led) {
                if *names != Some(path.len()) {
                    key.role = KeyRole::Context;
                    key.values.clear();
                }
            }
            part.prune();
            part
        })
    }

    /// Takes out keys that only lead to nothing, and security descriptors that nothing refers to.
    pub(crate) fn prune(&mut self) {
        let mut needed: Vec<bool> =
            self.keys.iter().map(|key| key.role != KeyRole::Context || !key.values.is_empty()).collect();
        for position in (1..self.keys.len()).rev() {
            if needed[position] {
                needed[self.keys[position].parent as usize] = true;
            }
        }
        if let Some(root) = needed.first_mut() {
            *root = true;
        }
        self.select(&needed);
        self.drop_unused_securities();
    }

    /// Keeps the keys that are marked; the parents of each are marked, too.
    fn select(&mut self, kept: &[bool]) {
        let mut positions = Vec::with_capacity(kept.len());
        let mut next = 0;
        for keep in kept {
            positions.push(next);
            next += u32::from(*keep);
        }
        let mut marks = kept.iter();
        self.keys.retain_mut(|key| {
            key.parent = positions[key.parent as usize];
            *marks.next().expect("there is a mark for every key")
        });
    }

    fn drop_unused_securities(&mut self) {
        const UNUSED: u32 = u32::MAX;
        let mut positions = vec![UNUSED; self.securities.len()];
        let mut used = Vec::new();
        for key in &mut self.keys {
            let before = match &mut key.role {
                KeyRole::Changed { security, .. } => security.as_mut(),
                _ => None,
            };
            for security in key.security.as_mut().into_iter().chain(before) {
                let position = &mut positions[*security as usize];
                if *position == UNUSED {
                    *position = used.len() as u32;
                    used.push(std::mem::take(&mut self.securities[*security as usize]));
                }
                *security = *position;
            }
        }
        self.securities = used;
    }
}
