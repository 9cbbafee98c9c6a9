//! Templates in the database: reading them with the names of what they use, writing them with a new revision.

use crate::app::list::{Listing, Sort};
use crate::app::rows::{Rows, for_each_of};
use crate::app::{Call, Change, Refusal, id, optional_id};
use crate::db::{Row, Statement};
use crate::domain::name;
use crate::domain::template::{AppVersion, ConfigurationName, LayerVersion, TemplateContent};
use crate::domain::{ConfigurationId, TemplateId, Time, VersionId};
use std::collections::HashMap;

/// A template as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) id: TemplateId,
    pub(crate) content: TemplateContent,
    /// The OS version that the platform version was made on, where that is known.
    pub(crate) platform_made_on: Option<VersionId>,
    pub(crate) created_at: Time,
    pub(crate) changed_at: Time,
    pub(crate) revision: i64,
}

macro_rules! select {
    () => {
        "SELECT t.id, t.name, t.name_key, t.description, t.icon_id, t.disk, t.created_at, t.changed_at, \
         t.revision, t.os_version_id, ov.name AS os_version, ol.id AS os_layer_id, ol.name AS os_layer, \
         t.platform_version_id, pv.name AS platform_version, pv.provenance AS platform_provenance, \
         pl.id AS platform_layer_id, pl.name AS platform_layer, t.configuration_id, c.name AS configuration \
         FROM templates t JOIN versions ov ON ov.id = t.os_version_id JOIN layers ol ON ol.id = ov.layer_id \
         LEFT JOIN versions pv ON pv.id = t.platform_version_id LEFT JOIN layers pl ON pl.id = pv.layer_id \
         LEFT JOIN connector_configurations c ON c.id = t.configuration_id"
    };
}

/// The list of templates; what comes out goes through [`template`] and [`with_apps`].
pub(super) const LISTING: Listing = Listing {
    select: select!(),
    id: "t.id",
    sorts: &[
        Sort { name: "name", column: "t.name_key", number: false },
        Sort { name: "created_at", column: "t.created_at", number: true },
        Sort { name: "changed_at", column: "t.changed_at", number: true },
    ],
    newest_first: false,
};

/// On which OS version a version was made, as its provenance tells in `os_version`.
fn made_on(row: &Row, column: &str) -> Result<Option<VersionId>, Refusal> {
    if row.optional_text(column)?.is_none() {
        return Ok(None);
    }
    let provenance: serde_json::Value = row.json(column)?;
    Ok(provenance["os_version"].as_str().and_then(|id| id.parse().ok()))
}

/// A template without its apps.
pub(super) fn template(row: &Row) -> Result<Template, Refusal> {
    let platform = match optional_id(row, "platform_version_id")? {
        Some(version_id) => Some(LayerVersion {
            layer_id: id(row, "platform_layer_id")?,
            layer: row.text("platform_layer")?,
            version_id,
            version: row.text("platform_version")?,
        }),
        None => None,
    };
    let configuration: Option<ConfigurationId> = optional_id(row, "configuration_id")?;
    let configuration = configuration.zip(row.optional_text("configuration")?);
    let content = TemplateContent {
        name: row.text("name")?,
        description: row.text("description")?,
        icon_id: id(row, "icon_id")?,
        os: LayerVersion {
            layer_id: id(row, "os_layer_id")?,
            layer: row.text("os_layer")?,
            version_id: id(row, "os_version_id")?,
            version: row.text("os_version")?,
        },
        platform,
        apps: Vec::new(),
        configuration: configuration.map(|(id, name)| ConfigurationName { id, name }),
        disk: row.json("disk")?,
    };
    Ok(Template {
        id: id(row, "id")?,
        content,
        platform_made_on: made_on(row, "platform_provenance")?,
        created_at: Time::from_millis(row.integer("created_at")?),
        changed_at: Time::from_millis(row.integer("changed_at")?),
        revision: row.integer("revision")?,
    })
}

/// Reads the apps of templates.
pub(super) async fn with_apps(rows: &mut impl Rows, templates: &mut [Template]) -> Result<(), Refusal> {
    let ids: Vec<TemplateId> = templates.iter().map(|template| template.id).collect();
    let mut apps: HashMap<TemplateId, Vec<AppVersion>> = HashMap::new();
    let sql = "SELECT a.template_id, a.priority, v.id, v.name AS version, l.id AS layer_id, l.name AS layer, \
               l.priority AS layer_priority FROM template_apps a JOIN versions v ON v.id = a.version_id \
               JOIN layers l ON l.id = a.layer_id WHERE a.template_id IN (?)";
    for row in for_each_of(rows, sql, &ids).await? {
        apps.entry(id(&row, "template_id")?).or_default().push(AppVersion {
            layer_id: id(&row, "layer_id")?,
            layer: row.text("layer")?,
            version_id: id(&row, "id")?,
            version: row.text("version")?,
            priority: row.optional_integer("priority")?,
            layer_priority: row.integer("layer_priority")?,
        });
    }
    for template in templates {
        template.content.apps = apps.remove(&template.id).unwrap_or_default();
        template.content.sort_apps();
    }
    Ok(())
}

/// Reads the templates that there are of these, ordered by identifier.
pub(crate) async fn read_all(rows: &mut impl Rows, ids: &[TemplateId]) -> Result<Vec<Template>, Refusal> {
    let found = for_each_of(rows, concat!(select!(), " WHERE t.id IN (?)"), ids).await?;
    let mut templates = found.iter().map(template).collect::<Result<Vec<_>, _>>()?;
    with_apps(rows, &mut templates).await?;
    templates.sort_by_key(|template| template.id);
    Ok(templates)
}

/// Reads one template.
pub(crate) async fn read(rows: &mut impl Rows, id: TemplateId) -> Result<Template, Refusal> {
    read_all(rows, &[id]).await?.pop().ok_or_else(|| Refusal::missing("template", id))
}

/// Reads one template, refused when it is not the one that the caller looked at.
pub(super) async fn look(
    rows: &mut impl Rows,
    id: TemplateId,
    revision: Option<i64>,
) -> Result<Template, Refusal> {
    let template = read(rows, id).await?;
    if revision.is_some_and(|revision| revision != template.revision) {
        return Err(Refusal::stale("template"));
    }
    Ok(template)
}

/// Writes a new template with its first revision and gives its identifier.
pub(super) async fn insert(
    change: &mut Change<'_>,
    call: &Call,
    content: &TemplateContent,
) -> Result<TemplateId, Refusal> {
    let id = TemplateId::new();
    let disk = serde_json::to_string(&content.disk).map_err(Refusal::internal)?;
    let now = change.now().millis();
    change
        .execute(
            Statement::new(
                "INSERT INTO templates (id, name, name_key, description, icon_id, os_version_id, \
                 platform_version_id, configuration_id, disk, created_at, changed_at, revision) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            )
            .bind(id.to_string())
            .bind(content.name.as_str())
            .bind(name::key(&content.name))
            .bind(content.description.as_str())
            .bind(content.icon_id.to_string())
            .bind(content.os.version_id.to_string())
            .bind(content.platform.as_ref().map(|part| part.version_id.to_string()))
            .bind(content.configuration.as_ref().map(|one| one.id.to_string()))
            .bind(disk)
            .bind(now)
            .bind(now)
            .bind(1_i64),
        )
        .await?;
    insert_apps(change, id, content).await?;
    insert_revision(change, call, id, 1, content).await?;
    Ok(id)
}

/// Writes the new content of a template as its next revision and gives that one's number.
pub(crate) async fn save(
    change: &mut Change<'_>,
    call: &Call,
    before: &Template,
    content: &TemplateContent,
) -> Result<i64, Refusal> {
    let (id, revision) = (before.id, before.revision + 1);
    let disk = serde_json::to_string(&content.disk).map_err(Refusal::internal)?;
    let now = change.now().millis();
    change
        .execute(
            Statement::new(
                "UPDATE templates SET name = $2, name_key = $3, description = $4, icon_id = $5, \
                 os_version_id = $6, platform_version_id = $7, configuration_id = $8, disk = $9, \
                 changed_at = $10, revision = $11 WHERE id = $1",
            )
            .bind(id.to_string())
            .bind(content.name.as_str())
            .bind(name::key(&content.name))
            .bind(content.description.as_str())
            .bind(content.icon_id.to_string())
            .bind(content.os.version_id.to_string())
            .bind(content.platform.as_ref().map(|part| part.version_id.to_string()))
            .bind(content.configuration.as_ref().map(|one| one.id.to_string()))
            .bind(disk)
            .bind(now)
            .bind(revision),
        )
        .await?;
    let clear = Statement::new("DELETE FROM template_apps WHERE template_id = $1").bind(id.to_string());
    change.execute(clear).await?;
    insert_apps(change, id, content).await?;
    insert_revision(change, call, id, revision, content).await?;
    Ok(revision)
}

async fn insert_apps(
    change: &mut Change<'_>,
    id: TemplateId,
    content: &TemplateContent,
) -> Result<(), Refusal> {
    if content.apps.is_empty() {
        return Ok(());
    }
    // Four parameters for each app, of which a template has at most 200.
    let rows: Vec<String> = (0..content.apps.len())
        .map(|app| format!("(${}, ${}, ${}, ${})", app * 4 + 1, app * 4 + 2, app * 4 + 3, app * 4 + 4))
        .collect();
    let sql = "INSERT INTO template_apps (template_id, version_id, layer_id, priority) VALUES ";
    let mut statement = Statement::assembled(format!("{sql}{}", rows.join(", ")));
    for app in &content.apps {
        statement = statement
            .bind(id.to_string())
            .bind(app.version_id.to_string())
            .bind(app.layer_id.to_string())
            .bind(app.priority);
    }
    change.execute(statement).await?;
    Ok(())
}

async fn insert_revision(
    change: &mut Change<'_>,
    call: &Call,
    id: TemplateId,
    revision: i64,
    content: &TemplateContent,
) -> Result<(), Refusal> {
    let now = change.now().millis();
    let statement = Statement::new(
        "INSERT INTO template_revisions (template_id, revision, content, author, comment, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id.to_string())
    .bind(revision)
    .bind(serde_json::to_string(content).map_err(Refusal::internal)?)
    .bind(call.actor.name.as_str())
    .bind(call.comment.as_str())
    .bind(now);
    change.execute(statement).await?;
    Ok(())
}
