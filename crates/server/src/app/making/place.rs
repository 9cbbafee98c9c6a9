//! Where disks come from and go to, and who may override what.

use super::super::{App, Call, Reason, Refusal};
use crate::domain::{ConfigurationId, Invalid, Role};
use connectors::Purpose;
use disk::format::Format;

/// Longest reason of an override, in characters.
const LONGEST_REASON: usize = 1000;

impl App {
    /// The place that was chosen, or the file share.
    pub(super) async fn place_or_share(
        &self,
        chosen: Option<ConfigurationId>,
    ) -> Result<ConfigurationId, Refusal> {
        if let Some(chosen) = chosen {
            return Ok(chosen);
        }
        self.settings().await?.file_share.ok_or_else(|| {
            Refusal::new(
                Reason::Conflict,
                "file-share-missing",
                "No connector configuration was chosen, and there is no file share.",
            )
            .hint("Choose one, or let an administrator set the file share in the settings.")
        })
    }

    /// Complains in `field` unless connectors of this kind are for `purpose`, with disks of this format.
    pub(super) fn check_purpose(
        &self,
        field: &str,
        connector: &str,
        purpose: Purpose,
        format: Option<Format>,
    ) -> Result<(), Invalid> {
        let complaint = |message: String| Err(Invalid::field(field, "connector-cannot", message));
        let Some(kind) = self.kinds.kind(connector) else {
            return complaint(format!("This server has no connectors of the kind {connector}."));
        };
        let description = kind.describe();
        if !description.capabilities.offers(purpose) {
            return complaint(format!("{} is not for this.", description.title));
        }
        match format {
            Some(format) if !description.capabilities.takes(purpose, format) => {
                complaint(format!("{} takes no disks in the format {format}.", description.title))
            }
            _ => Ok(()),
        }
    }

    /// The reason of an override, which only administrators may give.
    pub(super) fn check_override(
        &self,
        call: &Call,
        invalid: &mut Invalid,
        reason: Option<&str>,
    ) -> Option<String> {
        let reason = check_reason(invalid, reason)?;
        if !call.actor.roles.iter().any(|role| role == Role::Administrator) {
            invalid.add(OVERRIDE, "override-forbidden", "Only administrators may override findings.");
        }
        Some(reason)
    }
}

/// The field that has the reason of an override.
const OVERRIDE: &str = "override_reason";

/// The reason of an override.
pub(super) fn check_reason(invalid: &mut Invalid, reason: Option<&str>) -> Option<String> {
    let reason = reason?.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        let message = format!("A reason has 1 to {LONGEST_REASON} characters.");
        invalid.add(OVERRIDE, "override-reason", message);
    }
    Some(reason.to_owned())
}
