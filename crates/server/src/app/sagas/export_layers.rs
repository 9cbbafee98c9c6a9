//! Exporting layer versions to a folder on a share.
//!
//! The folder can be read at every moment. An export that fails leaves what it has written: the next one to the same
//! folder goes on with it. One that a person stops takes away what it wrote into a folder that was not there before.

use super::leftover::Leftover;
use super::{steps, work};
use crate::app::{App, layouts};
use crate::domain::ConfigurationId;
use crate::tasks::{At, LogLevel, Saga, Stage, Step, change_task};
use async_trait::async_trait;
use connectors::{Connector, DiskName, Folder};
use layering::report::{ExchangeState, ExportLayersReport};
use layering::request::ExportLayersRequest;
use operation::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use worker::{Job, Outcome};

/// The saga's name.
pub(in crate::app) const EXPORT_LAYERS: &str = "export-layers";

/// Its parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::app) struct ExportLayersTask {
    /// Where to.
    pub(in crate::app) configuration: ConfigurationId,
    /// The folder there.
    pub(in crate::app) folder: DiskName,
    /// The versions, by their references in the store.
    pub(in crate::app) references: Vec<String>,
    /// With the OS versions that they were made on.
    pub(in crate::app) with_os: bool,
    /// What identifies the folder among tasks.
    pub(in crate::app) object: String,
}

/// What was there before.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Before {
    existed: bool,
}

pub(super) fn saga() -> Saga<App> {
    Saga {
        name: EXPORT_LAYERS,
        steps: vec![Arc::new(Look), Arc::new(Write), Arc::new(Tell), Arc::new(steps::ClearUp)],
    }
}

fn parameters(at: &At<'_, App>) -> Result<ExportLayersTask, Failure> {
    at.parameters()
}

async fn folder(connector: &dyn Connector, name: &DiskName) -> Result<Folder, Failure> {
    connector.folder(name).await.map_err(work::connector_failed)
}

struct Look;

#[async_trait]
impl Step<App> for Look {
    fn name(&self) -> &'static str {
        "look"
    }

    fn title(&self) -> &'static str {
        "Look at the folder"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let connector = work::connector(at.env, parameters.configuration).await?;
        let found = folder(&*connector, &parameters.folder).await?;
        Ok(serde_json::json!(Before { existed: found.exists }))
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        work::clear_scratch(at).await
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        steps::leave_fetched(at, failure).await
    }
}

struct Write;

#[async_trait]
impl Step<App> for Write {
    fn name(&self) -> &'static str {
        "write"
    }

    fn title(&self) -> &'static str {
        "Write the layer versions"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let connector = work::connector(at.env, parameters.configuration).await?;
        let found = folder(&*connector, &parameters.folder).await?;
        let report = match &found.here {
            Some(here) => export(at, &parameters, here).await?,
            None => export_copy(at, &parameters, &*connector, &found).await?,
        };
        for exported in &report.versions {
            let version = &exported.version;
            let name = version.version.as_ref().map_or("", |version| version.as_str());
            let what = match exported.state {
                ExchangeState::Done => format!("{} bytes of contents", exported.content),
                ExchangeState::AlreadyThere => "was there already".to_owned(),
            };
            let text = format!("{}:{}@{name}: {what}.", version.kind.as_str(), version.name);
            at.task.log(LogLevel::Info, &text);
        }
        let there = report.versions.iter().filter(|one| one.state == ExchangeState::AlreadyThere).count();
        Ok(serde_json::json!({ "versions": report.versions.len(), "there": there,
            "location": found.location.text }))
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        let before: Before = at.output("look")?;
        if before.existed || !at.task.is_stopping() {
            return Ok(());
        }
        let parameters = parameters(at)?;
        take_away(at.env, parameters.configuration, &parameters.folder, &work::key(at)?).await
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        let ExportLayersTask { configuration, folder, object, .. } = parameters(at)?;
        let layers = Leftover::Layers { configuration, key: work::key(at)?, folder, object };
        work::leave(at, layers, failure).await
    }
}

async fn export(
    at: &At<'_, App>,
    parameters: &ExportLayersTask,
    directory: &Path,
) -> Result<ExportLayersReport, Failure> {
    let request = ExportLayersRequest {
        references: parameters.references.clone(),
        directory: directory.to_owned(),
        with_os: parameters.with_os,
    };
    match work::engine(at, Job::ExportLayers(request)).await? {
        Outcome::ExportLayers(report) => Ok(report),
        _ => Err(work::other_outcome()),
    }
}

/// Exports to a copy of the folder here, and copies what is new in it to the share.
async fn export_copy(
    at: &At<'_, App>,
    parameters: &ExportLayersTask,
    connector: &dyn Connector,
    found: &Folder,
) -> Result<ExportLayersReport, Failure> {
    let (name, watch) = (&parameters.folder, work::watch(at));
    let copy = work::scratch(at).await?.join("layers");
    layouts::forget(&copy)?;
    let rest = match found.exists {
        true => layouts::outline(connector, name, &copy, &watch).await.map_err(work::connector_failed)?,
        false => Vec::new(),
    };
    layouts::fill(&copy, &rest)?;
    let before = layouts::index(&copy)?;
    let report = export(at, parameters, &copy).await?;
    refuse_other_index(at, connector, name, before).await?;
    let not_copied: HashSet<&DiskName> = rest.iter().map(|file| &file.name).collect();
    let mut parts = layouts::parts(&copy)?;
    parts.retain(|part| !not_copied.contains(part));
    let key = work::key(at)?;
    connector.deliver_files(&key, name, &parts, &copy, &watch).await.map_err(work::connector_failed)?;
    Ok(report)
}

/// Refuses when somebody else has exported to the folder meanwhile: their versions would be lost.
async fn refuse_other_index(
    at: &At<'_, App>,
    connector: &dyn Connector,
    folder: &DiskName,
    before: Option<Vec<u8>>,
) -> Result<(), Failure> {
    if before.is_none() {
        return Ok(());
    }
    let again = work::scratch(at).await?.join("again");
    work::remove_folder(&again).await?;
    let mut files = connector.folder_files(folder).await.map_err(work::connector_failed)?;
    files.retain(|file| file.name == layouts::index_name());
    let fetched = connector.fetch_files(folder, &files, &again, &work::watch(at)).await;
    fetched.map_err(work::connector_failed)?;
    if layouts::index(&again)? == before {
        return Ok(());
    }
    Err(Failure {
        code: "folder-changed".to_owned(),
        message: format!("Somebody else has changed the index of the folder {folder} meanwhile."),
        hint: Some("Start the export again; it goes on with what is there.".to_owned()),
    })
}

/// Removes a layout from a share, and nothing else that is in its folder.
pub(super) async fn take_away(
    app: &App,
    configuration: ConfigurationId,
    folder: &DiskName,
    key: &connectors::OperationKey,
) -> Result<(), Failure> {
    let connector = work::connector(app, configuration).await?;
    if !self::folder(&*connector, folder).await?.exists {
        return Ok(());
    }
    let files = connector.folder_files(folder).await.map_err(work::connector_failed)?;
    let parts: Vec<DiskName> = files.into_iter().map(|file| file.name).filter(layouts::is_part).collect();
    let removal = connector.remove_files(key, folder, &parts).await.map_err(work::connector_failed)?;
    super::leftover::gone(removal)
}

struct Tell;

#[async_trait]
impl Step<App> for Tell {
    fn name(&self) -> &'static str {
        "tell"
    }

    fn title(&self) -> &'static str {
        "Say where they are"
    }

    fn stage(&self) -> Stage {
        Stage::Commit
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let written: Value = at.output("write")?;
        let (versions, there) = (&written["versions"], &written["there"]);
        let location = written["location"].as_str().unwrap_or_default();
        let text =
            format!("{versions} layer versions are in the folder {location}, {there} of them from before.");
        let told = change_task(at.env.clock.now(), "description = $3, location = $4 WHERE id = $2")
            .bind(at.task.id.to_string())
            .bind(text)
            .bind(location);
        work::commit(at, &[told]).await?;
        Ok(Value::Null)
    }
}
