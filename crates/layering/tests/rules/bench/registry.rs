//! Registry hives to test with, put together and read value by value.

use hive::{Data, Hive, KeyId, Name, Properties, Tree, Upcase, string, value_kind};
use std::borrow::Cow;

fn upcase() -> &'static Upcase {
    static TABLE: std::sync::OnceLock<Upcase> = std::sync::OnceLock::new();
    TABLE.get_or_init(Upcase::unicode)
}

/// A hive that is being put together: values by path.
pub struct Registry(pub Tree<'static>);

impl Registry {
    pub fn new() -> Registry {
        Registry(Tree::new(upcase(), 5, Name::from("ROOT"), vec![1; 20]))
    }

    /// What a hive's file holds.
    pub fn read(file: Vec<u8>) -> Registry {
        // leaked, so that the tree can be handed around; a test is short
        let hive: &'static Hive = Box::leak(Box::new(Hive::open(file, &[]).unwrap()));
        Registry(Tree::load(hive, upcase()).unwrap().0)
    }

    pub fn key(&mut self, path: &str) -> KeyId {
        let mut key = self.0.root();
        for name in path.split('\\').filter(|name| !name.is_empty()) {
            let class = Cow::Borrowed(&[][..]);
            let properties = Properties { last_written: 7, flags: 0, user_flags: 0, access: 0, class };
            let security = self.0.security_id(vec![2; 20]);
            key = self.0.make_subkey(key, Name::from(name), properties, Some(security)).0;
        }
        key
    }

    pub fn set(&mut self, path: &str, name: &str, data: Data<'static>) -> &mut Registry {
        let key = self.key(path);
        self.0.set_value(key, Name::from(name), data);
        self
    }

    pub fn text(&mut self, path: &str, name: &str, text: &str) -> &mut Registry {
        self.set(path, name, string(value_kind::SZ, text))
    }

    pub fn remove(&mut self, path: &str) -> &mut Registry {
        let key = self.0.descendant(self.0.root(), path).unwrap();
        self.0.remove_key(key);
        self
    }

    pub fn remove_value(&mut self, path: &str, name: &str) -> &mut Registry {
        let key = self.key(path);
        self.0.remove_value(key, &Name::from(name));
        self
    }

    pub fn file(&self) -> Vec<u8> {
        self.0.write().unwrap()
    }

    pub fn has(&self, path: &str) -> bool {
        self.0.descendant(self.0.root(), path).is_some()
    }

    pub fn data(&self, path: &str, name: &str) -> Option<&Data<'static>> {
        self.0.value(self.0.descendant(self.0.root(), path)?, &Name::from(name))
    }

    /// The text of a value; of a list of strings with `|` between them; `-` for no such value.
    pub fn said(&self, path: &str, name: &str) -> String {
        match self.data(path, name) {
            Some(data) => data.text().or_else(|| Some(data.texts()?.join("|"))).unwrap_or_default(),
            None => "-".to_owned(),
        }
    }
}
