//! What a template is to be, as it is sent, and the rules that it has to keep.

use crate::app::layers::check_icon;
use crate::app::picks::{Candidate, Found, Pick};
use crate::app::rows::Rows;
use crate::app::{Refusal, present};
use crate::db::Statement;
use crate::domain::layer::{LayerKind, Purpose, check_priority};
use crate::domain::name::Name;
use crate::domain::template::{
    AppVersion, ConfigurationName, DiskSettings, LayerVersion, MOST_APPS, TemplateContent,
};
use crate::domain::text::check_description;
use crate::domain::{ConfigurationId, IconId, Invalid, LayerId, VersionId, icon, reference};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// An app that is to be in a template.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppPick {
    /// This version; or instead of it `layer_id`.
    pub version_id: Option<VersionId>,
    /// The latest deployable version of this layer.
    pub layer_id: Option<LayerId>,
    /// Its priority in this template; without one the layer's own counts.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub priority: Option<i64>,
}

impl AppPick {
    fn pick(&self) -> Pick {
        Pick { version_id: self.version_id, layer_id: self.layer_id }
    }
}

/// A template to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTemplate {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Its icon; without one that of templates.
    pub icon_id: Option<IconId>,
    /// The OS version.
    pub os: Pick,
    /// The platform version, of a layer for publishing.
    pub platform: Option<Pick>,
    /// The apps, each layer once.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub apps: Vec<AppPick>,
    /// To where images are published.
    pub configuration_id: Option<ConfigurationId>,
    /// The image's disk.
    pub disk: DiskSettings,
}

/// What to change of a template; what is absent stays, `null` takes away what need not be there.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TemplateChange {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its icon.
    pub icon_id: Option<IconId>,
    /// The OS version.
    pub os: Option<Pick>,
    /// The platform version, of a layer for publishing.
    #[serde(deserialize_with = "present")]
    pub platform: Option<Option<Pick>>,
    /// The apps, all of them.
    #[schema(max_items = 200)]
    pub apps: Option<Vec<AppPick>>,
    /// To where images are published.
    #[serde(deserialize_with = "present")]
    pub configuration_id: Option<Option<ConfigurationId>>,
    /// The image's disk, all of it.
    pub disk: Option<DiskSettings>,
}

impl TemplateChange {
    /// The template that is wanted when this changes `content`.
    pub(super) fn of(self, content: &TemplateContent) -> NewTemplate {
        let mut wanted = as_wanted(content);
        wanted.name = self.name.unwrap_or(wanted.name);
        wanted.description = self.description.unwrap_or(wanted.description);
        wanted.icon_id = self.icon_id.or(wanted.icon_id);
        wanted.os = self.os.unwrap_or(wanted.os);
        wanted.platform = self.platform.unwrap_or(wanted.platform);
        wanted.apps = self.apps.unwrap_or(wanted.apps);
        wanted.configuration_id = self.configuration_id.unwrap_or(wanted.configuration_id);
        wanted.disk = self.disk.unwrap_or(wanted.disk);
        wanted
    }
}

/// A template that is to be exactly `content`.
pub(super) fn as_wanted(content: &TemplateContent) -> NewTemplate {
    NewTemplate {
        name: content.name.clone(),
        description: content.description.clone(),
        icon_id: Some(content.icon_id),
        os: Pick::version(content.os.version_id),
        platform: content.platform.as_ref().map(|part| Pick::version(part.version_id)),
        apps: content
            .apps
            .iter()
            .map(|app| AppPick { version_id: Some(app.version_id), layer_id: None, priority: app.priority })
            .collect(),
        configuration_id: content.configuration.as_ref().map(|one| one.id),
        disk: content.disk.clone(),
    }
}

/// Checks what is wanted and pins its versions. `was` is what it comes from, which tells the names of what is
/// gone.
pub(super) async fn check(
    rows: &mut impl Rows,
    wanted: &NewTemplate,
    was: Option<&TemplateContent>,
) -> Result<TemplateContent, Refusal> {
    let mut invalid = Invalid::new();
    let name = invalid.take(Name::check("name", &wanted.name));
    let description = invalid.take(check_description("description", &wanted.description));
    invalid.take(wanted.disk.check("disk"));
    if wanted.apps.len() > MOST_APPS {
        invalid.add("apps", "too-many", format!("A template has at most {MOST_APPS} apps."));
        // None of them is looked up.
        return Err(invalid.into());
    }
    let icon_id = wanted.icon_id.unwrap_or(icon::TEMPLATE);
    invalid.take(check_icon(rows, "icon_id", icon_id).await?);
    let configuration = match wanted.configuration_id {
        Some(id) => invalid.take(configuration(rows, id, was).await?),
        None => None,
    };

    let picks: Vec<Pick> =
        [wanted.os].into_iter().chain(wanted.platform).chain(wanted.apps.iter().map(AppPick::pick)).collect();
    let parts = Parts { found: Found::read(rows, &picks).await?, was };
    let os = invalid.take(parts.one("os", wanted.os, LayerKind::Os, None));
    let os_layer = os.as_ref().map(|os| os.layer_id);
    let platform = match wanted.platform {
        Some(pick) => invalid.take(parts.platform("platform", pick, os_layer)),
        None => None,
    };
    let apps = invalid.take(parts.apps(&wanted.apps, os_layer)).unwrap_or_default();
    let (Some(name), Some(description), Some(os)) = (name, description, os) else {
        return Err(invalid.into());
    };
    invalid.finish()?;
    let mut content = TemplateContent {
        name: name.as_str().to_owned(),
        description,
        icon_id,
        os: os.pinned(),
        platform,
        apps,
        configuration,
        disk: wanted.disk.clone(),
    };
    content.sort_apps();
    Ok(content)
}

async fn configuration(
    rows: &mut impl Rows,
    id: ConfigurationId,
    was: Option<&TemplateContent>,
) -> Result<Result<ConfigurationName, Invalid>, Refusal> {
    let statement = Statement::new("SELECT name FROM connector_configurations WHERE id = $1");
    Ok(match rows.optional(statement.bind(id.to_string())).await? {
        Some(row) => Ok(ConfigurationName { id, name: row.text("name")? }),
        None => {
            let before = was.and_then(|was| was.configuration.as_ref()).filter(|before| before.id == id);
            let message = match before {
                Some(before) => format!("The connector configuration {} is no longer there.", before.name),
                None => format!("There is no connector configuration {id}."),
            };
            Err(Invalid::field("configuration_id", "configuration-unknown", message))
        }
    })
}

/// What the picks lead to, and the rules for it.
struct Parts<'w> {
    found: Found,
    was: Option<&'w TemplateContent>,
}

impl Parts<'_> {
    /// The name that a version had in what the template comes from.
    fn name(&self, id: VersionId) -> Option<String> {
        let was = self.was?;
        let of = |kind, part: &LayerVersion| reference::of_version(kind, &part.layer, &part.version);
        if was.os.version_id == id {
            return Some(of(LayerKind::Os, &was.os));
        }
        if let Some(platform) = was.platform.as_ref().filter(|platform| platform.version_id == id) {
            return Some(of(LayerKind::Platform, platform));
        }
        let app = was.apps.iter().find(|app| app.version_id == id)?;
        Some(reference::of_version(LayerKind::App, &app.layer, &app.version))
    }

    /// A version of a kind that belongs to the OS layer.
    fn one(
        &self,
        field: &str,
        pick: Pick,
        kind: LayerKind,
        os_layer: Option<LayerId>,
    ) -> Result<&Candidate, Invalid> {
        let candidate = self.found.deployable(field, pick, |id| self.name(id))?;
        if candidate.kind != kind {
            let message = format!("{} is no version of a layer of the kind {kind}.", candidate.reference());
            return Err(Invalid::field(field, "version-wrong-kind", message));
        }
        candidate.check_os_layer(field, os_layer)?;
        Ok(candidate)
    }

    fn platform(&self, field: &str, pick: Pick, os_layer: Option<LayerId>) -> Result<LayerVersion, Invalid> {
        let candidate = self.one(field, pick, LayerKind::Platform, os_layer)?;
        candidate.check_publishing(field)?;
        Ok(candidate.pinned())
    }

    fn apps(&self, wanted: &[AppPick], os_layer: Option<LayerId>) -> Result<Vec<AppVersion>, Invalid> {
        let mut invalid = Invalid::new();
        let mut seen: HashMap<LayerId, usize> = HashMap::new();
        let mut apps = Vec::with_capacity(wanted.len());
        for (index, app) in wanted.iter().enumerate() {
            let field = format!("apps[{index}]");
            if let Some(priority) = app.priority {
                invalid.take(check_priority(&format!("{field}.priority"), priority));
            }
            let found = self.one(&field, app.pick(), LayerKind::App, os_layer);
            let Some(candidate) = invalid.take(found) else { continue };
            if let Some(before) = seen.insert(candidate.layer_id, index) {
                let message = format!("The layer {} is in apps[{before}] already.", candidate.layer);
                invalid.add(&field, "layer-twice", message);
            }
            apps.push(candidate.as_app(app.priority));
        }
        invalid.finish()?;
        Ok(apps)
    }
}

impl Candidate {
    /// It as an app of a template, with its priority there.
    pub(crate) fn as_app(&self, priority: Option<i64>) -> AppVersion {
        AppVersion {
            layer_id: self.layer_id,
            layer: self.layer.clone(),
            version_id: self.version_id,
            version: self.version.clone(),
            priority,
            layer_priority: self.priority,
        }
    }

    /// Complains in `field` unless its layer belongs to this OS layer. An OS layer belongs to none.
    pub(crate) fn check_os_layer(&self, field: &str, os_layer: Option<LayerId>) -> Result<(), Invalid> {
        let (Some(own), Some(os_layer)) = (&self.os_layer, os_layer) else { return Ok(()) };
        if own.0 == os_layer {
            return Ok(());
        }
        let message = format!("{} belongs to another OS layer, {}.", self.reference(), own.1);
        Err(Invalid::field(field, "layer-of-other-os", message))
    }

    /// Complains in `field` unless its layer is a platform layer for publishing.
    pub(crate) fn check_publishing(&self, field: &str) -> Result<(), Invalid> {
        if self.platform.is_some_and(|types| types.purpose == Purpose::Publishing) {
            return Ok(());
        }
        let message = format!("{} is for packaging; images need one for publishing.", self.reference());
        Err(Invalid::field(field, "platform-not-publishing", message))
    }
}
