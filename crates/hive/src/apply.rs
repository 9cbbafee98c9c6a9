//! Applying a delta to a hive, which may have changed otherwise since: the three-way merge.

use crate::delta::{KeyRole, ValueChange};
use crate::diff::{Names, same_properties};
use crate::list::{ListKind, merge_lists};
use crate::tree::KeyId;
use crate::{Data, Delta, Name, Properties, Tree, Value};
use std::cell::OnceCell;

/// Which values are lists. Asked with the path of a key below the root, its names separated by `\`.
pub trait Lists {
    /// How the value holds a list, if it does.
    fn kind(&self, path: &str, value: &Name<'_>) -> Option<ListKind>;
}

/// No value is a list.
pub struct NoLists;

impl Lists for NoLists {
    fn kind(&self, _path: &str, _value: &Name<'_>) -> Option<ListKind> {
        None
    }
}

/// What an application of a delta met that is worth saying. Keys and values are positions in the delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The value was neither what the delta changes it from nor what it changes it to; the delta's content won.
    ValueReplaced {
        /// The key.
        key: usize,
        /// Which of its values.
        value: usize,
    },
    /// The value is a list that had been changed otherwise: both changes are in it now.
    ListMerged {
        /// The key.
        key: usize,
        /// Which of its values.
        value: usize,
    },
    /// A key that the delta removes holds something that the delta does not know of, and stays. Said of the highest of
    /// several that lie in each other.
    KeyKept {
        /// The key.
        key: usize,
    },
}

impl<'h> Tree<'h> {
    /// Applies a delta, and gives what was met on the way, in the order of the delta.
    ///
    /// New keys and values are added, changed ones get the delta's content, and removed ones go if nothing unknown is in
    /// them. A key that is new in the delta and there already gets the delta's class, flags and security; one that is
    /// changed and not there is made. Values that are lists are merged ([`merge_lists`]). A key takes the delta's time if
    /// that is later.
    pub fn apply(&mut self, delta: &'h Delta, lists: &dyn Lists) -> Vec<Notice> {
        let mut application = Application {
            tree: self,
            delta,
            lists,
            places: Vec::with_capacity(delta.keys.len()),
            notices: Vec::new(),
        };
        application.run();
        application.notices
    }
}

struct Application<'a, 'h> {
    tree: &'a mut Tree<'h>,
    delta: &'h Delta,
    lists: &'a dyn Lists,
    /// Where each key of the delta is in the tree, as far as it is there.
    places: Vec<Option<KeyId>>,
    notices: Vec<Notice>,
}

impl<'h> Application<'_, 'h> {
    fn run(&mut self) {
        for (position, change) in self.delta.keys.iter().enumerate() {
            let place = if position == 0 {
                Some(self.tree.root())
            } else {
                self.places[change.parent as usize].and_then(|parent| self.tree.subkey(parent, &change.name))
            };
            self.places.push(place);
            match (&change.role, place) {
                (KeyRole::Added | KeyRole::Changed { .. }, None) => {
                    self.place(position);
                }
                (KeyRole::Added | KeyRole::Changed { .. }, Some(key)) => self.change(position, key),
                _ => {}
            }
            self.values(position);
        }
        for position in (1..self.delta.keys.len()).rev() {
            let Some(key) =
                self.places[position].filter(|_| self.delta.keys[position].role == KeyRole::Removed)
            else {
                continue;
            };
            let node = self.tree.key(key);
            if node.subkeys().is_empty() && node.values().is_empty() {
                self.tree.remove_key(key);
            } else if self.delta.keys[self.delta.keys[position].parent as usize].role != KeyRole::Removed {
                self.notices.push(Notice::KeyKept { key: position });
            }
        }
    }

    /// Where the key is in the tree; made there, with the keys above it, if it is not.
    fn place(&mut self, position: usize) -> KeyId {
        let mut missing = vec![position];
        let mut key = loop {
            let at = *missing.last().expect("it begins with one");
            if let Some(key) = self.places[at] {
                missing.pop();
                break key;
            }
            missing.push(self.delta.keys[at].parent as usize);
        };
        while let Some(at) = missing.pop() {
            let delta = self.delta;
            let change = &delta.keys[at];
            let security = change
                .security
                .map(|security| self.tree.security_id(&delta.securities[security as usize][..]));
            key =
                self.tree.make_subkey(key, change.name.borrowed(), change.properties.borrowed(), security).0;
            self.places[at] = Some(key);
        }
        key
    }

    /// Gives a key the class, flags and security that the delta changes. One that the delta adds and that is there already
    /// gets all that the delta gives it.
    fn change(&mut self, position: usize, key: KeyId) {
        let delta = self.delta;
        let change = &delta.keys[position];
        let descriptor = |at: Option<u32>| at.map(|at| &delta.securities[at as usize][..]);
        let (before, security_before) = match &change.role {
            KeyRole::Changed { properties, security } => (properties, descriptor(*security)),
            KeyRole::Added => {
                // a delta may know of no descriptor, but no hive of Windows lacks one
                let after = descriptor(change.security);
                let found = self.tree.key_security(key).filter(|_| after.is_some());
                (&self.tree.key(key).properties, found)
            }
            KeyRole::Context | KeyRole::Removed => return,
        };
        let other_properties = !same_properties(before, &change.properties);
        let other_security = security_before != descriptor(change.security);
        if other_properties {
            let properties = self.tree.properties_mut(key);
            let (access, last_written) = (properties.access, properties.last_written);
            *properties = Properties { access, last_written, ..change.properties.borrowed() };
        }
        if other_security {
            let security = descriptor(change.security).map(|security| self.tree.security_id(security));
            self.tree.set_security(key, security);
        }
        self.touch(position, key);
    }

    fn values(&mut self, position: usize) {
        let change = &self.delta.keys[position];
        let needs_key = change.values.iter().any(|value| value.after.is_some());
        let key = match self.places[position] {
            Some(key) => key,
            None if needs_key => self.place(position),
            None => return,
        };
        if change.values.is_empty() {
            return;
        }
        let values = std::mem::take(&mut self.tree.node(key).values);
        let values = self.changed_values(position, values);
        self.tree.node(key).values = values;
        self.touch(position, key);
    }

    /// The values of a key after the changes of the delta's key.
    fn changed_values(&mut self, position: usize, mut values: Vec<Value<'h>>) -> Vec<Value<'h>> {
        let delta = self.delta;
        let upcase = self.tree.upcase();
        let changes = &delta.keys[position].values;
        // new values come last, and removed ones go at the end, so that positions hold meanwhile
        let names = Names::new(upcase, &values);
        let found: Vec<Option<usize>> = changes.iter().map(|change| names.find(&change.name)).collect();
        drop(names);
        let mut gone = vec![false; values.len()];
        let mut added = Vec::new();
        let path = OnceCell::new();
        for (value, (change, found)) in changes.iter().zip(found).enumerate() {
            let at = (position, value, &path);
            let outcome = self.merge(at, change, found.map(|at| &values[at].data));
            match (found, outcome) {
                (Some(at), Some(data)) => values[at].data = data,
                (Some(at), None) => gone[at] = true,
                (None, Some(data)) => added.push(Value { name: change.name.borrowed(), data }),
                (None, None) => {}
            }
        }
        let mut gone = gone.into_iter();
        values.retain(|_| !gone.next().unwrap_or(false));
        values.extend(added);
        values
    }

    /// What a value becomes; `None` is no such value. The key's path is put together when it is asked for.
    fn merge(
        &mut self,
        (key, value, path): (usize, usize, &OnceCell<String>),
        change: &'h ValueChange,
        found: Option<&Data<'h>>,
    ) -> Option<Data<'h>> {
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        if found == after {
            return found.cloned();
        }
        let expected = found == before;
        // what is new or goes is what it is; of a list that was there, another order alone counts for nothing
        if !expected || (before.is_some() && after.is_some_and(Data::may_be_list)) {
            let path = path.get_or_init(|| self.delta.path(key));
            let kind = self.lists.kind(path, &change.name);
            let merged =
                kind.and_then(|kind| merge_lists(self.tree.upcase(), kind, before, after, found).over(found));
            if let Some(merged) = merged {
                if !expected {
                    self.notices.push(Notice::ListMerged { key, value });
                }
                return merged;
            }
        }
        if !expected {
            self.notices.push(Notice::ValueReplaced { key, value });
        }
        after.map(Data::borrowed)
    }

    fn touch(&mut self, position: usize, key: KeyId) {
        let time = self.delta.keys[position].properties.last_written;
        let properties = self.tree.properties_mut(key);
        properties.last_written = properties.last_written.max(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Upcase, key_flags};

    /// A hive in which `Vendor` has this class, flags and descriptor; without a name it is empty.
    fn hive<'u>(upcase: &'u Upcase, vendor: Option<(&[u8], u16, u8)>) -> Tree<'u> {
        let mut tree = Tree::new(upcase, 5, Name::from("ROOT"), vec![1; 20]);
        if let Some((class, flags, security)) = vendor {
            let class = class.to_vec().into();
            let properties = Properties { last_written: 0, flags, user_flags: 0, access: 2, class };
            let security = tree.security_id(vec![security; 20]);
            tree.make_subkey(tree.root(), Name::from("Vendor"), properties, Some(security));
        }
        tree
    }

    fn vendor<'t>(tree: &'t Tree<'_>) -> (&'t [u8], u16, &'t [u8]) {
        let key = tree.descendant(tree.root(), "Vendor").unwrap();
        let properties = &tree.key(key).properties;
        (&properties.class, properties.flags, tree.key_security(key).unwrap())
    }

    #[test]
    fn a_key_that_two_deltas_add_is_what_the_later_one_makes_it() {
        let upcase = Upcase::unicode();
        let empty = hive(&upcase, None);
        let own = hive(&upcase, Some((b"class", key_flags::SYMBOLIC_LINK, 2)));
        let delta = Delta::between(&empty, &own);
        let mut target = hive(&upcase, Some((b"", 0, 3)));
        assert_eq!(target.apply(&delta, &NoLists), []);
        assert_eq!(vendor(&target), (&b"class"[..], key_flags::SYMBOLIC_LINK, &[2; 20][..]));
    }

    #[test]
    fn a_key_that_a_delta_changes_is_made_where_it_is_not() {
        let upcase = Upcase::unicode();
        let (before, after) = (hive(&upcase, Some((b"", 0, 2))), hive(&upcase, Some((b"", 0, 3))));
        let delta = Delta::between(&before, &after);
        let mut target = hive(&upcase, None);
        target.apply(&delta, &NoLists);
        assert_eq!(vendor(&target), (&b""[..], 0, &[3; 20][..]));
    }

    #[test]
    fn a_key_that_is_there_already_keeps_the_later_time() {
        let upcase = Upcase::unicode();
        let mut own = hive(&upcase, Some((b"class", 0, 2)));
        let vendor = own.descendant(own.root(), "Vendor").unwrap();
        own.properties_mut(vendor).last_written = 4;
        let delta = Delta::between(&hive(&upcase, None), &own);
        for (found, expected) in [(9, 9), (1, 4)] {
            let mut target = hive(&upcase, Some((b"", 0, 3)));
            let vendor = target.descendant(target.root(), "Vendor").unwrap();
            target.properties_mut(vendor).last_written = found;
            target.apply(&delta, &NoLists);
            assert_eq!(target.key(vendor).properties.last_written, expected);
        }
    }

    /// Every value is a list.
    struct AllLists;

    impl Lists for AllLists {
        fn kind(&self, _path: &str, _value: &Name<'_>) -> Option<ListKind> {
            Some(ListKind::Semicolons)
        }
    }

    /// What a delta that changes a list in one way makes of another one.
    fn list(
        before: Option<Data<'static>>,
        after: Data<'static>,
        found: Option<Data<'static>>,
    ) -> Option<Data<'static>> {
        let upcase = Upcase::unicode();
        let with = |data: Option<Data<'static>>| {
            let mut tree = hive(&upcase, Some((b"", 0, 2)));
            let key = tree.descendant(tree.root(), "Vendor").unwrap();
            data.into_iter().for_each(|data| tree.set_value(key, Name::from("Path"), data));
            tree
        };
        let delta = Delta::between(&with(before), &with(Some(after)));
        let mut target = with(found);
        target.apply(&delta, &AllLists);
        let key = target.descendant(target.root(), "Vendor").unwrap();
        target.value(key, &Name::from("Path")).map(|data| data.clone().into_owned())
    }

    #[test]
    fn of_a_list_another_order_or_a_plainer_type_counts_for_nothing_even_where_nobody_else_changed_it() {
        let plain = |text: &str| Some(crate::string(1, text));
        let expanding = |text: &str| Some(crate::string(2, text));
        assert_eq!(list(expanding("a;b"), plain("b;a;n").unwrap(), expanding("a;b")), expanding("a;n;b"));
        assert_eq!(list(plain("a;b"), plain("b;a").unwrap(), plain("a;b")), plain("a;b"));
        let number = Data::new(4, vec![1, 0, 0, 0]);
        assert_eq!(list(plain("a"), number.clone(), plain("a")), Some(number));
    }

    #[test]
    fn a_list_that_a_lower_layer_took_away_comes_back_with_what_was_added_alone() {
        let plain = |text: &str| Some(crate::string(1, text));
        assert_eq!(list(plain("a"), plain("a;b").unwrap(), None), plain("b"));
        assert_eq!(list(plain("a;b"), plain("b").unwrap(), None), None);
    }

    #[test]
    fn a_key_that_a_delta_passes_through_keeps_its_security() {
        let upcase = Upcase::unicode();
        let before = hive(&upcase, Some((b"", 0, 2)));
        let mut after = before.clone();
        let key = after.descendant(after.root(), "Vendor").unwrap();
        after.set_value(key, Name::from("x"), crate::string(1, "1"));
        let delta = Delta::between(&before, &after);
        let mut target = hive(&upcase, Some((b"", 0, 3)));
        target.apply(&delta, &NoLists);
        assert_eq!(vendor(&target).2, [3; 20]);
    }
}
