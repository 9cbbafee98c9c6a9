//! Connector configurations: places that connectors reach, with their credentials.
//!
//! Secrets go in and never come out: a configuration that is shown says which are set. In the database they are sealed.

use super::configuration_values::{Saved, SecretChanges, SecretTexts};
use super::list::{Conditions, Listing, Page, PageQuery, Sort};
use super::{App, Begun, Call, Change, Object, Reason, Refusal, in_use, settings};
use crate::db::{Row, Statement};
use crate::domain::name::Name;
use crate::domain::{Action, ConfigurationId, Invalid, Time, name};
use crate::secrets::{Holder, MasterKey, changes_schema};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

/// What the secrets are sealed for.
pub(crate) const PURPOSE: &str = "connector-configuration";
/// Its kind in the audit history.
const KIND: &str = "connector-configuration";

/// A connector configuration, without its secrets.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ConfigurationView {
    /// Its identifier.
    pub id: ConfigurationId,
    /// The connector, such as `fileshare`.
    pub connector: String,
    /// Its name.
    pub name: String,
    /// The fields that are no secrets and are given.
    pub fields: BTreeMap<String, serde_json::Value>,
    /// The names of the secrets that are set.
    pub secrets: BTreeSet<String>,
    /// When it was made.
    pub created_at: Time,
    /// Rises with every change; the ETag.
    pub revision: i64,
}

/// A connector configuration to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConfiguration {
    /// The connector, such as `fileshare`.
    pub connector: String,
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// The fields that are no secrets.
    #[serde(default)]
    pub fields: BTreeMap<String, serde_json::Value>,
    /// Secrets.
    #[serde(default)]
    #[schema(schema_with = changes_schema)]
    pub secrets: SecretChanges,
}

/// What to change of a connector configuration; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigurationChange {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// The fields that are no secrets, all of them.
    pub fields: Option<BTreeMap<String, serde_json::Value>>,
    /// Secrets to set, or with `null` to take away; the others stay. When the place that they are sent to changes, they
    /// are to be sent again.
    #[serde(default)]
    #[schema(schema_with = changes_schema)]
    pub secrets: SecretChanges,
}

impl ConfigurationChange {
    /// Whether more than the name changes.
    fn changes_values(&self) -> bool {
        self.fields.is_some() || !self.secrets.is_empty()
    }
}

/// Which connector configurations.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ConfigurationFilter {
    /// Only those whose name holds this text.
    pub search: Option<String>,
    /// Only those of this connector.
    pub connector: Option<String>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `name` or `created_at`; with `-` in front descending.
    pub sort: Option<String>,
}

const LISTING: Listing = Listing {
    select: "SELECT id, connector, name, name_key, fields, secret_names, created_at, revision \
             FROM connector_configurations",
    id: "id",
    sorts: &[
        Sort { name: "name", column: "name_key", number: false },
        Sort { name: "created_at", column: "created_at", number: true },
    ],
    newest_first: false,
};

fn view(row: &Row) -> Result<ConfigurationView, Refusal> {
    Ok(ConfigurationView {
        id: super::id(row, "id")?,
        connector: row.text("connector")?,
        name: row.text("name")?,
        fields: row.json("fields")?,
        secrets: row.json("secret_names")?,
        created_at: Time::from_millis(row.integer("created_at")?),
        revision: row.integer("revision")?,
    })
}

fn one(id: ConfigurationId) -> Statement<'static> {
    Statement::new(
        "SELECT id, connector, name, fields, secrets, secret_names, created_at, revision \
         FROM connector_configurations WHERE id = $1",
    )
    .bind(id.to_string())
}

fn missing(id: ConfigurationId) -> Refusal {
    Refusal::missing("connector configuration", id)
}

impl App {
    /// Lists connector configurations.
    pub async fn configurations(
        &self,
        call: &Call,
        filter: &ConfigurationFilter,
    ) -> Result<Page<ConfigurationView>, Refusal> {
        call.may(Action::ListConfigurations)?;
        let mut conditions = Conditions::new();
        if let Some(text) = &filter.search {
            conditions.search("name_key", text);
        }
        if let Some(connector) = &filter.connector {
            conditions.add("connector = ?", connector.as_str());
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        asked.answer(self.db.all(statement).await?, view)
    }

    /// One connector configuration.
    pub async fn configuration(
        &self,
        call: &Call,
        id: ConfigurationId,
    ) -> Result<ConfigurationView, Refusal> {
        call.may(Action::GetConfiguration)?;
        view(&self.db.optional(one(id)).await?.ok_or_else(|| missing(id))?)
    }

    /// Makes a connector configuration. Its place is not asked.
    pub async fn create_configuration(
        &self,
        call: &Call,
        new: &NewConfiguration,
    ) -> Result<ConfigurationView, Refusal> {
        call.may(Action::CreateConfiguration)?;
        let mut invalid = Invalid::new();
        let name = invalid.take(Name::check("name", &new.name));
        let (fields, administrator) = (Some(&new.fields), call.is_administrator());
        let values = self.settle(&new.connector, &Saved::default(), fields, &new.secrets, administrator);
        let (Some(name), Some(values)) = (name, invalid.take(values)) else {
            return Err(invalid.into());
        };
        let mut change = match self.begin_creating(call, Action::CreateConfiguration, new).await? {
            Begun::Before(configuration) => return Ok(configuration),
            Begun::Now(change) => change,
        };
        refuse_taken(&mut change, &name).await?;
        let configuration = ConfigurationView {
            id: ConfigurationId::new(),
            connector: new.connector.clone(),
            name: name.as_str().to_owned(),
            fields: values.fields.clone(),
            secrets: values.secret_names(),
            created_at: change.now(),
            revision: 1,
        };
        let statement = Statement::new(
            "INSERT INTO connector_configurations \
             (name, name_key, fields, secrets, secret_names, revision, id, connector, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        );
        let statement = written(statement, &configuration, &values.secrets, &self.key)?
            .bind(configuration.connector.as_str())
            .bind(configuration.created_at.millis());
        change.execute(statement).await?;
        let id = configuration.id.to_string();
        let object = Object { kind: KIND, id: &id, name: &configuration.name };
        let detail = serde_json::json!({ "after": configuration });
        change.audit(Action::CreateConfiguration, object, &detail).await?;
        change.remember(&configuration).await?;
        change.commit().await?;
        Ok(configuration)
    }

    /// Changes a connector configuration.
    pub async fn update_configuration(
        &self,
        call: &Call,
        id: ConfigurationId,
        revision: Option<i64>,
        wanted: &ConfigurationChange,
    ) -> Result<ConfigurationView, Refusal> {
        call.may(Action::UpdateConfiguration)?;
        let tried = self.try_as_file_share(call, id, wanted).await?;
        let name = wanted.name.as_deref().map(|name| Name::check("name", name)).transpose()?;
        let mut change = self.begin(call).await?;
        let row = change.optional(one(id)).await?.ok_or_else(|| missing(id))?;
        let before = current(&row, revision)?;
        let is_share = settings::seen_by(&mut change).await?.file_share == Some(id);
        if is_share && wanted.changes_values() && tried != Some(before.revision) {
            return Err(Refusal::stale("connector configuration"));
        }
        let saved = self.opened(&row, &before)?;
        let (fields, administrator) = (wanted.fields.as_ref(), call.is_administrator());
        let values = self.settle(&before.connector, &saved, fields, &wanted.secrets, administrator)?;
        if !administrator && values.fields != before.fields {
            refuse_elsewhere(&mut change, &before).await?;
        }
        let mut after = before.clone();
        after.revision += 1;
        if let Some(name) = &name {
            if name.key() != name::key(&before.name) {
                refuse_taken(&mut change, name).await?;
            }
            name.as_str().clone_into(&mut after.name);
        }
        after.fields.clone_from(&values.fields);
        after.secrets = values.secret_names();
        let statement = Statement::new(
            "UPDATE connector_configurations SET name = $1, name_key = $2, fields = $3, secrets = $4, \
             secret_names = $5, revision = $6 WHERE id = $7",
        );
        change.execute(written(statement, &after, &values.secrets, &self.key)?).await?;
        let text = id.to_string();
        let object = Object { kind: KIND, id: &text, name: &after.name };
        let sent: Vec<&String> = wanted.secrets.keys().filter(|name| after.secrets.contains(*name)).collect();
        let detail = serde_json::json!({ "before": before, "after": after, "new_secrets": sent });
        change.audit(Action::UpdateConfiguration, object, &detail).await?;
        change.commit().await?;
        Ok(after)
    }

    /// Tries what the file share is to become, before anything is saved; gives the revision that it was tried over.
    async fn try_as_file_share(
        &self,
        call: &Call,
        id: ConfigurationId,
        wanted: &ConfigurationChange,
    ) -> Result<Option<i64>, Refusal> {
        if !wanted.changes_values() || self.settings().await?.file_share != Some(id) {
            return Ok(None);
        }
        let (configuration, saved) = self.saved_configuration(id).await?;
        let fields = wanted.fields.as_ref();
        let administrator = call.is_administrator();
        let values = self.settle(&configuration.connector, &saved, fields, &wanted.secrets, administrator)?;
        if !administrator && values.fields != configuration.fields {
            // Before anything is sent there.
            refuse_elsewhere(&mut self.begin(call).await?, &configuration).await?;
        }
        self.require_working(&values, "fields").await?;
        Ok(Some(configuration.revision))
    }

    /// Removes a connector configuration that nothing uses. What lies at its place stays.
    pub async fn delete_configuration(
        &self,
        call: &Call,
        id: ConfigurationId,
        revision: Option<i64>,
    ) -> Result<(), Refusal> {
        call.may(Action::DeleteConfiguration)?;
        let mut change = self.begin(call).await?;
        let row = change.optional(one(id)).await?.ok_or_else(|| missing(id))?;
        let configuration = current(&row, revision)?;
        refuse_used(&mut change, &configuration).await?;
        let statement = Statement::new("DELETE FROM connector_configurations WHERE id = $1");
        change.execute(statement.bind(id.to_string())).await?;
        let text = id.to_string();
        let object = Object { kind: KIND, id: &text, name: &configuration.name };
        let detail = serde_json::json!({ "before": configuration });
        change.audit(Action::DeleteConfiguration, object, &detail).await?;
        change.commit().await
    }

    /// A configuration with its secrets.
    pub(super) async fn saved_configuration(
        &self,
        id: ConfigurationId,
    ) -> Result<(ConfigurationView, Saved), Refusal> {
        let row = self.db.optional(one(id)).await?.ok_or_else(|| missing(id))?;
        let configuration = view(&row)?;
        let saved = self.opened(&row, &configuration)?;
        Ok((configuration, saved))
    }

    fn opened(&self, row: &Row, configuration: &ConfigurationView) -> Result<Saved, Refusal> {
        let id = configuration.id.to_string();
        let opened = self.key.open(Holder { purpose: PURPOSE, id: &id }, &row.bytes("secrets")?)?;
        let secrets = serde_json::from_slice(&opened).map_err(Refusal::internal)?;
        Ok(Saved { fields: configuration.fields.clone(), secrets })
    }
}

/// Binds what can change, and the identifier.
fn written(
    statement: Statement<'static>,
    configuration: &ConfigurationView,
    secrets: &SecretTexts,
    key: &MasterKey,
) -> Result<Statement<'static>, Refusal> {
    let id = configuration.id.to_string();
    let plain = Zeroizing::new(serde_json::to_vec(secrets).map_err(Refusal::internal)?);
    let sealed = key.seal(Holder { purpose: PURPOSE, id: &id }, &plain)?;
    Ok(statement
        .bind(configuration.name.as_str())
        .bind(name::key(&configuration.name))
        .bind(serde_json::to_string(&configuration.fields).map_err(Refusal::internal)?)
        .bind(sealed)
        .bind(serde_json::to_string(&configuration.secrets).map_err(Refusal::internal)?)
        .bind(configuration.revision)
        .bind(id))
}

/// The configuration in a row, refused when it is not the one that the caller looked at.
fn current(row: &Row, revision: Option<i64>) -> Result<ConfigurationView, Refusal> {
    let configuration = view(row)?;
    if revision.is_some_and(|revision| revision != configuration.revision) {
        return Err(Refusal::stale("connector configuration"));
    }
    Ok(configuration)
}

/// The configuration inside a change, refused when it is not in the state of `revision`.
pub(super) async fn look(
    change: &mut Change<'_>,
    id: ConfigurationId,
    revision: i64,
) -> Result<ConfigurationView, Refusal> {
    current(&change.optional(one(id)).await?.ok_or_else(|| missing(id))?, Some(revision))
}

async fn refuse_taken(change: &mut Change<'_>, name: &Name) -> Result<(), Refusal> {
    let statement =
        Statement::new("SELECT id FROM connector_configurations WHERE name_key = $1").bind(name.key());
    match change.optional(statement).await? {
        None => Ok(()),
        Some(_) => {
            let name = name.as_str();
            let message =
                format!("There is a connector configuration {name} already; names compare without case.");
            Err(Invalid::field("name", "name-taken", message).into())
        }
    }
}

/// Most users of a configuration that are read.
const USERS: i64 = in_use::NAMED as i64 + 1;

async fn refuse_used(change: &mut Change<'_>, configuration: &ConfigurationView) -> Result<(), Refusal> {
    let mut users = Vec::new();
    let templates =
        Statement::new("SELECT name FROM templates WHERE configuration_id = $1 ORDER BY name_key LIMIT $2")
            .bind(configuration.id.to_string())
            .bind(USERS);
    for row in change.all(templates).await? {
        users.push(format!("the image template {}", row.text("name")?));
    }
    users.extend(depending(change, configuration).await?);
    let hint = "Give the templates and the setting another one, finalize or cancel the versions, and let the tasks end.";
    in_use::refuse(&format!("connector configuration {}", configuration.name), &users, hint)
}

/// Refuses to lead what layers are made through to another place: whoever may change a template could else have the
/// disks of all layers brought to a server of their own.
async fn refuse_elsewhere(change: &mut Change<'_>, configuration: &ConfigurationView) -> Result<(), Refusal> {
    let users = depending(change, configuration).await?;
    if users.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Only an administrator can lead {} to another place: it is used by {}.",
        configuration.name,
        users.join(", ")
    );
    Err(Refusal::new(Reason::Forbidden, "configuration-used", message)
        .hint("Make a connector configuration of its own for the other place."))
}

/// What depends on where a configuration leads: the file share, packaging disks, and tasks under way.
async fn depending(
    change: &mut Change<'_>,
    configuration: &ConfigurationView,
) -> Result<Vec<String>, Refusal> {
    let id = configuration.id.to_string();
    let mut users = Vec::new();
    if settings::seen_by(change).await?.file_share == Some(configuration.id) {
        users.push("the setting file_share".to_owned());
    }
    let most = USERS;
    let packagings = Statement::new(
        "SELECT l.kind, l.name, v.name AS version FROM packagings p JOIN versions v ON v.id = p.version_id \
         JOIN layers l ON l.id = v.layer_id WHERE p.configuration_id = $1 \
         ORDER BY l.kind, l.name_key, v.sequence LIMIT $2",
    )
    .bind(id.as_str())
    .bind(most);
    for row in change.all(packagings).await? {
        let (kind, name, version) = (row.text("kind")?, row.text("name")?, row.text("version")?);
        users.push(format!("the packaging disk of {kind}:{name}@{version}"));
    }
    // What a task works with is in its parameters, whatever its kind; an identifier stands for nothing else.
    let tasks = Statement::new(
        "SELECT title FROM tasks WHERE state IN ('queued', 'running') AND saga LIKE $1 ORDER BY created_at LIMIT $2",
    )
    .bind(format!("%{id}%"))
    .bind(most);
    for row in change.all(tasks).await? {
        users.push(format!("the task \"{}\"", row.text("title")?));
    }
    Ok(users)
}
