//! Steps that several sagas have. Each reads of the parameters what it needs, under the names that they have in all.

use super::leftover::Leftover;
use super::work::{self, VersionInStore};
use crate::app::App;
use crate::domain::ConfigurationId;
use crate::tasks::{At, Stage, Step};
use async_trait::async_trait;
use connectors::{DiskName, Shipment};
use operation::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// Parameters of sagas that make a version.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    version: VersionInStore,
}

/// Parameters of sagas that work at a place.
#[derive(Debug, Serialize, Deserialize)]
struct There {
    configuration: ConfigurationId,
}

/// Parameters of sagas that read a disk.
#[derive(Debug, Serialize, Deserialize)]
struct Source {
    configuration: ConfigurationId,
    disk: DiskName,
}

/// Parameters of sagas that deliver a disk.
#[derive(Debug, Serialize, Deserialize)]
struct Delivery {
    shipment: Shipment,
}

/// The step in which a saga decides under which name a disk is delivered, if it does.
pub(super) const NAME: &str = "name";

/// Whether it does.
#[derive(Debug, Serialize, Deserialize)]
struct Named {
    #[serde(default)]
    named: bool,
}

/// What the task delivers.
pub(super) fn shipment(at: &At<'_, App>) -> Result<Shipment, Failure> {
    match at.parameters::<Named>()?.named {
        true => at.output(NAME),
        false => Ok(at.parameters::<Delivery>()?.shipment),
    }
}

/// Where the task works.
fn there(at: &At<'_, App>) -> Result<ConfigurationId, Failure> {
    Ok(at.parameters::<There>()?.configuration)
}

/// Sees that the version's name in the store is free. The row of the version was made with the task.
pub(super) struct Reserve;

#[async_trait]
impl Step<App> for Reserve {
    fn name(&self) -> &'static str {
        "reserve"
    }

    fn title(&self) -> &'static str {
        "Check that the name is free"
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        work::refuse_stored(at, &at.parameters::<Made>()?.version.reference()).await?;
        Ok(Value::Null)
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        work::change(at, &work::remove_version(&at.parameters::<Made>()?.version)).await
    }
}

/// Removes what a step has put into the store as the version.
pub(super) async fn remove_contents(at: &At<'_, App>) -> Result<(), Failure> {
    work::remove_stored(at.env, &at.parameters::<Made>()?.version.reference()).await
}

/// Hands that to the clean-up.
pub(super) async fn leave_contents(at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
    let reference = at.parameters::<Made>()?.version.reference();
    work::leave(at, Leftover::Stored { reference }, failure).await
}

/// Makes the disk readable here; gives a [`FetchedDisk`](work::FetchedDisk).
pub(super) struct Fetch {
    pub(super) title: &'static str,
}

#[async_trait]
impl Step<App> for Fetch {
    fn name(&self) -> &'static str {
        "fetch"
    }

    fn title(&self) -> &'static str {
        self.title
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let Source { configuration, disk } = at.parameters()?;
        Ok(serde_json::json!(work::fetch(at, configuration, &disk).await?))
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        work::release(at, there(at)?).await
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        leave_fetched(at, failure).await
    }
}

/// Removes what [`Fetch`] has put here, when it has served.
pub(super) struct Release {
    pub(super) title: &'static str,
}

#[async_trait]
impl Step<App> for Release {
    fn name(&self) -> &'static str {
        "release"
    }

    fn title(&self) -> &'static str {
        self.title
    }

    fn stage(&self) -> Stage {
        Stage::Final
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        work::release(at, there(at)?).await?;
        Ok(Value::Null)
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        leave_fetched(at, failure).await
    }
}

/// Hands what was fetched, and what else the task has here, to the clean-up.
pub(super) async fn leave_fetched(at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
    let configuration = there(at)?;
    work::leave(at, Leftover::Fetched { configuration, key: work::key(at)? }, failure).await
}

/// Removes the folder that the task has here, when it has served.
pub(super) struct ClearUp;

#[async_trait]
impl Step<App> for ClearUp {
    fn name(&self) -> &'static str {
        "release"
    }

    fn title(&self) -> &'static str {
        "Clean up"
    }

    fn stage(&self) -> Stage {
        Stage::Final
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        work::clear_scratch(at).await?;
        Ok(Value::Null)
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        leave_fetched(at, failure).await
    }
}

/// Brings what an earlier step has written to the platform; gives what the connector says of it.
pub(super) struct Deliver {
    pub(super) title: &'static str,
    /// The step that gives the file.
    pub(super) written_by: &'static str,
}

#[async_trait]
impl Step<App> for Deliver {
    fn name(&self) -> &'static str {
        "deliver"
    }

    fn title(&self) -> &'static str {
        self.title
    }

    async fn run(&self, at: &At<'_, App>) -> Result<Value, Failure> {
        let (configuration, shipment) = (there(at)?, shipment(at)?);
        let file: PathBuf = at.output(self.written_by)?;
        Ok(serde_json::json!(work::deliver(at, configuration, &shipment, &file).await?))
    }

    async fn undo(&self, at: &At<'_, App>) -> Result<(), Failure> {
        withdraw(at).await
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        leave_delivery(at, failure).await
    }
}

/// Takes back what was written, or delivered.
pub(super) async fn withdraw(at: &At<'_, App>) -> Result<(), Failure> {
    let (configuration, shipment) = (there(at)?, shipment(at)?);
    work::withdraw(at, configuration, &shipment).await
}

/// Hands that to the clean-up.
pub(super) async fn leave_delivery(at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
    let (configuration, shipment) = (there(at)?, shipment(at)?);
    work::leave(at, Leftover::Delivery { configuration, key: work::key(at)?, shipment }, failure).await
}

/// Removes what was kept of the delivery so that it could be undone.
pub(super) struct Conclude;

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
        work::conclude(at, there(at)?).await?;
        Ok(Value::Null)
    }

    async fn leave_over(&self, at: &At<'_, App>, failure: &Failure) -> Result<bool, Failure> {
        let configuration = there(at)?;
        work::leave(at, Leftover::Trace { configuration, key: work::key(at)? }, failure).await
    }
}
