//! Layers and their versions: kinds, states, sizes.

use super::Invalid;
use disk::format::MAX_DISK;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use utoipa::ToSchema;

pub use layering::platform::{Broker, Hypervisor, PlatformTypes, Provisioning, Purpose};
pub use layering::reference::LayerKind;

const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

/// State of a layer version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VersionState {
    /// Its packaging disk is being made, or its disk imported.
    Creating,
    /// Somebody installs it on the packaging machine.
    Packaging,
    /// What changed is being captured.
    Finalizing,
    /// It can go into images.
    Deployable,
    /// It is being removed.
    Deleting,
    /// It cannot be used, and is only to be deleted.
    Failed,
}

impl VersionState {
    /// Every state.
    pub const ALL: [VersionState; 6] = [
        VersionState::Creating,
        VersionState::Packaging,
        VersionState::Finalizing,
        VersionState::Deployable,
        VersionState::Deleting,
        VersionState::Failed,
    ];

    /// As it is written in the API and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            VersionState::Creating => "creating",
            VersionState::Packaging => "packaging",
            VersionState::Finalizing => "finalizing",
            VersionState::Deployable => "deployable",
            VersionState::Deleting => "deleting",
            VersionState::Failed => "failed",
        }
    }

    /// The state that is written so.
    pub fn parse(text: &str) -> Option<VersionState> {
        VersionState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Priorities of app layers.
const PRIORITIES: RangeInclusive<i64> = 1..=1_000_000_000;
/// What a version may be allowed to add at most, in bytes.
const MAX_BYTES: RangeInclusive<i64> = MIB..=MAX_DISK as i64;

/// Checks a priority that was sent in `field`. The app with the higher one wins.
pub fn check_priority(field: &str, priority: i64) -> Result<i64, Invalid> {
    if PRIORITIES.contains(&priority) {
        return Ok(priority);
    }
    let (lowest, highest) = PRIORITIES.into_inner();
    Err(Invalid::field(field, "out-of-range", format!("A priority is {lowest} to {highest}.")))
}

/// Checks what a version may add at most, in bytes, that was sent in `field`.
pub fn check_max_bytes(field: &str, bytes: i64) -> Result<i64, Invalid> {
    if MAX_BYTES.contains(&bytes) {
        return Ok(bytes);
    }
    Err(Invalid::field(field, "out-of-range", "A version may be allowed to add 1 MiB to 64 TiB."))
}

/// Most that a version may add when nobody says, in bytes (PRODUCT §2, Sizes).
pub fn default_max_bytes(kind: LayerKind) -> i64 {
    match kind {
        LayerKind::Os => 100 * GIB,
        LayerKind::Platform | LayerKind::App => 10 * GIB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_written_as_its_json() {
        for state in VersionState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
            assert_eq!(VersionState::parse(state.as_str()), Some(state));
        }
    }
}
