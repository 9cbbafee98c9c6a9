//! Making the packaging disk of a new version and handing it to a connector. Then a person installs, and finalizes.

use super::leftover::Leftover;
use super::work::{self, VersionInStore};
use crate::app::App;
use crate::app::tasks::TaskLink;
use crate::db::Statement;
use crate::domain::ConfigurationId;
use crate::tasks::{At, Saga, Stage, Step};
use async_trait::async_trait;
use connectors::{Delivered, Shipment};
use layering::report::CompositeSpec;
use layering::request::PackagingDiskRequest;
use operation::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use worker::{Job, Outcome};

/// The saga's name.
pub(in crate::app) const CREATE_VERSION: &str = "create-version";

/// Its parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::app) struct CreateVersion {
    /// The version.
    pub(in crate::app) version: VersionInStore,
    /// What the packaging disk contains, by references of the store.
    pub(in crate::app) composite: CompositeSpec,
    /// To where the disk goes.
    pub(in crate::app) configuration: ConfigurationId,
    /// As what.
    pub(in crate::app) shipment: Shipment,
}

pub(super) fn saga() -> Saga<App> {
    Saga {
        name: CREATE_VERSION,
        steps: vec![
            Arc::new(Reserve),
            Arc::new(Write),
            Arc::new(Deliver),
            Arc::new(Record),
            Arc::new(Conclude),
        ],
    }
}

fn parameters(at: &At<'_, App>) -> Result<CreateVersion, Failure> {
    at.parameters()
}

async fn leave_delivery(at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
    let CreateVersion { configuration, shipment, .. } = parameters(at)?;
    work::leave(at, Leftover::Delivery { configuration, key: work::key(at)?, shipment }, failure).await
}

struct Reserve;

#[async_trait]
impl Step<App> for Reserve {
    fn name(&self) -> &'static str {
        "reserve"
    }

    fn title(&self) -> &'static str {
        "Check that the name is free"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        work::refuse_stored(at, &parameters(at)?.version.reference()).await?;
        Ok(Value::Null)
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        work::change(at, &work::remove_version(&parameters(at)?.version)).await
    }
}

struct Write;

#[async_trait]
impl Step<App> for Write {
    fn name(&self) -> &'static str {
        "write"
    }

    fn title(&self) -> &'static str {
        "Compose the packaging disk"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let out = work::place(at, parameters.configuration, &parameters.shipment).await?;
        let request = PackagingDiskRequest {
            composite: parameters.composite,
            format: parameters.shipment.format,
            out: out.clone(),
        };
        let Outcome::PackagingDisk(report) = work::engine(at, Job::PackagingDisk(request)).await? else {
            return Err(work::other_outcome());
        };
        work::log_warnings(at, &report.warnings);
        Ok(serde_json::json!(out))
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        let parameters = parameters(at)?;
        work::withdraw(at, parameters.configuration, &parameters.shipment).await
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        leave_delivery(at, failure).await
    }
}

struct Deliver;

#[async_trait]
impl Step<App> for Deliver {
    fn name(&self) -> &'static str {
        "deliver"
    }

    fn title(&self) -> &'static str {
        "Hand the packaging disk over"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let file: PathBuf = at.output("write")?;
        let delivered = work::deliver(at, parameters.configuration, &parameters.shipment, &file).await?;
        Ok(serde_json::json!(delivered))
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        let parameters = parameters(at)?;
        work::withdraw(at, parameters.configuration, &parameters.shipment).await
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        leave_delivery(at, failure).await
    }
}

struct Record;

#[async_trait]
impl Step<App> for Record {
    fn name(&self) -> &'static str {
        "record"
    }

    fn title(&self) -> &'static str {
        "Wait for the installation"
    }

    fn stage(&self) -> Stage {
        Stage::Commit
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let version = parameters(at)?.version.version;
        let delivered: Delivered = at.output("deliver")?;
        let packaging = Statement::new("UPDATE packagings SET delivered = $2 WHERE version_id = $1")
            .bind(version.to_string())
            .bind(serde_json::json!(delivered).to_string());
        let told = tell(at, &delivered, Some("finalize"));
        work::commit(at, &[work::set_state(version, "packaging"), packaging, told]).await?;
        Ok(Value::Null)
    }
}

/// What the connector said, as what the task says.
pub(super) fn tell(at: &At<'_, App>, delivered: &Delivered, next: Option<&str>) -> Statement<'static> {
    let link = delivered.location.link.as_ref();
    let links: Vec<TaskLink> =
        link.map(|url| TaskLink { title: "Open".to_owned(), url: url.clone() }).into_iter().collect();
    Statement::new(
        "UPDATE tasks SET description = $2, location = $3, links = $4, next_action = $5 WHERE id = $1",
    )
    .bind(at.task.id.to_string())
    .bind(delivered.description.as_str())
    .bind(delivered.location.text.as_str())
    .bind(serde_json::json!(links).to_string())
    .bind(next)
}

struct Conclude;

#[async_trait]
impl Step<App> for Conclude {
    fn name(&self) -> &'static str {
        "conclude"
    }

    fn title(&self) -> &'static str {
        "Clean up"
    }

    fn stage(&self) -> Stage {
        Stage::Final
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        work::conclude(at, parameters(at)?.configuration).await?;
        Ok(Value::Null)
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        let configuration = parameters(at)?.configuration;
        work::leave(at, Leftover::Trace { configuration, key: work::key(at)? }, failure).await
    }
}
