//! Importing the disk of an operating system as the first version of an OS layer.

use super::steps;
use super::work::{self, FetchedDisk, VersionInStore};
use crate::app::App;
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
            Arc::new(steps::Reserve),
            Arc::new(steps::Fetch { title: "Get the disk" }),
            Arc::new(Import),
            Arc::new(Record),
            Arc::new(steps::Release { title: "Let go of the disk" }),
        ],
    }
}

fn parameters(at: &At<'_, App>) -> Result<ImportOs, Failure> {
    at.parameters()
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
        steps::remove_contents(at).await
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        steps::leave_contents(at, failure).await
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
        let provenance = serde_json::json!({ "imported_from": parameters.disk, "task": at.task.id });
        let deployable = work::deployable(parameters.version.version, &summary, &provenance);
        let text = "The operating system has been imported. Its version is deployable.";
        let described = work::described(at, text);
        work::commit(at, &[deployable, described]).await?;
        Ok(Value::Null)
    }
}
