//! Deleting versions, with what is left of their packaging.

use super::super::sagas::{COLLECT_GARBAGE, DELETE_VERSION, DeleteVersion};
use super::super::tasks::Wanted;
use super::super::usage::{refuse_in_use, refuse_layer_in_use};
use super::super::{App, Begun, Call, Object, Reason, Refusal};
use super::finalizing::InPackaging;
use super::stored::Stored;
use super::version_object;
use crate::db::Statement;
use crate::domain::layer::VersionState;
use crate::domain::{Action, TaskId, VersionId};
use crate::tasks::change_task;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A task that was made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Started {
    /// The task.
    pub task_id: TaskId,
}

impl App {
    /// Deletes a version, and its layer when it has no other. Refused, with the users named, while something uses it.
    pub async fn delete_version(
        &self,
        call: &Call,
        id: VersionId,
        revision: Option<i64>,
    ) -> Result<Started, Refusal> {
        call.may(Action::DeleteVersion)?;
        let mut change = self.begin(call).await?;
        let version = InPackaging::read(&mut change, id).await?;
        call.may_manage(Action::DeleteVersion, version.kind)?;
        let row = Statement::new("SELECT revision FROM versions WHERE id = $1").bind(id.to_string());
        let current = change.optional(row).await?.map(|row| row.integer("revision")).transpose()?;
        if revision.is_some() && revision != current {
            return Err(Refusal::stale("version"));
        }
        match version.state {
            VersionState::Packaging | VersionState::Deployable | VersionState::Failed => {}
            VersionState::Creating | VersionState::Finalizing => {
                let message = format!("{} is {}.", version.full, version.state.as_str());
                return Err(Refusal::new(Reason::Conflict, "version-busy", message)
                    .hint("Stop its task, or wait for it."));
            }
            VersionState::Deleting => {
                let message = format!("{} is being deleted already.", version.full);
                return Err(Refusal::new(Reason::Conflict, "version-busy", message));
            }
        }
        refuse_in_use(&mut change, id).await?;
        let others = Statement::new(
            "SELECT o.id FROM versions v JOIN versions o ON o.layer_id = v.layer_id \
             WHERE v.id = $1 AND o.id <> $1 AND o.state <> 'deleting' LIMIT 1",
        )
        .bind(id.to_string());
        if change.optional(others).await?.is_none() {
            // The layer goes with its last version, and what belongs to an OS layer cannot be without it.
            refuse_layer_in_use(&mut change, version.layer).await?;
        }
        let parameters = DeleteVersion {
            version: Stored::read(&mut change, &[id]).await?.version(id)?.clone(),
            was: version.state,
            disk: version.disk()?,
        };
        let state =
            Statement::new("UPDATE versions SET state = 'deleting', revision = revision + 1 WHERE id = $1")
                .bind(id.to_string());
        change.execute(state).await?;
        let waited = change_task(
            change.now(),
            "state = 'done', next_action = NULL \
             WHERE object_kind = 'version' AND object_id = $2 AND state = 'action-required'",
        )
        .bind(id.to_string());
        change.execute(waited).await?;
        let (task, text) = (TaskId::new(), id.to_string());
        let object = version_object(&text, &version.full);
        let description = format!("Deleting {}.", version.full);
        let wanted =
            Wanted { saga: DELETE_VERSION, title: "Delete Version", description, object, parameters };
        self.enqueue(&mut change, task, wanted).await?;
        let also = [("layer", version.row.text("layer_id")?)];
        let detail = serde_json::json!({ "was": version.state });
        change.audit_touching(Action::DeleteVersion, object, &also, &detail).await?;
        change.commit().await?;
        Ok(Started { task_id: task })
    }

    /// Gives back the room of what nothing in the store uses.
    pub async fn collect_garbage(&self, call: &Call) -> Result<Started, Refusal> {
        call.may(Action::CollectGarbage)?;
        let mut change = match self.begin_creating(call, Action::CollectGarbage, &()).await? {
            Begun::Before(started) => return Ok(started),
            Begun::Now(change) => change,
        };
        let task = TaskId::new();
        let object = Object { kind: "store", id: "store", name: "Store" };
        let wanted = Wanted {
            saga: COLLECT_GARBAGE,
            title: "Collect Garbage",
            description: "Giving back the room of what nothing in the store uses.".to_owned(),
            object,
            parameters: serde_json::json!({}),
        };
        self.enqueue(&mut change, task, wanted).await?;
        change.audit(Action::CollectGarbage, object, &serde_json::json!({})).await?;
        let started = Started { task_id: task };
        change.remember(&started).await?;
        change.commit().await?;
        Ok(started)
    }
}
