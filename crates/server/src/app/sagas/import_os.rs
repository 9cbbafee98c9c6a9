//! Importing the disk of an operating system as the first version of an OS layer.

use super::leftover::Leftover;
use super::work::{self, FetchedDisk, VersionInStore};
use crate::app::App;
use crate::db::Statement;
use crate::domain::ConfigurationId;
use crate::tasks::{At, Saga, Stage, Step};
use async_trait::async_trait;
use connectors::DiskName;
use layering::request::ImportRequest;
use operation::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use worker::{Job, Outcome};

/// The saga's name.
pub(in crate::app) const IMPORT_OS: &str = "import-os";

/// Its parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::app) struct ImportOs {
    /// The version that it becomes.
    pub(in crate::app) version: VersionInStore,
    /// Where the disk is.
    pub(in crate::app) configuration: ConfigurationId,
    /// Its name there.
    pub(in crate::app) disk: DiskName,
    /// Number of the partition that is the OS volume, where the disk alone does not tell.
    pub(in crate::app) volume: Option<u32>,
    /// Most bytes that it may have.
    pub(in crate::app) max_bytes: u64,
    /// Why findings of the integrity check are overridden.
    pub(in crate::app) override_reason: Option<String>,
}

pub(super) fn saga() -> Saga<App> {
    Saga {
        name: IMPORT_OS,
        steps: vec![
            Arc::new(Reserve),
            Arc::new(Fetch),
            Arc::new(Import),
            Arc::new(Record),
            Arc::new(Release),
        ],
    }
}

fn parameters(at: &At<'_, App>) -> Result<ImportOs, Failure> {
    at.parameters()
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

struct Fetch;

#[async_trait]
impl Step<App> for Fetch {
    fn name(&self) -> &'static str {
        "fetch"
    }

    fn title(&self) -> &'static str {
        "Get the disk"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let fetched = work::fetch(at, parameters.configuration, &parameters.disk).await?;
        Ok(serde_json::json!(fetched))
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        work::release(at, parameters(at)?.configuration).await
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        let configuration = parameters(at)?.configuration;
        work::leave(at, Leftover::Fetched { configuration, key: work::key(at)? }, failure).await
    }
}

struct Import;

#[async_trait]
impl Step<App> for Import {
    fn name(&self) -> &'static str {
        "import"
    }

    fn title(&self) -> &'static str {
        "Read the disk into the store"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let fetched: FetchedDisk = at.output("fetch")?;
        let reference = parameters.version.reference();
        let summary = match work::stored(at, &reference).await? {
            // This step was done before, and the server died before that was written down.
            Some(summary) => summary,
            None => {
                let request = ImportRequest {
                    disk: fetched.path.clone(),
                    name: parameters.version.store_name.clone(),
                    version: parameters.version.store_version.clone(),
                    volume: parameters.volume,
                    max_size: Some(parameters.max_bytes),
                    allow_backing: false,
                    override_reason: parameters.override_reason.clone(),
                };
                let Outcome::Import(report) = work::engine(at, Job::Import(request)).await? else {
                    return Err(work::other_outcome());
                };
                work::log_warnings(at, &report.warnings);
                report.version
            }
        };
        work::refuse_changed(at, parameters.configuration, &parameters.disk, &fetched).await?;
        Ok(serde_json::json!(summary))
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        work::remove_stored(at.env, &parameters(at)?.version.reference()).await
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        let reference = parameters(at)?.version.reference();
        work::leave(at, Leftover::Stored { reference }, failure).await
    }
}

struct Record;

#[async_trait]
impl Step<App> for Record {
    fn name(&self) -> &'static str {
        "record"
    }

    fn title(&self) -> &'static str {
        "Make the version deployable"
    }

    fn stage(&self) -> Stage {
        Stage::Commit
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let summary: layering::report::Summary = at.output("import")?;
        let deployable = Statement::new(
            "UPDATE versions SET state = 'deployable', added_bytes = $2, digest = $3, provenance = $4, \
             revision = revision + 1 WHERE id = $1",
        )
        .bind(parameters.version.version.to_string())
        .bind(i64::try_from(summary.size).unwrap_or(i64::MAX))
        .bind(summary.id)
        .bind(serde_json::json!({ "imported_from": parameters.disk, "task": at.task.id }).to_string());
        let described = Statement::new("UPDATE tasks SET description = $2 WHERE id = $1")
            .bind(at.task.id.to_string())
            .bind("The operating system has been imported. Its version is deployable.");
        work::commit(at, &[deployable, described]).await?;
        Ok(Value::Null)
    }
}

struct Release;

#[async_trait]
impl Step<App> for Release {
    fn name(&self) -> &'static str {
        "release"
    }

    fn title(&self) -> &'static str {
        "Let go of the disk"
    }

    fn stage(&self) -> Stage {
        Stage::Final
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        work::release(at, parameters(at)?.configuration).await?;
        Ok(Value::Null)
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        let configuration = parameters(at)?.configuration;
        work::leave(at, Leftover::Fetched { configuration, key: work::key(at)? }, failure).await
    }
}
