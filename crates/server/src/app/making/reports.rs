//! Reports that the engine makes while somebody waits: conflicts between layers, differences, contents.

use super::super::questions::BUSY;
use super::super::templates::store;
use super::super::{App, Call, Reason, Refusal, picks};
use super::packaging::composite;
use super::stored::Stored;
use crate::domain::layer::VersionState;
use crate::domain::{Action, TemplateId, VersionId};
use operation::Failure;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use worker::{Job, Outcome};

/// What to compare with.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DiffQuery {
    /// The other side.
    pub to: VersionId,
}

impl App {
    /// What the layers of a template claim together: files and registry values that several of them bring.
    pub async fn template_conflicts(
        &self,
        call: &Call,
        id: TemplateId,
    ) -> Result<serde_json::Value, Refusal> {
        call.may(Action::TemplateConflicts)?;
        // A change that is dropped: what is read of a template is of one moment.
        let mut change = self.begin(call).await?;
        let content = store::read(&mut change, id).await?.content;
        let apps: Vec<VersionId> = content.apps.iter().map(|app| app.version_id).collect();
        let platform = content.platform.as_ref().map(|platform| platform.version_id);
        let composite = composite(&mut change, content.os.version_id, &apps, None, platform).await?;
        drop(change);
        match self.ask_engine(Job::Conflicts(composite)).await? {
            Outcome::Conflicts(report) => serde_json::to_value(report).map_err(Refusal::internal),
            _ => Err(Refusal::internal("the engine answered something else than it was asked")),
        }
    }

    /// How two versions differ.
    pub async fn diff_versions(
        &self,
        call: &Call,
        from: VersionId,
        query: &DiffQuery,
    ) -> Result<serde_json::Value, Refusal> {
        call.may(Action::DiffVersions)?;
        for id in [from, query.to] {
            self.refuse_not_captured(id).await?;
        }
        let stored = Stored::read(&mut &self.db, &[from, query.to]).await?;
        let job = Job::Diff { from: stored.reference(from)?, to: stored.reference(query.to)? };
        match self.ask_engine(job).await? {
            Outcome::Diff(report) => serde_json::to_value(report).map_err(Refusal::internal),
            _ => Err(Refusal::internal("the engine answered something else than it was asked")),
        }
    }

    /// What is recorded of a version in the store: its changes of the registry, the programs that it installs.
    pub async fn version_report(&self, call: &Call, id: VersionId) -> Result<serde_json::Value, Refusal> {
        call.may(Action::VersionReport)?;
        self.refuse_not_captured(id).await?;
        let stored = Stored::read(&mut &self.db, &[id]).await?;
        match self.ask_engine(Job::Show { reference: stored.reference(id)? }).await? {
            Outcome::Show(report) => serde_json::to_value(report).map_err(Refusal::internal),
            _ => Err(Refusal::internal("the engine answered something else than it was asked")),
        }
    }

    /// Refuses to look into a version of which the store has nothing yet.
    async fn refuse_not_captured(&self, id: VersionId) -> Result<(), Refusal> {
        let version = picks::version(&mut &self.db, id).await?;
        let state = match version.state {
            VersionState::Creating => "being made",
            VersionState::Packaging => "in packaging",
            VersionState::Finalizing => "being finalized",
            VersionState::Failed => "failed",
            VersionState::Deployable | VersionState::Deleting => return Ok(()),
        };
        let message = format!("{} is {state}: nothing is captured yet.", version.reference());
        Err(Refusal::new(Reason::Conflict, "version-not-captured", message)
            .hint("Look at it when it has been finalized."))
    }

    pub(super) async fn ask_engine(&self, job: Job) -> Result<Outcome, Refusal> {
        self.questions.ask(&self.engine, job).await.map_err(refusal)
    }
}

/// A failure of the engine as a refusal.
fn refusal(failure: Failure) -> Refusal {
    let reason = match failure.code.as_str() {
        "not-found" => Reason::Missing,
        "internal" => Reason::Internal,
        BUSY => Reason::Unavailable,
        _ => Reason::Conflict,
    };
    Refusal { reason, failure, fields: Vec::new() }
}
