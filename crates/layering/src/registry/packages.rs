//! What a change of the registry tells of Windows' own databases.

use crate::manifest::Manifest;
use hive::{Data, Delta, KeyRole, ValueChange};

/// Where component-based servicing keeps the packages that are installed, in SOFTWARE.
const PACKAGES: &str = "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\Packages\\";

/// Where WMI lists the files that it makes its repository from, in SOFTWARE.
const MOF_FILES: (&str, &str) = ("Microsoft\\WBEM\\CIMOM", "Autorecover MOFs");

/// The files with classes of WMI that a version adds to the list of those.
pub(crate) fn mof_files(manifest: &Manifest) -> Vec<String> {
    let (path, name) = MOF_FILES;
    let mut added = Vec::new();
    for delta in software(manifest) {
        let key = (0..delta.keys.len()).find(|at| delta.path(*at).eq_ignore_ascii_case(path));
        let values = key.map_or(&[][..], |key| &delta.keys[key].values);
        for ValueChange { before, after, .. } in
            values.iter().filter(|value| value.name.to_string().eq_ignore_ascii_case(name))
        {
            let texts = |data: &Option<Data<'_>>| data.as_ref().and_then(Data::texts).unwrap_or_default();
            let before = texts(before);
            added.extend(texts(after).into_iter().filter(|file| !before.contains(file)));
        }
    }
    added
}

/// What a version changes in SOFTWARE.
fn software(manifest: &Manifest) -> impl Iterator<Item = &Delta> {
    let hives = manifest.hives.iter();
    hives.filter(|hive| hive.name.to_string().eq_ignore_ascii_case("SOFTWARE")).map(|hive| &hive.delta)
}

/// The names of Windows' own packages (updates, features, languages) that a version installs or removes.
pub(crate) fn windows_packages(manifest: &Manifest) -> Vec<String> {
    let mut packages = Vec::new();
    for delta in software(manifest) {
        for (position, key) in delta.keys.iter().enumerate() {
            if !matches!(key.role, KeyRole::Added | KeyRole::Removed) {
                continue;
            }
            let path = delta.path(position);
            let below = path.get(..PACKAGES.len()).filter(|start| start.eq_ignore_ascii_case(PACKAGES));
            if below.is_some_and(|_| !path[PACKAGES.len()..].contains('\\')) {
                packages.push(key.name.to_string());
            }
        }
    }
    packages
}
