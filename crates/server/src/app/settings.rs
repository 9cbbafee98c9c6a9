//! Settings of the server that administrators change while it runs.

use super::{App, Call, Change, Object, Refusal, configurations};
use crate::db::{Row, Statement};
use crate::domain::{Action, ConfigurationId, Invalid};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// The name under which they are stored.
const NAME: &str = "server";

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Settings {
    /// Days for which the audit history is kept.
    pub audit_retention_days: i64,
    /// Days for which tasks that have ended are kept, with their logs.
    pub task_retention_days: i64,
    /// Minutes after which an unused session ends.
    pub session_timeout_minutes: i64,
    /// The connector configuration of the file share, where packaging disks, installers and exported layers are exchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_share: Option<ConfigurationId>,
    /// Where the store is, on the server's machine. It is set when the server is started, with `--store`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub store_location: String,
    /// Rises with every change; the ETag.
    #[serde(default)]
    pub revision: i64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            audit_retention_days: 730,
            task_retention_days: 90,
            session_timeout_minutes: 60,
            file_share: None,
            store_location: String::new(),
            revision: 0,
        }
    }
}

/// What to change of the settings; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    /// Days for which the audit history is kept, 30 to 3650.
    #[schema(minimum = 30, maximum = 3650)]
    pub audit_retention_days: Option<i64>,
    /// Days for which tasks that have ended are kept, with their logs, 1 to 3650. Those that wait for a person stay.
    #[schema(minimum = 1, maximum = 3650)]
    pub task_retention_days: Option<i64>,
    /// Minutes after which an unused session ends, 5 to 1440.
    #[schema(minimum = 5, maximum = 1440)]
    pub session_timeout_minutes: Option<i64>,
    /// The connector configuration of the file share, of the connector `fileshare`; it is tried before it is saved.
    /// `null`: none.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ConfigurationId>)]
    pub file_share: Option<Option<ConfigurationId>>,
}

/// What is there, `null` too, as something that was given.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl SettingsChange {
    fn apply(&self, settings: &mut Settings) -> Result<(), Invalid> {
        let mut invalid = Invalid::new();
        let mut number = |field: &str, wanted: Option<i64>, lowest: i64, highest: i64, target: &mut i64| {
            let Some(wanted) = wanted else { return };
            if (lowest..=highest).contains(&wanted) {
                *target = wanted;
            } else {
                invalid.add(field, "out-of-range", format!("This setting is {lowest} to {highest}."));
            }
        };
        number(
            "audit_retention_days",
            self.audit_retention_days,
            30,
            3650,
            &mut settings.audit_retention_days,
        );
        number("task_retention_days", self.task_retention_days, 1, 3650, &mut settings.task_retention_days);
        number(
            "session_timeout_minutes",
            self.session_timeout_minutes,
            5,
            1440,
            &mut settings.session_timeout_minutes,
        );
        if let Some(file_share) = self.file_share {
            settings.file_share = file_share;
        }
        invalid.finish()
    }
}

fn read(row: Option<Row>) -> Result<Settings, Refusal> {
    let Some(row) = row else { return Ok(Settings::default()) };
    let mut settings: Settings = row.json("value")?;
    settings.revision = row.integer("revision")?;
    Ok(settings)
}

fn stored() -> Statement<'static> {
    Statement::new("SELECT value, revision FROM settings WHERE name = $1").bind(NAME)
}

/// The settings inside a change.
pub(super) async fn seen_by(change: &mut Change<'_>) -> Result<Settings, Refusal> {
    read(change.optional(stored()).await?)
}

impl App {
    /// The settings, for the server itself.
    pub(crate) async fn settings(&self) -> Result<Settings, Refusal> {
        read(self.db.optional(stored()).await?)
    }

    /// The settings, for an administrator.
    pub async fn show_settings(&self, call: &Call) -> Result<Settings, Refusal> {
        call.may(Action::GetSettings)?;
        Ok(self.located(self.settings().await?))
    }

    fn located(&self, settings: Settings) -> Settings {
        Settings { store_location: self.deployment.store().display().to_string(), ..settings }
    }

    /// Changes settings.
    pub async fn update_settings(
        &self,
        call: &Call,
        revision: Option<i64>,
        wanted: &SettingsChange,
    ) -> Result<Settings, Refusal> {
        call.may(Action::UpdateSettings)?;
        // Complained of before a file share is tried, which takes its time.
        wanted.apply(&mut Settings::default())?;
        let tried = match wanted.file_share.flatten() {
            Some(id) => Some((id, self.try_file_share(id).await?)),
            None => None,
        };
        let mut change = self.begin(call).await?;
        if let Some((id, revision)) = tried {
            configurations::look(&mut change, id, revision).await?;
        }
        let before = seen_by(&mut change).await?;
        if revision.is_some_and(|revision| revision != before.revision) {
            return Err(Refusal::stale("settings"));
        }
        let mut after = before.clone();
        wanted.apply(&mut after)?;
        after.revision += 1;
        let statement = Statement::new(
            "INSERT INTO settings (name, value, revision) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, revision = excluded.revision",
        )
        .bind(NAME)
        .bind(serde_json::to_string(&after).map_err(Refusal::internal)?)
        .bind(after.revision);
        change.execute(statement).await?;
        let object = Object { kind: "settings", id: NAME, name: "Settings" };
        let detail = serde_json::json!({ "before": before, "after": after });
        change.audit(Action::UpdateSettings, object, &detail).await?;
        change.commit().await?;
        Ok(self.located(after))
    }
}
