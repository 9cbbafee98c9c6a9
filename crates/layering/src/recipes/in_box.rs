//! Services and drivers that are shipped in Windows, which no recipe touches. The list is data: `in-box.txt`.

use crate::registry::lines;
use std::collections::HashSet;
use std::sync::OnceLock;

const LIST: &str = include_str!("in-box.txt");

/// Whether a service or driver of this name is shipped in Windows.
pub(super) fn is_in_box(name: &str) -> bool {
    let name = name.to_lowercase();
    list().0.contains(&name) || list().1.contains(&name)
}

/// Whether it is shipped in Windows, and of use on one hypervisor only: recipes may disable it.
pub(super) fn may_disable(name: &str) -> bool {
    list().1.contains(&name.to_lowercase())
}

/// The names in lower case: those that no recipe touches, and those that one may disable.
fn list() -> &'static (HashSet<String>, HashSet<String>) {
    static NAMES: OnceLock<(HashSet<String>, HashSet<String>)> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut names = (HashSet::new(), HashSet::new());
        for (_, line) in lines(LIST) {
            match line.strip_prefix("guest ") {
                Some(name) => names.1.insert(name.trim().to_lowercase()),
                None => names.0.insert(line.to_lowercase()),
            };
        }
        names
    })
}
