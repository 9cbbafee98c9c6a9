//! Reading single keys of a hive without loading the others.

use crate::file::Hive;
use crate::record::{self, Hint, KeyRecord};
use crate::{Name, Properties, Result, Upcase, Value};

/// A key of a hive that is read where it is.
#[derive(Debug, Clone, Copy)]
pub struct Key<'h> {
    hive: &'h Hive,
    record: KeyRecord<'h>,
}

impl<'h> Key<'h> {
    pub(crate) fn new(hive: &'h Hive, record: KeyRecord<'h>) -> Key<'h> {
        Key { hive, record }
    }

    /// Its name.
    pub fn name(&self) -> Name<'h> {
        self.record.name()
    }

    /// Its class name, flags and time.
    pub fn properties(&self) -> Result<Properties<'h>> {
        self.record.properties(self.hive)
    }

    /// Its security descriptor; `None` for a key without one.
    pub fn security(&self) -> Result<Option<&'h [u8]>> {
        self.record.security_cell().map(|offset| record::security(self.hive, offset)).transpose()
    }

    /// Its subkeys in the order of their names.
    pub fn subkeys(&self) -> Result<impl Iterator<Item = Result<Key<'h>>> + use<'h>> {
        let hive = self.hive;
        let entries = record::subkeys(hive, &self.record, |_| Ok(()))?;
        Ok(entries
            .into_iter()
            .map(move |(offset, _)| Ok(Key { hive, record: KeyRecord::read(hive, offset)? })))
    }

    /// The subkey of this name.
    pub fn subkey(&self, upcase: &Upcase, name: &Name<'_>) -> Result<Option<Key<'h>>> {
        let hash = upcase.hash(name);
        for (offset, hint) in record::subkeys(self.hive, &self.record, |_| Ok(()))? {
            if matches!(hint, Hint::Hash(other) if other != hash) {
                continue;
            }
            let record = KeyRecord::read(self.hive, offset)?;
            if upcase.same(&record.name(), name) {
                return Ok(Some(Key { hive: self.hive, record }));
            }
        }
        Ok(None)
    }

    /// The key at a path below this one, its names separated by `\`.
    pub fn descendant(&self, upcase: &Upcase, path: &str) -> Result<Option<Key<'h>>> {
        let mut key = *self;
        for name in path.split('\\') {
            match key.subkey(upcase, &Name::from(name))? {
                Some(subkey) => key = subkey,
                None => return Ok(None),
            }
        }
        Ok(Some(key))
    }

    /// Its values in their order.
    pub fn values(&self) -> Result<impl Iterator<Item = Result<Value<'h>>> + use<'h>> {
        let hive = self.hive;
        let offsets = record::values(hive, &self.record, |_| Ok(()))?;
        Ok(offsets.map(move |offset| record::value(hive, offset, |_| Ok(()))))
    }

    /// The value of this name; the empty name is the default value's.
    pub fn value(&self, upcase: &Upcase, name: &str) -> Result<Option<Value<'h>>> {
        let name = Name::from(name);
        for value in self.values()? {
            let value = value?;
            if upcase.same(&value.name, &name) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}
