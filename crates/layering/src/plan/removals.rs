//! Taking paths away, whoever they are from.

use super::view::{ROOT, View};
use volume::Name;

/// Takes away what is at these paths, directories with everything in them; gives the positions of those where something
/// was.
pub(super) fn remove(view: &mut View<'_>, paths: &[&str]) -> Vec<usize> {
    let mut removed = Vec::new();
    for (position, path) in paths.iter().enumerate() {
        let names = path.split('\\').filter(|name| !name.is_empty());
        let names: Vec<Name> = names.map(|name| view.tree.fold(&Name::from(name))).collect();
        let Some((last, directories)) = names.split_last() else { continue };
        let place = directories.iter().try_fold(ROOT, |place, name| view.subdirectory(place, name));
        if place.and_then(|place| view.remove(place, last)).is_some() {
            removed.push(position);
        }
    }
    removed
}
