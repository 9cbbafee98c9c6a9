//! The direction of knowledge between crates (docs/architecture.md), as a table.

use crate::metadata::Package;
use std::collections::BTreeSet;

/// Each crate and the crates of this workspace that it may name. What is not listed is forbidden; a crate that is not
/// in the table has to be added deliberately.
const ARROWS: &[(&str, &[&str])] = &[
    ("direct", &[]),
    ("operation", &[]),
    ("client", &[]),
    ("client-generator", &[]),
    ("ntfs-sys", &[]),
    ("disk", &["direct", "operation"]),
    ("store", &["direct", "operation"]),
    ("hive", &["operation"]),
    ("volume", &["disk", "operation"]),
    ("connectors", &["disk", "operation"]),
    ("ntfs-volume", &["disk", "ntfs-sys", "operation", "volume"]),
    ("layering", &["disk", "hive", "ntfs-volume", "operation", "store", "volume"]),
    ("worker", &["disk", "hive", "layering", "ntfs-volume", "operation", "store", "volume"]),
    // disk: requests carry the names of image formats, which the command line parses
    ("server", &["connectors", "disk", "layering", "operation", "worker"]),
    ("lamina", &["client", "disk", "layering", "operation", "server", "store", "worker"]),
    // builds where the libraries of the others cannot be built yet; hive makes the demo's and the bench's hives
    ("xtask", &["hive"]),
];

/// Engine crates are synchronous and know nothing of HTTP or SQL; neither do the project's tasks.
const FORBIDDEN_OUTSIDE_CRATES: &[&str] =
    &["tokio", "async-std", "hyper", "axum", "reqwest", "ureq", "sqlx", "rusqlite", "diesel"];

/// What single crates may name all the same: the server, its client, who starts them, and connectors, which wait for networks.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("client", "reqwest"),
    ("client", "tokio"),
    ("connectors", "tokio"),
    ("lamina", "tokio"),
    ("server", "axum"),
    ("server", "reqwest"),
    ("server", "sqlx"),
    ("server", "tokio"),
];

/// Dependencies that point the wrong way.
pub(crate) fn check(packages: &[Package]) -> Vec<String> {
    let mut findings = Vec::new();
    for package in packages {
        let Some(allowed) = allowed(&package.name) else {
            findings.push(format!(
                "crate {}: not in the table of arrows (xtask/src/arch/arrows.rs)",
                package.name
            ));
            continue;
        };
        let beneath = beneath(&package.name);
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            // Tests may look at anything below the crate under test.
            let known = if dependency.kind.as_deref() == Some("dev") {
                name == package.name || beneath.contains(name)
            } else {
                allowed.contains(&name)
            };
            if dependency.path.is_some() && !known {
                findings.push(format!(
                    "crate {}: depends on {name}, which it must not know; it may know {}",
                    package.name,
                    if allowed.is_empty() { "no other crate".to_owned() } else { allowed.join(", ") }
                ));
            }
            if FORBIDDEN_OUTSIDE_CRATES.contains(&name)
                && !EXCEPTIONS.contains(&(package.name.as_str(), name))
            {
                findings.push(format!(
                    "crate {}: depends on {name}; the engine is synchronous and knows no HTTP or SQL",
                    package.name
                ));
            }
        }
    }
    findings
}

fn allowed(name: &str) -> Option<&'static [&'static str]> {
    ARROWS.iter().find(|(known, _)| *known == name).map(|(_, allowed)| *allowed)
}

/// Everything that can be reached from `name` along the arrows.
fn beneath(name: &str) -> BTreeSet<&'static str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&'static str> = allowed(name).unwrap_or_default().to_vec();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(allowed(next).unwrap_or_default());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        Package {
            name: name.into(),
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency {
                    name: (*name).into(),
                    kind: kind.map(Into::into),
                    path: ARROWS.iter().any(|(known, _)| known == name).then(|| "crates/x".into()),
                })
                .collect(),
        }
    }

    #[test]
    fn the_arrows_have_no_cycle() {
        for (name, _) in ARROWS {
            assert!(!beneath(name).contains(name), "{name} reaches itself");
        }
    }

    #[test]
    fn a_disk_that_knows_layers_is_refused() {
        let findings = check(&[package("disk", &[("operation", None), ("layering", None)])]);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].contains("crate disk: depends on layering"), "{findings:?}");
    }

    #[test]
    fn tests_may_look_further_down_but_never_up() {
        assert_eq!(check(&[package("lamina", &[("hive", Some("dev"))])]), Vec::<String>::new());
        assert_eq!(check(&[package("disk", &[("store", Some("dev"))])]).len(), 1);
        assert_eq!(check(&[package("lamina", &[("hive", None)])]).len(), 1);
    }

    #[test]
    fn a_new_crate_has_to_be_placed_and_an_engine_crate_cannot_speak_http() {
        assert!(check(&[package("mystery", &[])])[0].contains("not in the table"));
        assert!(check(&[package("store", &[("tokio", None)])])[0].contains("synchronous"));
        assert_eq!(check(&[package("connectors", &[("tokio", None)])]), Vec::<String>::new());
        assert!(check(&[package("connectors", &[("sqlx", None)])])[0].contains("SQL"));
    }
}
