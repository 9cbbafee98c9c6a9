//! Making the packaging disk of a new version and handing it to a connector. Then a person installs, and finalizes.

use super::steps;
use super::work::{self, VersionInStore};
use crate::app::App;
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
            Arc::new(steps::Reserve),
            Arc::new(Write),
            Arc::new(steps::Deliver { title: "Hand the packaging disk over", written_by: "write" }),
            Arc::new(Record),
            Arc::new(steps::Conclude),
        ],
    }
}

fn parameters(at: &At<'_, App>) -> Result<CreateVersion, Failure> {
    at.parameters()
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
        let told = work::tell(at, &delivered, Some("finalize"));
        work::commit(at, &[work::set_state(version, "packaging"), packaging, told]).await?;
        Ok(Value::Null)
    }
}
