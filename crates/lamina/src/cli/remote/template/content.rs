//! `lamina template create` and `edit`: what is in a template.

use super::super::choices::{FORMATS, GENERALISATIONS, RECOVERY_RULES, one_of};
use super::super::layer::nothing_to_change;
use super::super::trouble::Trouble;
use super::super::{Context, Done, amounts, tag};
use super::show;
use clap::Args;
use client::types::{
    AppPick, DiskFormat, DiskSettings, Generalisation, LayerKind, NewTemplate, RecoveryRule, TemplateChange,
    TemplateView,
};
use serde_json::{Value, json};

/// Make an image template
#[derive(Args)]
#[command(after_long_help = "\
Apps (APP):
  NAME[@VERSION][=PRIORITY]
  Without @VERSION the latest deployable version at this moment; without =PRIORITY
  the layer's own priority.

Examples:
  lamina template create Desktop --os 'Windows 11' --app Office --app 'Teams@24=900' \\
      --platform Azure --connector NAS --format vhd")]
pub(in crate::cli) struct CreateArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// OS version: NAME[@VERSION]
    #[arg(long, value_name = "OS")]
    os: String,
    /// App version; may be repeated
    #[arg(long = "app", value_name = "APP")]
    apps: Vec<String>,
    /// Platform version for publishing: NAME[@VERSION]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Connector configuration that images go to
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Its icon
    #[arg(long, value_name = "ICON")]
    icon: Option<String>,
    /// Format of the image's disk
    #[arg(long, value_name = "FORMAT", value_parser = one_of::<DiskFormat>(FORMATS))]
    format: DiskFormat,
    #[command(flatten)]
    disk: DiskArgs,
}

/// Settings of the image's disk.
#[derive(Args)]
struct DiskArgs {
    /// Length of the image's disk; the larger of 100 GiB and the OS disk when absent
    #[arg(long, value_name = "SIZE", value_parser = amounts::size)]
    size: Option<i64>,
    /// Name of the image's file, with folders in front; the template's name when absent
    #[arg(long, value_name = "FILE")]
    disk: Option<String>,
    /// What to do with a partition that is in the way of growth
    #[arg(long, value_name = "RULE", value_parser = one_of::<RecoveryRule>(RECOVERY_RULES))]
    recovery: Option<RecoveryRule>,
    /// What makes machines of the image differ from each other
    #[arg(long, value_name = "HOW", value_parser = one_of::<Generalisation>(GENERALISATIONS))]
    generalisation: Option<Generalisation>,
}

/// Change an image template: each change is a revision
///
/// What is not named stays. What was published stays as well.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina template edit Desktop --os 'Windows 11@24H2' --add-app Teams --remove-app Skype
  lamina template edit Desktop --add-app Office@2025      (another version of an app that it has)
  lamina template edit Desktop --no-connector")]
pub(in crate::cli) struct EditArgs {
    /// The template
    #[arg(value_name = "TEMPLATE")]
    template: String,
    /// Its new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Its icon
    #[arg(long, value_name = "ICON")]
    icon: Option<String>,
    /// OS version: NAME[@VERSION]
    #[arg(long, value_name = "OS")]
    os: Option<String>,
    /// Add this app, or put this version in the place of the one that it has: NAME[@VERSION][=PRIORITY]
    #[arg(long, value_name = "APP")]
    add_app: Vec<String>,
    /// Take this app out: NAME
    #[arg(long, value_name = "APP")]
    remove_app: Vec<String>,
    /// Platform version for publishing: NAME[@VERSION]
    #[arg(long, value_name = "PLATFORM", conflicts_with = "no_platform")]
    platform: Option<String>,
    /// Without a platform layer
    #[arg(long)]
    no_platform: bool,
    /// Connector configuration that images go to
    #[arg(long, value_name = "NAME", conflicts_with = "no_connector")]
    connector: Option<String>,
    /// Without a connector configuration
    #[arg(long)]
    no_connector: bool,
    /// Format of the image's disk
    #[arg(long, value_name = "FORMAT", value_parser = one_of::<DiskFormat>(FORMATS))]
    format: Option<DiskFormat>,
    #[command(flatten)]
    disk: DiskArgs,
}

/// The reference and the priority of `NAME[@VERSION][=PRIORITY]`.
fn app_and_priority(text: &str) -> Result<(&str, Option<i64>), Trouble> {
    // A name may hold `=`; a priority is the number behind the last one.
    match text.rsplit_once('=').map(|(app, priority)| (app, priority.parse())) {
        Some((app, Ok(priority))) => Ok((app, Some(priority))),
        Some((_, Err(_))) if text.ends_with('=') => {
            Err(Trouble::usage("priority", format!("{text} ends without a priority.")))
        }
        _ => Ok((text, None)),
    }
}

async fn app_pick(context: &Context, text: &str) -> Result<AppPick, Trouble> {
    let (app, priority) = app_and_priority(text)?;
    let version_id = context.version_id_of(LayerKind::App, app).await?;
    Ok(AppPick { layer_id: None, priority, version_id: Some(version_id) })
}

impl CreateArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let mut apps = Vec::new();
        for app in &self.apps {
            apps.push(app_pick(context, app).await?);
        }
        let platform = match &self.platform {
            Some(platform) => Some(context.pick(LayerKind::Platform, platform).await?),
            None => None,
        };
        let new = NewTemplate {
            apps,
            configuration_id: context.configuration_id(self.connector.as_deref()).await?,
            description: self.description,
            disk: DiskSettings {
                bytes: self.disk.size,
                format: self.format,
                generalisation: self.disk.generalisation,
                name: self.disk.disk,
                recovery: self.disk.recovery,
            },
            icon_id: context.icon_id(self.icon.as_deref()).await?,
            name: self.name,
            os: context.pick(LayerKind::Os, &self.os).await?,
            platform,
        };
        let request = context.api.create_template().idempotency_key(client::once());
        show(context, &request.body(new).send().await?.into_inner())
    }
}

impl EditArgs {
    pub(super) async fn run(self, context: &Context) -> Done {
        let template = context.template(&self.template).await?;
        let change = self.change(&template, context).await?;
        if serde_json::to_value(&change).ok() == Some(json!({})) {
            return Err(nothing_to_change());
        }
        let request =
            context.api.update_template().id(template.id.to_string()).if_match(tag(template.revision));
        show(context, &request.body(change).send().await?.into_inner())
    }

    async fn change(self, template: &TemplateView, context: &Context) -> Result<TemplateChange, Trouble> {
        let platform = match &self.platform {
            Some(platform) => Some(json!(context.pick(LayerKind::Platform, platform).await?)),
            None => self.no_platform.then_some(Value::Null),
        };
        let configuration_id = match context.configuration_id(self.connector.as_deref()).await? {
            Some(id) => Some(json!(id)),
            None => self.no_connector.then_some(Value::Null),
        };
        let os = match &self.os {
            Some(os) => Some(json!(context.pick(LayerKind::Os, os).await?)),
            None => None,
        };
        Ok(TemplateChange {
            apps: apps(template, &self.add_app, &self.remove_app, context).await?,
            configuration_id,
            description: self.description,
            disk: disk(&template.disk, self.format, self.disk).map(|disk| json!(disk)),
            icon_id: context.icon_id(self.icon.as_deref()).await?.map(|id| json!(id)),
            name: self.name,
            os,
            platform,
        })
    }
}

/// The disk's settings with those that are given, if any is.
fn disk(before: &DiskSettings, format: Option<DiskFormat>, given: DiskArgs) -> Option<DiskSettings> {
    let DiskArgs { size, disk, recovery, generalisation } = given;
    if format.is_none() && size.is_none() && disk.is_none() && recovery.is_none() && generalisation.is_none()
    {
        return None;
    }
    Some(DiskSettings {
        bytes: size.or(before.bytes),
        format: format.unwrap_or(before.format),
        generalisation: generalisation.or(before.generalisation),
        name: disk.or_else(|| before.name.clone()),
        recovery: recovery.or(before.recovery),
    })
}

/// The apps of a template after some were added and removed; nothing when none was.
async fn apps(
    template: &TemplateView,
    added: &[String],
    removed: &[String],
    context: &Context,
) -> Result<Option<Vec<AppPick>>, Trouble> {
    if added.is_empty() && removed.is_empty() {
        return Ok(None);
    }
    let mut apps = template.apps.clone();
    for text in removed {
        let layer = context.layer(LayerKind::App, text).await?;
        let before = apps.len();
        apps.retain(|app| app.layer_id != layer.id);
        if apps.len() == before {
            let message = format!("The template {} does not have the app {}.", template.name, layer.name);
            return Err(Trouble::here("app-not-there", message));
        }
    }
    let mut picks: Vec<(client::types::LayerId, AppPick)> = apps
        .into_iter()
        .map(|app| {
            let pick = AppPick { layer_id: None, priority: app.priority, version_id: Some(app.version_id) };
            (app.layer_id, pick)
        })
        .collect();
    for text in added {
        let mut pick = app_pick(context, text).await?;
        let id = pick.version_id.as_ref().map(|id| id.to_string()).unwrap_or_default();
        let layer_id = context.api.get_version().id(id).send().await?.into_inner().layer_id;
        match picks.iter_mut().find(|(layer, _)| *layer == layer_id) {
            Some((_, before)) => {
                pick.priority = pick.priority.or(before.priority);
                *before = pick;
            }
            None => picks.push((layer_id, pick)),
        }
    }
    Ok(Some(picks.into_iter().map(|(_, pick)| pick).collect()))
}

#[cfg(test)]
mod tests {
    use super::app_and_priority;

    #[test]
    fn a_priority_is_a_number_behind_the_last_equals_sign() {
        let parts = |text| app_and_priority(text).unwrap();
        assert_eq!(parts("Office@2024"), ("Office@2024", None));
        assert_eq!(parts("Office@2024=900"), ("Office@2024", Some(900)));
        assert_eq!(parts("a=b"), ("a=b", None));
        assert_eq!(parts("a=b=7"), ("a=b", Some(7)));
        assert!(app_and_priority("Office=").is_err());
    }
}
