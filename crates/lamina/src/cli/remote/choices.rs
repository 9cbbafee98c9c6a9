//! What the API takes of a fixed list, as arguments: a wrong one is refused with the list, and shells complete it.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::str::FromStr;

/// Disk formats.
pub(super) const FORMATS: &[&str] = &["raw", "vhd", "vhd-dynamic", "vhdx", "qcow2", "vmdk"];
/// What machines run on.
pub(super) const HYPERVISORS: &[&str] = layering::platform::Hypervisor::NAMES;
/// What a platform layer is for.
pub(super) const PURPOSES: &[&str] = layering::platform::Purpose::NAMES;
/// What makes many machines of one image.
pub(super) const PROVISIONING: &[&str] = layering::platform::Provisioning::NAMES;
/// What brings users to machines.
pub(super) const BROKERS: &[&str] = layering::platform::Broker::NAMES;
/// What makes machines of an image differ from each other.
pub(super) const GENERALISATIONS: &[&str] = &["none", "sysprep"];
/// What is done with a partition that is in the way of growth.
pub(super) const RECOVERY_RULES: &[&str] = &["refuse", "move", "drop"];
/// What users and groups may do.
pub(super) const ROLES: &[&str] = &[
    "administrator",
    "manage-os-layers",
    "manage-platform-layers",
    "manage-app-layers",
    "manage-image-templates",
    "publish-layered-images",
    "read-only",
];
/// Kinds of layers.
pub(super) const LAYER_KINDS: &[&str] = &["os", "platform", "app"];
/// What happens to tasks.
pub(super) const TASK_EVENTS: &[&str] =
    &["created", "started", "action-required", "done", "failed", "stopped"];
/// States of layer versions.
pub(super) const VERSION_STATES: &[&str] =
    &["creating", "packaging", "finalizing", "deployable", "deleting", "failed"];
/// States of tasks.
pub(super) const TASK_STATES: &[&str] =
    &["queued", "running", "action-required", "done", "failed", "stopped"];

/// One of `names`, each of which is one of the API's.
pub(super) fn one_of<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: std::error::Error + Send + Sync> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.parse::<T>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::types;

    #[track_caller]
    fn are<T: FromStr>(names: &[&str]) {
        for name in names {
            assert!(name.parse::<T>().is_ok(), "{name}");
        }
    }

    #[test]
    fn every_choice_is_one_of_the_api() {
        are::<types::DiskFormat>(FORMATS);
        are::<types::Hypervisor>(HYPERVISORS);
        are::<types::Purpose>(PURPOSES);
        are::<types::Provisioning>(PROVISIONING);
        are::<types::Broker>(BROKERS);
        are::<types::Generalisation>(GENERALISATIONS);
        are::<types::RecoveryRule>(RECOVERY_RULES);
        are::<types::Role>(ROLES);
        are::<types::LayerKind>(LAYER_KINDS);
        are::<types::TaskEvent>(TASK_EVENTS);
        are::<types::VersionState>(VERSION_STATES);
        are::<types::TaskState>(TASK_STATES);
    }
}
