//! What a version that was made from an older one must not carry although that one did.

use super::NeverCapturedKeys;
use crate::hives::{self, Role};
use crate::manifest::Manifest;
use volume::{Name, Tree};

/// Takes out of a version what no layer carries. `tree` says how names compare.
pub(crate) fn leave_out(manifest: &mut Manifest, tree: &Tree, never: &NeverCapturedKeys) {
    let mut records = std::mem::take(&mut manifest.hives);
    for record in &mut records {
        let directory: Vec<Name> = manifest.directory_path(record.directory).into_iter().cloned().collect();
        if let Some(Role::Hive(kind)) = hives::role(tree, &directory, &record.name) {
            never.leave_out(kind, &mut record.delta);
        }
    }
    records.retain(|record| !record.delta.is_empty());
    manifest.hives = records;
}
