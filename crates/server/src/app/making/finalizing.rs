//! Finalizing: from the packaging disk to the version.

use super::super::sagas::{FINALIZE_VERSION, FinalizeVersion};
use super::super::tasks::Wanted;
use super::super::versions::packagings;
use super::super::{App, Begun, Call, Change, Reason, Refusal};
use super::deleting::Started;
use super::packaging::composite;
use super::stored::Stored;
use super::{disk_name, version_object};
use crate::db::{Row, Statement};
use crate::domain::layer::{LayerKind, VersionState};
use crate::domain::{Action, ConfigurationId, Invalid, LayerId, TaskId, VersionId, reference};
use crate::tasks::change_task;
use connectors::DiskName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How to finalize a version.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Finalize {
    /// Why findings of the integrity check are overridden; for administrators.
    pub override_reason: Option<String>,
}

/// A version with what is known of its packaging disk.
#[derive(Debug)]
pub(super) struct InPackaging {
    pub(super) kind: LayerKind,
    pub(super) full: String,
    pub(super) state: VersionState,
    pub(super) layer: LayerId,
    pub(super) row: Row,
}

impl InPackaging {
    /// Reads it.
    pub(super) async fn read(change: &mut Change<'_>, id: VersionId) -> Result<InPackaging, Refusal> {
        let statement = Statement::new(
            "SELECT v.state, v.name, v.max_bytes, v.layer_id, l.name AS layer, l.kind, l.platform, p.os_version_id, \
             p.base_version_id, p.platform_version_id, p.configuration_id, p.disk_name FROM versions v \
             JOIN layers l ON l.id = v.layer_id LEFT JOIN packagings p ON p.version_id = v.id WHERE v.id = $1",
        )
        .bind(id.to_string());
        let row = change.optional(statement).await?.ok_or_else(|| Refusal::missing("version", id))?;
        let kind = super::super::word(&row, "kind", |text| text.parse().ok())?;
        Ok(InPackaging {
            kind,
            full: reference::of_version(kind, &row.text("layer")?, &row.text("name")?),
            state: super::super::word(&row, "state", VersionState::parse)?,
            layer: super::super::id(&row, "layer_id")?,
            row,
        })
    }

    /// Its packaging disk: where, and under which name.
    pub(super) fn disk(&self) -> Result<Option<(ConfigurationId, DiskName)>, Refusal> {
        let configuration = super::super::optional_id(&self.row, "configuration_id")?;
        let name = self.row.optional_text("disk_name")?;
        let name = name.map(|name| disk_name("disk", &name)).transpose()?;
        Ok(configuration.zip(name))
    }
}

impl App {
    /// Finalizes a version: a task checks its packaging disk and captures what changed.
    pub async fn finalize_version(
        &self,
        call: &Call,
        id: VersionId,
        wanted: &Finalize,
    ) -> Result<Started, Refusal> {
        call.may(Action::FinalizeVersion)?;
        let mut invalid = Invalid::new();
        let override_reason = self.check_override(call, &mut invalid, wanted.override_reason.as_deref());
        invalid.finish()?;
        let mut change = match self.begin_creating(call, Action::FinalizeVersion, &(id, wanted)).await? {
            Begun::Before(started) => return Ok(started),
            Begun::Now(change) => change,
        };
        let version = InPackaging::read(&mut change, id).await?;
        call.may_manage(Action::FinalizeVersion, version.kind)?;
        let disk = version.disk()?;
        let (VersionState::Packaging, Some((configuration, disk))) = (version.state, disk) else {
            let message = format!("{} is {}, not in packaging.", version.full, version.state.as_str());
            return Err(Refusal::new(Reason::Conflict, "version-not-in-packaging", message)
                .hint("Only a version whose packaging disk is there can be finalized."));
        };
        let os: VersionId = super::super::id(&version.row, "os_version_id")?;
        let prerequisites = Statement::new(
            "SELECT prerequisite_id FROM packaging_prerequisites WHERE version_id = $1 ORDER BY position",
        )
        .bind(id.to_string());
        let prerequisites: Vec<VersionId> = change
            .all(prerequisites)
            .await?
            .iter()
            .map(|row| super::super::id(row, "prerequisite_id"))
            .collect::<Result<_, _>>()?;
        let base = super::super::optional_id(&version.row, "base_version_id")?;
        let platform = super::super::optional_id(&version.row, "platform_version_id")?;
        let composite = composite(&mut change, os, &prerequisites, base, platform).await?;
        let platform = match version.row.optional_text("platform")? {
            Some(_) => Some(version.row.json("platform")?),
            None => None,
        };
        let parameters = FinalizeVersion {
            version: Stored::read(&mut change, &[id]).await?.version(id)?.clone(),
            composite,
            platform,
            max_bytes: version.row.integer("max_bytes")?.unsigned_abs(),
            configuration,
            disk,
            override_reason,
            os_version: os.to_string(),
            packaging: packagings(&mut change, &[id]).await?.remove(&id),
        };
        let state =
            Statement::new("UPDATE versions SET state = 'finalizing', revision = revision + 1 WHERE id = $1")
                .bind(id.to_string());
        change.execute(state).await?;
        // The task that waits for this is over.
        let waited = change_task(
            change.now(),
            "state = 'done', next_action = NULL \
             WHERE object_kind = 'version' AND object_id = $2 AND state = 'action-required'",
        )
        .bind(id.to_string());
        change.execute(waited).await?;
        let (task, text) = (TaskId::new(), id.to_string());
        let object = version_object(&text, &version.full);
        let description = format!("Capturing {}.", version.full);
        let task_wanted =
            Wanted { saga: FINALIZE_VERSION, title: "Finalize", description, object, parameters };
        self.enqueue(&mut change, task, task_wanted).await?;
        let also = [("layer", version.row.text("layer_id")?)];
        let detail = serde_json::json!({ "request": wanted });
        change.audit_touching(Action::FinalizeVersion, object, &also, &detail).await?;
        let started = Started { task_id: task };
        change.remember(&started).await?;
        change.commit().await?;
        Ok(started)
    }
}
