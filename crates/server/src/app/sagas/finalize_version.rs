//! Turning what a person has installed into the version. The captured version is the point of no return.

use super::steps;
use super::work::{self, FetchedDisk, VersionInStore};
use crate::app::App;
use crate::app::versions::PackagingView;
use crate::db::Statement;
use crate::domain::ConfigurationId;
use crate::domain::layer::PlatformTypes;
use crate::tasks::{At, LogLevel, Saga, Stage, Step};
use async_trait::async_trait;
use connectors::{DiskName, MachineState, Usage};
use layering::report::{CompositeSpec, Summary, VersionSpec};
use layering::request::CaptureRequest;
use operation::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use worker::{Job, Outcome};

/// The saga's name.
pub(in crate::app) const FINALIZE_VERSION: &str = "finalize-version";

/// What the engine says of a disk that does not come from the composite, or to which a list of changes does not belong.
const NOT_DESCENDED: &str = "not-descended";

/// Its parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::app) struct FinalizeVersion {
    /// The version.
    pub(in crate::app) version: VersionInStore,
    /// What the packaging disk contained, by references of the store.
    pub(in crate::app) composite: CompositeSpec,
    /// What a platform layer is for.
    pub(in crate::app) platform: Option<PlatformTypes>,
    /// Most bytes that the version may add.
    pub(in crate::app) max_bytes: u64,
    /// Where the disk is.
    pub(in crate::app) configuration: ConfigurationId,
    /// Its name there.
    pub(in crate::app) disk: DiskName,
    /// Why findings of the integrity check are overridden.
    pub(in crate::app) override_reason: Option<String>,
    /// The OS version that it was made on, to be remembered.
    pub(in crate::app) os_version: String,
    /// What was on the packaging disk, for people, to be remembered.
    #[serde(default)]
    pub(in crate::app) packaging: Option<PackagingView>,
}

pub(super) fn saga() -> Saga<App> {
    Saga {
        name: FINALIZE_VERSION,
        steps: vec![
            Arc::new(MachineOff),
            Arc::new(steps::Fetch { title: "Get the packaging disk" }),
            Arc::new(Capture),
            Arc::new(Record),
            Arc::new(steps::Release { title: "Let go of the packaging disk" }),
            Arc::new(DeleteDisk),
        ],
    }
}

fn parameters(at: &At<'_, App>) -> Result<FinalizeVersion, Failure> {
    at.parameters()
}

struct MachineOff;

#[async_trait]
impl Step<App> for MachineOff {
    fn name(&self) -> &'static str {
        "machine-off"
    }

    fn title(&self) -> &'static str {
        "See that the packaging machine is off"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        // What an earlier try may have left there would be taken for what this one captures.
        work::clear_stored(at, &parameters.version.reference()).await?;
        let connector = work::connector(at.env, parameters.configuration).await?;
        let disk = &parameters.disk;
        let in_use = |how: String| Failure {
            code: "packaging-machine-on".to_owned(),
            message: format!("The packaging disk {disk} is in use: {how}."),
            hint: Some("Run Shutdown For Finalize on the packaging machine, then finalize again.".to_owned()),
        };
        match work::asked(at, connector.machine_state(disk)).await? {
            MachineState::Running => return Err(in_use("its machine runs".to_owned())),
            MachineState::Off | MachineState::Absent | MachineState::NotManaged => {}
        }
        let found = work::asked(at, connector.locate(disk)).await?.ok_or_else(|| Failure {
            code: "disk-not-found".to_owned(),
            message: format!("The packaging disk {disk} is not there."),
            hint: Some("Put it back under this name, or delete the version.".to_owned()),
        })?;
        match found.usage {
            Usage::InUse(how) => Err(in_use(how)),
            Usage::NotSeen => Ok(Value::Null),
        }
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        // What went wrong is for the person at the packaging machine to put right, and then to finalize again.
        work::change(at, &work::packaging_again(at, parameters(at)?.version.version)).await
    }
}

struct Capture;

#[async_trait]
impl Step<App> for Capture {
    fn name(&self) -> &'static str {
        "capture"
    }

    fn title(&self) -> &'static str {
        "Check the disk and capture what changed"
    }

    fn stage(&self) -> Stage {
        Stage::Commit
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let fetched: FetchedDisk = at.output("fetch")?;
        let summary = match work::stored(at, &parameters.version.reference()).await? {
            // This step was done before, and the server died before that was written down.
            Some(summary) => summary,
            None => {
                let mut request = CaptureRequest {
                    composite: parameters.composite.clone(),
                    disk: fetched.path.clone(),
                    version: VersionSpec {
                        kind: parameters.version.kind,
                        name: parameters.version.store_name.clone(),
                        version: parameters.version.store_version.clone(),
                        max_size: Some(parameters.max_bytes),
                        platform: parameters.platform,
                    },
                    changed: fetched.changed.clone(),
                    trust_metadata: false,
                    allow_backing: false,
                    override_reason: parameters.override_reason.clone(),
                };
                let mut how = if request.changed.is_some() { "the blocks that changed" } else { "the disk" };
                let mut outcome = work::engine(at, Job::Capture(request.clone())).await;
                if let Err(failure) = &outcome
                    && failure.code == NOT_DESCENDED
                    && request.changed.take().is_some()
                {
                    let what =
                        "The platform's list of changed blocks does not fit; the whole disk is compared";
                    at.task.log_failure(LogLevel::Warning, what, failure);
                    how = "the disk";
                    outcome = work::engine(at, Job::Capture(request)).await;
                }
                let Outcome::Capture(report) = outcome? else { return Err(work::other_outcome()) };
                at.task.log(LogLevel::Info, &format!("{} bytes were read to compare {how}.", report.read));
                work::log_warnings(at, &report.warnings);
                report.version
            }
        };
        // Before the point of no return is passed: what was captured must be what is on the disk.
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
        Stage::Final
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let parameters = parameters(at)?;
        let summary: Summary = at.output("capture")?;
        let provenance = serde_json::json!({
            "os_version": parameters.os_version,
            "packaging": parameters.packaging,
            "composite": parameters.composite,
            "override_reason": parameters.override_reason,
            "task": at.task.id,
        });
        let deployable = work::deployable(parameters.version.version, &summary, &provenance);
        // The version stands alone now: what it was made of may be deleted.
        let packaging = Statement::new("DELETE FROM packagings WHERE version_id = $1")
            .bind(parameters.version.version.to_string());
        let described = work::described(at, "The layer version has been captured. It is deployable.");
        work::change(at, &[deployable, packaging, described]).await?;
        Ok(Value::Null)
    }
}

struct DeleteDisk;

#[async_trait]
impl Step<App> for DeleteDisk {
    fn name(&self) -> &'static str {
        "delete-disk"
    }

    fn title(&self) -> &'static str {
        "Delete the packaging machine and its disk"
    }

    fn stage(&self) -> Stage {
        Stage::Final
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let FinalizeVersion { configuration, disk, .. } = parameters(at)?;
        let fetched: FetchedDisk = at.output("fetch")?;
        if !work::delete_packaging_disk(at.env, configuration, &disk, &fetched.stamp).await? {
            let text =
                format!("The disk {disk} stays: it is not the one any more that the version was made of.");
            at.task.log(LogLevel::Warning, &text);
        }
        Ok(Value::Null)
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        let FinalizeVersion { configuration, disk, .. } = parameters(at)?;
        let fetched: FetchedDisk = at.output("fetch")?;
        work::leave_packaging_disk(at, (configuration, disk), Some(fetched.stamp), failure).await
    }
}
