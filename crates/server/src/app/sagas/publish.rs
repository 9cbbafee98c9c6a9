//! Publishing a layered image: compose, export, hand over, remember.

use super::leftover::Leftover;
use super::{steps, work};
use crate::app::App;
use crate::db::Statement;
use crate::domain::image::ImageLayer;
use crate::domain::template::RecoveryRule;
use crate::domain::{ConfigurationId, ImageId, TemplateId, name};
use crate::tasks::{At, Saga, Stage, Step, change_task};
use async_trait::async_trait;
use connectors::{Delivered, DiskName, Shipment};
use layering::report::CompositeSpec;
use layering::request::{ComposeRequest, ExportRequest, Recovery};
use operation::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use worker::{Job, Outcome};

/// The saga's name.
pub(in crate::app) const PUBLISH: &str = "publish";

/// What the engine says when a layer brings a file of which the OS version has a newer version.
const NEWER: &str = "os-binary-newer";

/// Its parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::app) struct Publish {
    /// What the image will be known by.
    pub(in crate::app) image: ImageId,
    /// Its name.
    pub(in crate::app) name: String,
    /// The template that it is made from.
    pub(in crate::app) template: TemplateId,
    /// The template's name.
    pub(in crate::app) template_name: String,
    /// The template's revision.
    pub(in crate::app) template_revision: i64,
    /// What goes in, by references of the store.
    pub(in crate::app) composite: CompositeSpec,
    /// What goes in, for people and with digests.
    pub(in crate::app) layers: Vec<ImageLayer>,
    /// Length of the disk in bytes.
    pub(in crate::app) size: Option<u64>,
    /// What to do with a partition that is in the way of growth.
    pub(in crate::app) recovery: Option<Recovery>,
    /// Why files go in although the OS version has newer ones.
    pub(in crate::app) override_reason: Option<String>,
    /// To where it goes.
    pub(in crate::app) configuration: ConfigurationId,
    /// The kind of connector.
    pub(in crate::app) connector: String,
    /// As what. Under which name, if nobody has said so, is decided when the task begins.
    pub(in crate::app) shipment: Shipment,
    /// Nobody has said under which name.
    #[serde(default)]
    pub(in crate::app) default_name: bool,
    /// Whether the saga has the step `name`; one that an older server has begun has not.
    #[serde(default)]
    pub(in crate::app) named: bool,
    /// Who publishes.
    pub(in crate::app) published_by: String,
}

impl Publish {
    /// The image's name in the store while it is made.
    fn stored_name(&self) -> String {
        format!("publish {}", self.image)
    }
}

pub(super) fn saga() -> Saga<App> {
    Saga {
        name: PUBLISH,
        steps: vec![
            Arc::new(ChooseName),
            Arc::new(Compose),
            Arc::new(Export),
            Arc::new(steps::Deliver { title: "Hand the image over", written_by: "export" }),
            Arc::new(Record),
            Arc::new(steps::Conclude),
            Arc::new(Remove),
        ],
    }
}

fn parameters(at: &At<'_, App>) -> Result<Publish, Failure> {
    at.parameters()
}

async fn leave_stored(at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
    let reference = format!("image:{}", parameters(at)?.stored_name());
    work::leave(at, Leftover::Stored { reference }, failure).await
}

/// What a task claims while it is under way: a disk at a place, by its name as file servers compare it.
pub(in crate::app) fn claim(configuration: ConfigurationId, disk: &DiskName) -> String {
    format!("{configuration}/{}", name::key(disk.as_str()))
}

/// Most names that are tried.
const MOST_NAMES: u32 = 1000;

/// `NAME.EXTENSION`, from the second on with a number behind the name.
fn numbered(name: &DiskName, number: u32) -> Result<DiskName, Failure> {
    let text = match name.as_str().rsplit_once('.') {
        _ if number == 1 => name.as_str().to_owned(),
        Some((stem, extension)) => format!("{stem}-{number}.{extension}"),
        None => format!("{name}-{number}"),
    };
    text.parse().map_err(|refused: connectors::NameRefused| Failure {
        code: "disk-name".to_owned(),
        message: refused.to_string(),
        hint: Some("Publish under another name.".to_owned()),
    })
}

/// Sees that the disk's name is free, or chooses a free one; gives what is shipped from then on.
struct ChooseName;

#[async_trait]
impl Step<App> for ChooseName {
    fn name(&self) -> &'static str {
        steps::NAME
    }

    fn title(&self) -> &'static str {
        "Check that the disk's name is free"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let Publish { configuration, mut shipment, default_name, name, .. } = parameters(at)?;
        let connector = work::connector(at.env, configuration).await?;
        for number in 1..=MOST_NAMES {
            let disk = numbered(&shipment.name, number)?;
            // The claim comes first: what another task claims later than this look it does not get.
            let claimed = claim_disk(at, configuration, &disk, &name).await?;
            let free = claimed && work::asked(at, connector.locate(&disk)).await?.is_none();
            if free {
                shipment.name = disk;
                return Ok(serde_json::json!(shipment));
            }
            if !default_name {
                return Err(Failure {
                    code: "disk-name-taken".to_owned(),
                    message: format!("There is a disk {disk} already where {name} is to be published."),
                    hint: Some(
                        "Publish it under another name, or move the other file away. A template without a disk \
                         name gets a new one each time."
                            .to_owned(),
                    ),
                });
            }
        }
        Err(Failure {
            code: "disk-name-taken".to_owned(),
            message: format!("{} and {MOST_NAMES} names like it are taken.", shipment.name),
            hint: Some("Remove images that are not needed, or publish under a name of your own.".to_owned()),
        })
    }
}

/// Claims a disk for the task, unless another task that is under way has it or it is a packaging disk.
async fn claim_disk(
    at: &At<'_, App>,
    configuration: ConfigurationId,
    disk: &DiskName,
    image: &str,
) -> Result<bool, Failure> {
    let (task, claim) = (at.task.id.to_string(), claim(configuration, disk));
    let mut tx = at.task.fence.change().await?;
    let taken = Statement::new(
        "SELECT id FROM tasks WHERE claims = $1 AND ended_at IS NULL AND id <> $2 \
         UNION ALL SELECT version_id FROM packagings WHERE configuration_id = $3 AND disk_name = $4",
    )
    .bind(claim.as_str())
    .bind(task.as_str())
    .bind(configuration.to_string())
    .bind(disk.as_str());
    if tx.optional(taken).await.map_err(work::database)?.is_some() {
        return Ok(false);
    }
    let claims = change_task(at.env.clock.now(), "claims = $3, description = $4 WHERE id = $2")
        .bind(task)
        .bind(claim)
        .bind(format!("Publishing {image} as {disk}."));
    work::execute(&mut tx, claims).await?;
    tx.commit().await.map_err(work::database)?;
    Ok(true)
}

struct Compose;

#[async_trait]
impl Step<App> for Compose {
    fn name(&self) -> &'static str {
        "compose"
    }

    fn title(&self) -> &'static str {
        "Compose the layers"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let name = parameters.stored_name();
        let overridden = parameters.override_reason.is_some();
        // Composing costs little, and its report is needed: what an earlier run made is made again.
        work::remove_stored(at.env, &format!("image:{name}")).await?;
        let request = ComposeRequest {
            composite: parameters.composite,
            image: name,
            size: parameters.size,
            recovery: parameters.recovery,
        };
        let Outcome::Compose(report) = work::engine(at, Job::Compose(request)).await? else {
            return Err(work::other_outcome());
        };
        work::log_warnings(at, &report.warnings);
        if let Some(newer) = report.warnings.iter().find(|warning| warning.code == NEWER)
            && !overridden
        {
            return Err(Failure {
                code: NEWER.to_owned(),
                message: newer.message.clone(),
                hint: Some(
                    "Make a new version of the layer on this OS version, or publish with an override reason."
                        .to_owned(),
                ),
            });
        }
        Ok(
            serde_json::json!({ "digest": report.digest, "bytes": report.image.size, "warnings": report.warnings,
                "applied": report.applied }),
        )
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        work::remove_stored(at.env, &format!("image:{}", parameters(at)?.stored_name())).await
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        leave_stored(at, failure).await
    }
}

struct Export;

#[async_trait]
impl Step<App> for Export {
    fn name(&self) -> &'static str {
        "export"
    }

    fn title(&self) -> &'static str {
        "Write the image"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let shipment = steps::shipment(at)?;
        let out = work::place(at, parameters.configuration, &shipment).await?;
        let request = ExportRequest {
            image: format!("image:{}", parameters.stored_name()),
            format: shipment.format,
            out: out.clone(),
        };
        let Outcome::Export(_) = work::engine(at, Job::Export(request)).await? else {
            return Err(work::other_outcome());
        };
        Ok(serde_json::json!(out))
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        steps::withdraw(at).await
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        steps::leave_delivery(at, failure).await
    }
}

struct Record;

#[async_trait]
impl Step<App> for Record {
    fn name(&self) -> &'static str {
        "record"
    }

    fn title(&self) -> &'static str {
        "Remember the image"
    }

    fn stage(&self) -> Stage {
        Stage::Commit
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let composed: Value = at.output("compose")?;
        let delivered: Delivered = at.output("deliver")?;
        let shipment = steps::shipment(at)?;
        let now = at.env.clock.now();
        let provenance = serde_json::json!({
            "template": {
                "id": parameters.template,
                "name": parameters.template_name,
                "revision": parameters.template_revision,
            },
            "layers": parameters.layers,
            "disk_digest": composed["digest"],
            "warnings": composed["warnings"],
            "engine": layering::ENGINE,
            "disk": shipment.name,
            "bytes": composed["bytes"],
            "format": shipment.format.name(),
            "recovery": match parameters.recovery {
                Some(Recovery::Move) => RecoveryRule::Move,
                Some(Recovery::Drop) => RecoveryRule::Drop,
                None => RecoveryRule::Refuse,
            },
            "override_reason": parameters.override_reason,
            "published_by": parameters.published_by,
            "published_at": now,
        });
        let image = Statement::new(
            "INSERT INTO images (id, name, name_key, template_id, template_name, template_revision, \
             configuration_id, connector, task_id, published_by, delivered, provenance, created_at, revision) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1) ON CONFLICT (id) DO NOTHING",
        )
        .bind(parameters.image.to_string())
        .bind(parameters.name.as_str())
        .bind(name::key(&parameters.name))
        .bind(parameters.template.to_string())
        .bind(parameters.template_name.as_str())
        .bind(parameters.template_revision)
        .bind(parameters.configuration.to_string())
        .bind(parameters.connector.as_str())
        .bind(at.task.id.to_string())
        .bind(parameters.published_by.as_str())
        .bind(serde_json::json!(delivered).to_string())
        .bind(provenance.to_string())
        .bind(now.millis());
        let told = work::tell(at, &delivered, delivered.next_action.as_deref());
        work::commit(at, &[image, told]).await?;
        Ok(Value::Null)
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        let image = parameters(at)?.image.to_string();
        work::change(at, &[Statement::new("DELETE FROM images WHERE id = $1").bind(image)]).await
    }
}

struct Remove;

#[async_trait]
impl Step<App> for Remove {
    fn name(&self) -> &'static str {
        "remove"
    }

    fn title(&self) -> &'static str {
        "Give back the room of the composed image"
    }

    fn stage(&self) -> Stage {
        Stage::Final
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        work::remove_stored(at.env, &format!("image:{}", parameters(at)?.stored_name())).await?;
        Ok(Value::Null)
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        leave_stored(at, failure).await
    }
}
