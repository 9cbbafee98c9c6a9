//! Deleting a version: out of the store, its packaging disk if it has one, and then the version itself.
//!
//! The point of no return is the first step. What removes contents cannot give them back, and where it fails nobody can
//! tell whether it has removed them: so it is only tried again.

use super::leftover::Leftover;
use super::work::{self, VersionInStore};
use crate::app::App;
use crate::domain::ConfigurationId;
use crate::domain::layer::VersionState;
use crate::tasks::{At, Saga, Stage, Step};
use async_trait::async_trait;
use connectors::DiskName;
use operation::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// The saga's name.
pub(in crate::app) const DELETE_VERSION: &str = "delete-version";

/// Its parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::app) struct DeleteVersion {
    /// The version.
    pub(in crate::app) version: VersionInStore,
    /// The state that it had.
    pub(in crate::app) was: VersionState,
    /// Its packaging disk, if it has one: where and under which name.
    pub(in crate::app) disk: Option<(ConfigurationId, DiskName)>,
}

pub(super) fn saga() -> Saga<App> {
    Saga {
        name: DELETE_VERSION,
        steps: vec![Arc::new(Begin), Arc::new(Remove), Arc::new(DeleteDisk), Arc::new(Forget)],
    }
}

fn parameters(at: &At<'_, App>) -> Result<DeleteVersion, Failure> {
    at.parameters()
}

struct Begin;

#[async_trait]
impl Step<App> for Begin {
    fn name(&self) -> &'static str {
        "begin"
    }

    fn title(&self) -> &'static str {
        "Take the version out of use"
    }

    fn stage(&self) -> Stage {
        Stage::Commit
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        work::commit(at, &[work::set_state(parameters(at)?.version.version, "deleting")]).await?;
        Ok(Value::Null)
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        let DeleteVersion { version, was, .. } = parameters(at)?;
        if was == VersionState::Packaging {
            return work::change(at, &work::packaging_again(at, version.version)).await;
        }
        work::change(at, &[work::set_state(version.version, was.as_str())]).await
    }
}

struct Remove;

#[async_trait]
impl Step<App> for Remove {
    fn name(&self) -> &'static str {
        "remove"
    }

    fn title(&self) -> &'static str {
        "Remove the version from the store"
    }

    fn stage(&self) -> Stage {
        Stage::Final
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        work::remove_stored(at.env, &parameters(at)?.version.reference()).await?;
        Ok(Value::Null)
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        let reference = parameters(at)?.version.reference();
        work::leave(at, Leftover::Stored { reference }, failure).await
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
        let Some((configuration, disk)) = parameters(at)?.disk else { return Ok(Value::Null) };
        // As long as the version is there its disk is what has the name, whoever copied it there from a machine.
        let Some(there) = work::packaging_disk(at.env, configuration, &disk).await? else {
            work::delete_packaging_machine(at.env, configuration, &disk).await?;
            return Ok(Value::Null);
        };
        match work::delete_packaging_disk(at.env, configuration, &disk, &there).await? {
            true => Ok(Value::Null),
            false => Err(Failure {
                code: "disk-changed".to_owned(),
                message: format!("The disk {disk} is being written."),
                hint: Some("Shut its machine down.".to_owned()),
            }),
        }
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        let Some((configuration, disk)) = parameters(at)?.disk else { return Ok(true) };
        let there = work::packaging_disk(at.env, configuration, &disk).await;
        if let Ok(None) = there {
            return Ok(true);
        }
        work::leave_packaging_disk(at, (configuration, disk), there.unwrap_or_default(), failure).await
    }
}

struct Forget;

#[async_trait]
impl Step<App> for Forget {
    fn name(&self) -> &'static str {
        "forget"
    }

    fn title(&self) -> &'static str {
        "Forget the version"
    }

    fn stage(&self) -> Stage {
        Stage::Final
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        work::change(at, &work::remove_version(&parameters(at)?.version)).await?;
        Ok(Value::Null)
    }
}
