//! Packages of Windows itself that a change installs or removes.

use crate::manifest::Manifest;
use hive::KeyRole;

/// Where component-based servicing keeps the packages that are installed, in SOFTWARE.
const PACKAGES: &str = "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\Packages\\";

/// The names of Windows' own packages (updates, features, languages) that a version installs or removes.
pub(crate) fn windows_packages(manifest: &Manifest) -> Vec<String> {
    let mut packages = Vec::new();
    for hive in manifest.hives.iter().filter(|hive| hive.name.to_string().eq_ignore_ascii_case("SOFTWARE")) {
        for (position, key) in hive.delta.keys.iter().enumerate() {
            if !matches!(key.role, KeyRole::Added | KeyRole::Removed) {
                continue;
            }
            let path = hive.delta.path(position);
            let below = path.get(..PACKAGES.len()).filter(|start| start.eq_ignore_ascii_case(PACKAGES));
            if below.is_some_and(|_| !path[PACKAGES.len()..].contains('\\')) {
                packages.push(key.name.to_string());
            }
        }
    }
    packages
}
