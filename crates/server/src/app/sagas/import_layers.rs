//! Importing layer versions from a folder on a share. Their rows are there, in the state `creating`, when it begins.

use super::leftover::Leftover;
use super::steps;
use super::work::{self, VersionInStore};
use crate::app::{App, layouts};
use crate::db::Statement;
use crate::domain::{ConfigurationId, VersionId};
use crate::tasks::{At, Saga, Stage, Step};
use async_trait::async_trait;
use connectors::{Connector, DiskName, FolderFile};
use layering::report::Summary;
use layering::request::{ImportLayersRequest, LayerRename};
use operation::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use worker::{Job, Outcome};

/// The saga's name.
pub(in crate::app) const IMPORT_LAYERS: &str = "import-layers";

/// Its parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::app) struct ImportLayersTask {
    /// Where from.
    pub(in crate::app) configuration: ConfigurationId,
    /// The folder there.
    pub(in crate::app) folder: DiskName,
    /// The versions that are new here, OS layers first.
    pub(in crate::app) new: Vec<Incoming>,
    /// References of the versions that are here already, as the folder has them: whether they are the same is seen to.
    pub(in crate::app) kept: Vec<String>,
    /// Layers that have other names in the store.
    pub(in crate::app) rename: Vec<LayerRename>,
}

/// A version that is imported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::app) struct Incoming {
    /// What it becomes here.
    pub(in crate::app) version: VersionInStore,
    /// Its reference in the folder.
    pub(in crate::app) from: String,
    /// The OS version that it was made on, in the folder's words.
    pub(in crate::app) made_on: Option<String>,
    /// The same, if it is here.
    pub(in crate::app) os_version: Option<VersionId>,
    /// The app versions that were on its packaging disk, in the folder's words.
    pub(in crate::app) prerequisites: Vec<String>,
}

pub(super) fn saga() -> Saga<App> {
    Saga {
        name: IMPORT_LAYERS,
        steps: vec![Arc::new(Reserve), Arc::new(Import), Arc::new(Record), Arc::new(steps::ClearUp)],
    }
}

fn parameters(at: &At<'_, App>) -> Result<ImportLayersTask, Failure> {
    at.parameters()
}

struct Reserve;

#[async_trait]
impl Step<App> for Reserve {
    fn name(&self) -> &'static str {
        "reserve"
    }

    fn title(&self) -> &'static str {
        "Check that the names are free"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        for incoming in &parameters(at)?.new {
            work::refuse_stored(at, &incoming.version.reference()).await?;
        }
        Ok(Value::Null)
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        // An OS layer goes after what belongs to it.
        let new = parameters(at)?.new;
        let removed: Vec<Statement<'_>> =
            new.iter().rev().flat_map(|incoming| work::remove_version(&incoming.version)).collect();
        work::change(at, &removed).await?;
        work::clear_scratch(at).await
    }
}

struct Import;

#[async_trait]
impl Step<App> for Import {
    fn name(&self) -> &'static str {
        "import"
    }

    fn title(&self) -> &'static str {
        "Read the layer versions into the store"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let connector = work::connector(at.env, parameters.configuration).await?;
        let found = connector.folder(&parameters.folder).await.map_err(work::connector_failed)?;
        let directory = match found.here {
            Some(here) if found.exists => here,
            _ => copy(at, &parameters, &*connector).await?,
        };
        let new = parameters.new.iter().map(|incoming| incoming.from.clone());
        let request = ImportLayersRequest {
            directory,
            references: new.chain(parameters.kept).collect(),
            rename: parameters.rename,
            max_size: None,
        };
        let Outcome::ImportLayers(report) = work::engine(at, Job::ImportLayers(request)).await? else {
            return Err(work::other_outcome());
        };
        let mut imported: HashMap<String, Summary> = HashMap::new();
        for version in report.versions {
            work::log_warnings(at, &version.warnings);
            imported.insert(version.from, version.version);
        }
        let of_each = parameters.new.iter().map(|incoming| imported.get(&incoming.from));
        let summaries: Option<Vec<&Summary>> = of_each.collect();
        summaries.map(|summaries| serde_json::json!(summaries)).ok_or_else(work::other_outcome)
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        for incoming in parameters(at)?.new.iter().rev() {
            work::remove_stored(at.env, &incoming.version.reference()).await?;
        }
        Ok(())
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        for incoming in parameters(at)?.new.iter().rev() {
            let reference = incoming.version.reference();
            work::leave(at, Leftover::Stored { reference }, failure).await?;
        }
        Ok(true)
    }
}

/// Copies what the import needs of the folder, and gives the copy.
async fn copy(
    at: &At<'_, App>,
    parameters: &ImportLayersTask,
    connector: &dyn Connector,
) -> Result<PathBuf, Failure> {
    let (folder, watch) = (&parameters.folder, work::watch(at));
    let copy = work::scratch(at).await?.join("layers");
    layouts::forget(&copy)?;
    layouts::outline(connector, folder, &copy, &watch).await.map_err(work::connector_failed)?;
    layouts::fill(&copy, &[])?;
    let files = needed(at, &copy, parameters).await?;
    connector.fetch_files(folder, &files, &copy, &watch).await.map_err(work::connector_failed)?;
    Ok(copy)
}

/// The files of the versions that are new here.
async fn needed(
    at: &At<'_, App>,
    copy: &Path,
    parameters: &ImportLayersTask,
) -> Result<Vec<FolderFile>, Failure> {
    let files_of: Vec<String> = parameters.new.iter().map(|incoming| incoming.from.clone()).collect();
    let job = Job::ListLayout { directory: copy.to_owned(), files_of };
    let Outcome::ListLayout(report) = work::engine(at, job).await? else {
        return Err(work::other_outcome());
    };
    let mut files = BTreeSet::new();
    for file in report.versions.into_iter().flat_map(|version| version.files) {
        let name: DiskName = file.path.parse().map_err(|_| work::other_outcome())?;
        files.insert(FolderFile { name, bytes: file.bytes });
    }
    Ok(files.into_iter().collect())
}

struct Record;

#[async_trait]
impl Step<App> for Record {
    fn name(&self) -> &'static str {
        "record"
    }

    fn title(&self) -> &'static str {
        "Make the versions deployable"
    }

    fn stage(&self) -> Stage {
        Stage::Commit
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let summaries: Vec<Summary> = at.output("import")?;
        let mut statements = Vec::new();
        for (incoming, summary) in parameters.new.iter().zip(&summaries) {
            let provenance = serde_json::json!({
                "imported_from": { "folder": parameters.folder, "reference": incoming.from },
                "made_on": incoming.made_on,
                "os_version": incoming.os_version,
                "prerequisites": incoming.prerequisites,
                "task": at.task.id,
            });
            statements.push(work::deployable(incoming.version.version, summary, &provenance));
        }
        let (new, kept) = (parameters.new.len(), parameters.kept.len());
        let text =
            format!("{new} layer versions were imported and are deployable; {kept} were here already.");
        statements.push(work::described(at, text));
        work::commit(at, &statements).await?;
        Ok(Value::Null)
    }
}
