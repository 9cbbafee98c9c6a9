//! What somebody who publishes a template should know.

use super::store::Template;
use crate::app::rows::{Rows, for_each_of};
use crate::app::{Refusal, id};
use crate::domain::VersionId;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// Something that keeps nobody from saving a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// A stable code: `platform-missing`, `configuration-missing` or `os-version-differs`.
    pub code: String,
    /// The sentence for people.
    pub message: String,
}

/// Names of the OS versions that the platform versions of these templates were made on.
pub(super) async fn made_on(
    rows: &mut impl Rows,
    templates: &[Template],
) -> Result<HashMap<VersionId, String>, Refusal> {
    let mut ids: Vec<VersionId> = templates.iter().filter_map(|template| template.platform_made_on).collect();
    ids.sort_unstable();
    ids.dedup();
    let found = for_each_of(rows, "SELECT id, name FROM versions WHERE id IN (?)", &ids).await?;
    found.iter().map(|row| Ok((id(row, "id")?, row.text("name")?))).collect()
}

/// The warnings of a template.
pub(super) fn of(template: &Template, made_on: &HashMap<VersionId, String>) -> Vec<Warning> {
    let content = &template.content;
    let mut warnings = Vec::new();
    let mut warn = |code: &str, message: String| warnings.push(Warning { code: code.to_owned(), message });
    match (&content.platform, template.platform_made_on) {
        (None, _) => warn(
            "platform-missing",
            "There is no platform layer for publishing; one is required to publish.".to_owned(),
        ),
        (Some(platform), Some(other)) if other != content.os.version_id => {
            let other = match made_on.get(&other) {
                Some(name) => format!("version {name}"),
                None => "a version that is no longer there".to_owned(),
            };
            let (layer, version) = (&platform.layer, &platform.version);
            let message = format!(
                "The platform layer {layer}@{version} was made on {other} of the OS layer, and the template \
                 has version {}. Make a new version of the platform layer on that one.",
                content.os.version
            );
            warn("os-version-differs", message);
        }
        (Some(_), _) => {}
    }
    if content.configuration.is_none() {
        warn(
            "configuration-missing",
            "There is no connector configuration; one is required to publish.".to_owned(),
        );
    }
    warnings
}
