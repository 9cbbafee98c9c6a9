//! Layers and their versions: kinds, states, sizes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use layering::platform::{Broker, Hypervisor, PlatformTypes, Provisioning, Purpose};
pub use layering::reference::LayerKind;

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
