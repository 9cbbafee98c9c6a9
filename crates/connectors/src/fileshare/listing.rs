//! A page of a folder: in order, and in memory that depends on the page and not on the folder.

use super::share::{RawEntry, Share, SharePath};
use crate::connector::{Browse, Entry, EntryKind, Listing};
use crate::error::Result;
use crate::name::DiskName;
use std::collections::BTreeMap;

/// Entries in the longest page.
const MOST_ENTRIES: usize = 1000;

/// The page that is asked for. Names that could not be asked for again, hidden ones among them, are left out.
pub(super) async fn page(share: &dyn Share, what: &Browse) -> Result<Listing> {
    let limit = what.limit.clamp(1, MOST_ENTRIES);
    let folder = what.folder.as_ref().map(SharePath::from);
    // One more than the page tells whether there is another one.
    let mut smallest: BTreeMap<String, RawEntry> = BTreeMap::new();
    share
        .list(folder.as_ref(), &mut |entry| {
            let wanted = starts_with(&entry.name, &what.prefix)
                && what.after.as_ref().is_none_or(|after| entry.name > *after)
                && entry.name.parse::<DiskName>().is_ok();
            if wanted {
                smallest.insert(entry.name.clone(), entry);
                if smallest.len() > limit + 1 {
                    smallest.pop_last();
                }
            }
        })
        .await?;
    let more = smallest.len() > limit;
    let mut entries = Vec::with_capacity(limit.min(smallest.len()));
    let mut last = None;
    for (name, entry) in smallest.into_iter().take(limit) {
        let value = match &what.folder {
            Some(folder) => format!("{folder}/{name}"),
            None => name.clone(),
        };
        last = Some(name.clone());
        // A folder so deep that nothing in it could be named is left out, too.
        let Ok(full) = value.parse::<DiskName>() else { continue };
        let bytes = match (entry.folder, entry.bytes) {
            (true, _) => None,
            (false, Some(bytes)) => Some(bytes),
            (false, None) => match share.stamp(&SharePath::from(&full)).await {
                Ok(Some(stamp)) => Some(stamp.bytes),
                // It went, or became something else, since it was listed.
                _ => continue,
            },
        };
        let kind = if entry.folder { EntryKind::Folder } else { EntryKind::Item };
        entries.push(Entry { title: name, value, kind, bytes });
    }
    Ok(Listing { entries, next: last.filter(|_| more) })
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
