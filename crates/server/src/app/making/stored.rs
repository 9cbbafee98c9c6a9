//! References of versions in the store.

use super::super::rows::{Rows, for_each_of};
use super::Refusal;
use crate::app::sagas::VersionInStore;
use crate::domain::VersionId;
use std::collections::HashMap;

/// The names that versions have in the store.
#[derive(Debug)]
pub(super) struct Stored(HashMap<VersionId, VersionInStore>);

impl Stored {
    /// Reads those of `versions`.
    pub(super) async fn read(rows: &mut impl Rows, versions: &[VersionId]) -> Result<Stored, Refusal> {
        let sql = "SELECT v.id, v.layer_id, v.store_version, l.kind, l.store_name FROM versions v \
                   JOIN layers l ON l.id = v.layer_id WHERE v.id IN (?)";
        let mut found = HashMap::new();
        for row in for_each_of(rows, sql, versions).await? {
            let version = VersionInStore {
                layer: super::super::id(&row, "layer_id")?,
                version: super::super::id(&row, "id")?,
                kind: super::super::word(&row, "kind", |text| text.parse().ok())?,
                store_name: row.text("store_name")?,
                store_version: row.text("store_version")?,
            };
            found.insert(version.version, version);
        }
        Ok(Stored(found))
    }

    /// One of them.
    pub(super) fn version(&self, id: VersionId) -> Result<&VersionInStore, Refusal> {
        self.0.get(&id).ok_or_else(|| Refusal::missing("version", id))
    }

    /// The reference of one of them.
    pub(super) fn reference(&self, id: VersionId) -> Result<String, Refusal> {
        Ok(self.version(id)?.reference())
    }
}
