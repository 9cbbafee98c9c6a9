//! A hive as a tree of keys that can be changed.

use crate::base_block::BaseBlock;
use crate::layout::DEEPEST;
use crate::record::key_flags;
use crate::{Data, Error, Name, Properties, Result, Upcase, Value};
use std::borrow::Cow;
use std::collections::HashMap;

/// A key of a [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub(crate) u32);

/// A security descriptor of a [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecurityId(pub(crate) u32);

/// A key: what it has, and what is below it.
#[derive(Debug, Clone)]
pub struct KeyNode<'h> {
    /// Its name.
    pub name: Name<'h>,
    /// Class name, flags and time.
    pub properties: Properties<'h>,
    /// Its security descriptor; `None` only in hives that other programs made.
    pub security: Option<SecurityId>,
    pub(crate) parent: KeyId,
    /// In the order of the names in upper case.
    pub(crate) subkeys: Vec<KeyId>,
    pub(crate) values: Vec<Value<'h>>,
}

impl<'h> KeyNode<'h> {
    /// The key above; the root's is the root.
    pub fn parent(&self) -> KeyId {
        self.parent
    }

    /// The keys below, in the order of their names.
    pub fn subkeys(&self) -> &[KeyId] {
        &self.subkeys
    }

    /// Its values, in the order in which they were made.
    pub fn values(&self) -> &[Value<'h>] {
        &self.values
    }
}

/// A whole hive in memory. What was not changed borrows from the hive that it was loaded from.
#[derive(Debug, Clone)]
pub struct Tree<'h> {
    pub(crate) base: BaseBlock,
    pub(crate) upcase: &'h Upcase,
    pub(crate) keys: Vec<KeyNode<'h>>,
    pub(crate) securities: Vec<Cow<'h, [u8]>>,
    pub(crate) security_ids: HashMap<Cow<'h, [u8]>, SecurityId>,
}

impl<'h> Tree<'h> {
    /// An empty hive of version 1.`minor` whose root has this name and security descriptor.
    pub fn new(
        upcase: &'h Upcase,
        minor: u32,
        root: Name<'h>,
        security: impl Into<Cow<'h, [u8]>>,
    ) -> Tree<'h> {
        let mut tree = Tree {
            base: BaseBlock::new(minor),
            upcase,
            keys: Vec::new(),
            securities: Vec::new(),
            security_ids: HashMap::new(),
        };
        let security = tree.security_id(security);
        let flags = key_flags::ROOT | key_flags::NO_DELETE;
        let properties =
            Properties { last_written: 0, flags, user_flags: 0, access: 0, class: Cow::Borrowed(&[]) };
        tree.push(KeyId(0), root, properties, Some(security));
        tree
    }

    /// How names compare in this tree.
    pub fn upcase(&self) -> &'h Upcase {
        self.upcase
    }

    /// The root key.
    pub fn root(&self) -> KeyId {
        KeyId(0)
    }

    /// A key.
    pub fn key(&self, id: KeyId) -> &KeyNode<'h> {
        &self.keys[id.0 as usize]
    }

    /// A key, to change what it has. Its name stays what it is.
    pub fn properties_mut(&mut self, id: KeyId) -> &mut Properties<'h> {
        &mut self.node(id).properties
    }

    /// A security descriptor.
    pub fn security(&self, id: SecurityId) -> &[u8] {
        &self.securities[id.0 as usize]
    }

    /// The descriptor of a key, as bytes.
    pub fn key_security(&self, id: KeyId) -> Option<&[u8]> {
        self.key(id).security.map(|security| self.security(security))
    }

    /// The position of a security descriptor, which is added if it is new.
    pub fn security_id(&mut self, descriptor: impl Into<Cow<'h, [u8]>>) -> SecurityId {
        let descriptor = descriptor.into();
        if let Some(id) = self.security_ids.get(&descriptor) {
            return *id;
        }
        let id = SecurityId(
            u32::try_from(self.securities.len()).expect("fewer than 2^32 descriptors fit in memory"),
        );
        self.securities.push(descriptor.clone());
        self.security_ids.insert(descriptor, id);
        id
    }

    /// Gives a key another security descriptor.
    pub fn set_security(&mut self, id: KeyId, security: Option<SecurityId>) {
        self.node(id).security = security;
    }

    /// The subkey of this name.
    pub fn subkey(&self, parent: KeyId, name: &Name<'_>) -> Option<KeyId> {
        self.position(parent, name).ok().map(|position| self.key(parent).subkeys[position])
    }

    /// The key at a path below `from`, its names separated by `\`; the empty path is `from` itself.
    pub fn descendant(&self, from: KeyId, path: &str) -> Option<KeyId> {
        let mut names = path.split('\\').filter(|name| !name.is_empty());
        names.try_fold(from, |key, name| self.subkey(key, &Name::from(name)))
    }

    /// The subkey of this name, which is made if it is not there: `true` then.
    pub fn make_subkey(
        &mut self,
        parent: KeyId,
        name: Name<'h>,
        properties: Properties<'h>,
        security: Option<SecurityId>,
    ) -> (KeyId, bool) {
        match self.position(parent, &name) {
            Ok(position) => (self.key(parent).subkeys[position], false),
            Err(position) => {
                let id = self.push(parent, name, properties, security);
                self.node(parent).subkeys.insert(position, id);
                (id, true)
            }
        }
    }

    /// Gives a key another name; `false` when its parent has a key of that name already. The root keeps its name.
    pub fn rename_key(&mut self, id: KeyId, name: Name<'h>) -> bool {
        let parent = self.key(id).parent;
        if id == self.root() || self.subkey(parent, &name).is_some_and(|other| other != id) {
            return false;
        }
        self.remove_key(id);
        self.node(id).name = name.clone();
        let (Ok(position) | Err(position)) = self.position(parent, &name);
        self.node(parent).subkeys.insert(position, id);
        true
    }

    /// Takes away a key with everything below it. The root stays.
    pub fn remove_key(&mut self, id: KeyId) {
        let parent = self.key(id).parent;
        self.node(parent).subkeys.retain(|subkey| *subkey != id);
    }

    /// The value of this name.
    pub fn value(&self, key: KeyId, name: &Name<'_>) -> Option<&Data<'h>> {
        let values = &self.key(key).values;
        values.iter().find(|value| self.upcase.same(&value.name, name)).map(|value| &value.data)
    }

    /// Gives a value this content; a new one comes last.
    pub fn set_value(&mut self, key: KeyId, name: Name<'h>, data: Data<'h>) {
        let upcase = self.upcase;
        let values = &mut self.node(key).values;
        match values.iter_mut().find(|value| upcase.same(&value.name, &name)) {
            Some(value) => value.data = data,
            None => values.push(Value { name, data }),
        }
    }

    /// Takes away the value of this name.
    pub fn remove_value(&mut self, key: KeyId, name: &Name<'_>) {
        let upcase = self.upcase;
        self.node(key).values.retain(|value| !upcase.same(&value.name, name));
    }

    /// Every key with its depth (the root's is 0), parents first and in the order of names.
    pub fn walk(&self) -> impl Iterator<Item = (KeyId, usize)> + '_ {
        let mut open = vec![(self.root(), 0)];
        std::iter::from_fn(move || {
            let (id, depth) = open.pop()?;
            open.extend(self.key(id).subkeys.iter().rev().map(|subkey| (*subkey, depth + 1)));
            Some((id, depth))
        })
    }

    /// The names that lead to a key, without the root's, separated by `\`.
    pub fn path(&self, id: KeyId) -> String {
        let mut names = Vec::new();
        let mut at = id;
        while at != self.root() {
            names.push(self.key(at).name.to_string());
            at = self.key(at).parent;
        }
        names.reverse();
        names.join("\\")
    }

    pub(crate) fn push(
        &mut self,
        parent: KeyId,
        name: Name<'h>,
        properties: Properties<'h>,
        security: Option<SecurityId>,
    ) -> KeyId {
        let id = KeyId(u32::try_from(self.keys.len()).expect("fewer than 2^32 keys fit in memory"));
        self.keys.push(KeyNode {
            name,
            properties,
            security,
            parent,
            subkeys: Vec::new(),
            values: Vec::new(),
        });
        id
    }

    pub(crate) fn node(&mut self, id: KeyId) -> &mut KeyNode<'h> {
        &mut self.keys[id.0 as usize]
    }

    fn position(&self, parent: KeyId, name: &Name<'_>) -> std::result::Result<usize, usize> {
        let subkeys = &self.key(parent).subkeys;
        subkeys.binary_search_by(|subkey| self.upcase.compare(&self.key(*subkey).name, name))
    }
}

/// Refuses keys that lie deeper than Windows goes.
pub(crate) fn allowed_depth(depth: usize) -> Result<()> {
    if depth > DEEPEST {
        return Err(Error::TooLarge {
            what: "a key that lies so deep".to_owned(),
            limit: "keys nest up to 512 levels below the root",
        });
    }
    Ok(())
}
