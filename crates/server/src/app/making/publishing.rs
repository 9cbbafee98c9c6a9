//! Publishing layered images: one task for each template.

use super::super::rows::{Rows, for_each_of};
use super::super::sagas::{PUBLISH, Publish, claim};
use super::super::tasks::Wanted;
use super::super::templates::store;
use super::super::{App, Begun, Call, Change, Object, Refusal};
use super::packaging::composite;
use super::place::check_reason;
use super::{connector_of, disk_name};
use crate::app::templates::store::Template;
use crate::db::Statement;
use crate::domain::image::ImageLayer;
use crate::domain::layer::LayerKind;
use crate::domain::template::{AppVersion, Generalisation, LayerVersion, RecoveryRule};
use crate::domain::{Action, ImageId, Invalid, TaskId, TemplateId, VersionId, reference};
use connectors::{DiskName, Purpose, Shipment};
use disk::format::Format;
use layering::request::Recovery;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most templates that one call publishes.
const MOST: usize = 100;

/// Templates to publish.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishTemplates {
    /// Which, each with its own task.
    pub templates: Vec<PublishTemplate>,
    /// Why files are published although the OS version has newer ones, should that be so.
    pub override_reason: Option<String>,
}

/// A template to publish.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishTemplate {
    /// Which.
    pub template_id: TemplateId,
    /// The name of the image's disk this time, which has to be free. Without it the template's; without that
    /// `NAME-rREVISION.EXTENSION` of the template, with a number behind it when there is such a file.
    pub disk: Option<String>,
}

/// What was begun for a template.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PublishingTask {
    /// The template.
    pub template_id: TemplateId,
    /// What the image will be known by.
    pub image_id: ImageId,
    /// The task.
    pub task_id: TaskId,
}

/// What was begun.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Publishing {
    /// One for each template, in their order.
    pub tasks: Vec<PublishingTask>,
}

impl App {
    /// Publishes templates. Either all of them can be begun, or none is.
    pub async fn publish_templates(
        &self,
        call: &Call,
        wanted: &PublishTemplates,
    ) -> Result<Publishing, Refusal> {
        call.may(Action::PublishTemplates)?;
        if !(1..=MOST).contains(&wanted.templates.len()) {
            let message = format!("1 to {MOST} templates are published at once.");
            return Err(Invalid::field("templates", "too-many", message).into());
        }
        let mut invalid = Invalid::new();
        let override_reason = check_reason(&mut invalid, wanted.override_reason.as_deref());
        invalid.finish()?;
        let mut change = match self.begin_creating(call, Action::PublishTemplates, wanted).await? {
            Begun::Before(publishing) => return Ok(publishing),
            Begun::Now(change) => change,
        };
        let mut invalid = Invalid::new();
        let mut tasks = Vec::new();
        for (index, one) in wanted.templates.iter().enumerate() {
            let field = format!("templates[{index}]");
            let template = store::read(&mut change, one.template_id).await?;
            let checked = self
                .parameters(&mut change, &field, &template, one, override_reason.as_deref(), call)
                .await?;
            let Some(parameters) = invalid.take(checked) else { continue };
            let (task, image) = (TaskId::new(), parameters.image);
            let explicit = !parameters.default_name;
            let disk = claim(parameters.configuration, &parameters.shipment.name);
            if explicit && let Some(other) = claimed_by(&mut change, &disk).await? {
                let disk = &parameters.shipment.name;
                let message = match tasks.iter().any(|begun: &PublishingTask| begun.task_id == other) {
                    true => format!("Another template of this call is published as {disk}."),
                    false => format!("The task {other} publishes an image as {disk}."),
                };
                invalid.add(&format!("{field}.disk"), "disk-name-taken", message);
                continue;
            }
            let text = template.id.to_string();
            let object = Object { kind: "template", id: &text, name: &template.content.name };
            let task_wanted = Wanted {
                saga: PUBLISH,
                title: "Publishing Layered Image",
                description: format!("Publishing {}.", template.content.name),
                object,
                parameters,
            };
            self.enqueue(&mut change, task, task_wanted).await?;
            if explicit {
                let statement = Statement::new("UPDATE tasks SET claims = $2 WHERE id = $1")
                    .bind(task.to_string())
                    .bind(disk);
                change.execute(statement).await?;
            }
            let detail = serde_json::json!({ "image": image, "revision": template.revision, "task": task,
                "override_reason": override_reason });
            let also = [("image", image.to_string())];
            change.audit_touching(Action::PublishTemplates, object, &also, &detail).await?;
            tasks.push(PublishingTask { template_id: template.id, image_id: image, task_id: task });
        }
        invalid.finish()?;
        let publishing = Publishing { tasks };
        change.remember(&publishing).await?;
        change.commit().await?;
        Ok(publishing)
    }

    async fn parameters(
        &self,
        change: &mut Change<'_>,
        field: &str,
        template: &Template,
        wanted: &PublishTemplate,
        override_reason: Option<&str>,
        call: &Call,
    ) -> Result<Result<Publish, Invalid>, Refusal> {
        let content = &template.content;
        let complaint = |code: &str, message: String| Ok(Err(Invalid::field(field, code, message)));
        let name = &content.name;
        let Some(platform) = &content.platform else {
            return complaint(
                "platform-missing",
                format!("The template {name} has no publishing platform layer."),
            );
        };
        let Some(configuration) = &content.configuration else {
            return complaint(
                "configuration-missing",
                format!("The template {name} has no connector configuration."),
            );
        };
        if content.disk.generalisation == Generalisation::Sysprep {
            let message =
                format!("The template {name} asks for sysprep, which needs a connector that runs machines.");
            return complaint("generalisation-impossible", message);
        }
        let connector = connector_of(change, field, configuration.id).await?;
        let format = content.disk.format.0;
        if let Err(invalid) = self.check_purpose(field, &connector, Purpose::Publish, Some(format)) {
            return Ok(Err(invalid));
        }
        let disk = wanted.disk.as_ref().or(content.disk.name.as_ref());
        let default_name = disk.is_none();
        let disk =
            disk.cloned().unwrap_or_else(|| format!("{name}-r{}.{}", template.revision, extension(format)));
        let disk: DiskName = match disk_name(&format!("{field}.disk"), &disk) {
            Ok(disk) => disk,
            Err(invalid) => return Ok(Err(invalid)),
        };
        let apps: Vec<VersionId> = content.apps.iter().map(|app| app.version_id).collect();
        let composite =
            composite(change, content.os.version_id, &apps, None, Some(platform.version_id)).await?;
        Ok(Ok(Publish {
            image: ImageId::new(),
            name: name.clone(),
            template: template.id,
            template_name: name.clone(),
            template_revision: template.revision,
            composite,
            layers: layers(change, template).await?,
            size: content.disk.bytes.map(i64::unsigned_abs),
            recovery: match content.disk.recovery {
                RecoveryRule::Move => Some(Recovery::Move),
                RecoveryRule::Drop => Some(Recovery::Drop),
                RecoveryRule::Refuse => None,
            },
            override_reason: override_reason.map(str::to_owned),
            configuration: configuration.id,
            connector,
            shipment: Shipment { purpose: Purpose::Publish, name: disk, format },
            default_name,
            named: true,
            published_by: call.actor.name.clone(),
        }))
    }
}

/// The task that is under way and has claimed a disk.
async fn claimed_by(change: &mut Change<'_>, claim: &str) -> Result<Option<TaskId>, Refusal> {
    let statement = Statement::new("SELECT id FROM tasks WHERE claims = $1 AND ended_at IS NULL").bind(claim);
    change.optional(statement).await?.map(|row| super::super::id(&row, "id")).transpose()
}

fn extension(format: Format) -> &'static str {
    match format {
        Format::Raw => "img",
        Format::Vhd | Format::VhdDynamic => "vhd",
        Format::Vhdx => "vhdx",
        Format::Qcow2 => "qcow2",
        Format::Vmdk => "vmdk",
    }
}

/// Every version that goes in, with its digest, for the record of the image.
async fn layers(rows: &mut impl Rows, template: &Template) -> Result<Vec<ImageLayer>, Refusal> {
    let content = &template.content;
    let layer = |kind, part: &LayerVersion| ImageLayer {
        reference: reference::of_version(kind, &part.layer, &part.version),
        layer_id: Some(part.layer_id),
        version_id: Some(part.version_id),
        digest: None,
        priority: None,
    };
    let app = |app: &AppVersion| ImageLayer {
        reference: reference::of_version(LayerKind::App, &app.layer, &app.version),
        layer_id: Some(app.layer_id),
        version_id: Some(app.version_id),
        digest: None,
        priority: Some(app.effective_priority()),
    };
    let mut layers = vec![layer(LayerKind::Os, &content.os)];
    layers.extend(content.apps.iter().map(app));
    layers.extend(content.platform.iter().map(|platform| layer(LayerKind::Platform, platform)));
    let ids: Vec<VersionId> = layers.iter().filter_map(|layer| layer.version_id).collect();
    for row in for_each_of(rows, "SELECT id, digest FROM versions WHERE id IN (?)", &ids).await? {
        let id: VersionId = super::super::id(&row, "id")?;
        if let Some(layer) = layers.iter_mut().find(|layer| layer.version_id == Some(id)) {
            layer.digest = row.optional_text("digest")?;
        }
    }
    Ok(layers)
}
