//! Image templates: what goes into an image, with every revision that there was.

mod file;
mod revisions;
pub(super) mod store;
mod wanted;
mod warnings;

pub use file::{FileApp, FileFormat, TemplateFile};
pub use revisions::{CompareQuery, RevisionContent, RevisionFilter, RevisionView, TemplateDiffQuery};
pub use wanted::{AppPick, NewTemplate, TemplateChange};
pub use warnings::Warning;

use super::list::{Conditions, Page, PageQuery};
use super::rows::Rows;
use super::{App, Begun, Call, Change, Object, Refusal};
use crate::db::Statement;
use crate::domain::name::{self, Name};
use crate::domain::template::{AppVersion, ConfigurationName, DiskSettings, LayerVersion, TemplateContent};
use crate::domain::text::check_description;
use crate::domain::{Action, ConfigurationId, IconId, Invalid, LayerId, TemplateId, Time, VersionId};
use serde::{Deserialize, Serialize};
use store::{LISTING, Template};
use utoipa::{IntoParams, ToSchema};

/// An image template.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TemplateView {
    /// Its identifier.
    pub id: TemplateId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its icon.
    pub icon_id: IconId,
    /// The OS version.
    pub os: LayerVersion,
    /// The platform version; required to publish.
    pub platform: Option<LayerVersion>,
    /// The apps, lowest priority first: of two, the later one wins.
    pub apps: Vec<AppVersion>,
    /// To where images are published; required to publish.
    pub configuration: Option<ConfigurationName>,
    /// The image's disk.
    pub disk: DiskSettings,
    /// What somebody who publishes it should know.
    pub warnings: Vec<Warning>,
    /// When it was made.
    pub created_at: Time,
    /// When it was changed last.
    pub changed_at: Time,
    /// Its latest revision; the ETag.
    pub revision: i64,
}

/// The name of a template that is made like another.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloneTemplate {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it is for; without it what the other is for.
    pub description: Option<String>,
}

/// Which templates.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TemplateFilter {
    /// Only those whose name holds this text.
    pub search: Option<String>,
    /// Only those of this OS layer.
    #[param(value_type = Option<String>)]
    pub os_layer: Option<LayerId>,
    /// Only those with this layer, in any version.
    #[param(value_type = Option<String>)]
    pub layer: Option<LayerId>,
    /// Only those with this version.
    #[param(value_type = Option<String>)]
    pub version: Option<VersionId>,
    /// Only those that are published there.
    #[param(value_type = Option<String>)]
    pub configuration: Option<ConfigurationId>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `name`, `created_at` or `changed_at`; with `-` in front descending.
    pub sort: Option<String>,
}

impl Template {
    fn view(self, warnings: Vec<Warning>) -> TemplateView {
        let content = self.content;
        TemplateView {
            id: self.id,
            name: content.name,
            description: content.description,
            icon_id: content.icon_id,
            os: content.os,
            platform: content.platform,
            apps: content.apps,
            configuration: content.configuration,
            disk: content.disk,
            warnings,
            created_at: self.created_at,
            changed_at: self.changed_at,
            revision: self.revision,
        }
    }
}

/// Templates as callers see them, with their warnings.
async fn views(rows: &mut impl Rows, templates: Vec<Template>) -> Result<Vec<TemplateView>, Refusal> {
    let made_on = warnings::made_on(rows, &templates).await?;
    Ok(templates
        .into_iter()
        .map(|template| {
            let warnings = warnings::of(&template, &made_on);
            template.view(warnings)
        })
        .collect())
}

/// One template as callers see it.
async fn view(rows: &mut impl Rows, id: TemplateId) -> Result<TemplateView, Refusal> {
    let template = store::read(rows, id).await?;
    views(rows, vec![template]).await?.pop().ok_or_else(|| Refusal::missing("template", id))
}

impl App {
    /// Lists templates.
    pub async fn templates(
        &self,
        call: &Call,
        filter: &TemplateFilter,
    ) -> Result<Page<TemplateView>, Refusal> {
        call.may(Action::ListTemplates)?;
        let mut conditions = Conditions::new();
        if let Some(text) = &filter.search {
            conditions.search("t.name_key", text);
        }
        if let Some(layer) = filter.os_layer {
            conditions.add("ol.id = ?", layer.to_string());
        }
        if let Some(layer) = filter.layer {
            conditions.add(
                "(ol.id = ? OR pl.id = ? OR \
                 t.id IN (SELECT template_id FROM template_apps WHERE layer_id = ?))",
                layer.to_string(),
            );
        }
        if let Some(version) = filter.version {
            conditions.add(
                "(t.os_version_id = ? OR t.platform_version_id = ? OR \
                 t.id IN (SELECT template_id FROM template_apps WHERE version_id = ?))",
                version.to_string(),
            );
        }
        if let Some(configuration) = filter.configuration {
            conditions.add("t.configuration_id = ?", configuration.to_string());
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        let mut found = asked.answer(self.db.all(statement).await?, store::template)?;
        let rows = &mut &self.db;
        store::with_apps(rows, &mut found.items).await?;
        Ok(Page { items: views(rows, found.items).await?, next: found.next })
    }

    /// One template.
    pub async fn template(&self, call: &Call, id: TemplateId) -> Result<TemplateView, Refusal> {
        call.may(Action::GetTemplate)?;
        view(&mut &self.db, id).await
    }

    /// Makes a template.
    pub async fn create_template(&self, call: &Call, new: &NewTemplate) -> Result<TemplateView, Refusal> {
        call.may(Action::CreateTemplate)?;
        let mut change = match self.begin_creating(call, Action::CreateTemplate, new).await? {
            Begun::Before(template) => return Ok(template),
            Begun::Now(change) => change,
        };
        let content = wanted::check(&mut change, new, None).await?;
        create(change, call, Action::CreateTemplate, &content).await
    }

    /// Makes a template like another.
    pub async fn clone_template(
        &self,
        call: &Call,
        id: TemplateId,
        new: &CloneTemplate,
    ) -> Result<TemplateView, Refusal> {
        call.may(Action::CloneTemplate)?;
        let mut invalid = Invalid::new();
        let name = invalid.take(Name::check("name", &new.name));
        let description =
            new.description.as_deref().and_then(|text| invalid.take(check_description("description", text)));
        invalid.finish()?;
        let mut change = match self.begin_creating(call, Action::CloneTemplate, &(id, new)).await? {
            Begun::Before(template) => return Ok(template),
            Begun::Now(change) => change,
        };
        let mut content = store::read(&mut change, id).await?.content;
        if let Some(name) = name {
            name.as_str().clone_into(&mut content.name);
        }
        content.description = description.unwrap_or(content.description);
        create(change, call, Action::CloneTemplate, &content).await
    }

    /// Changes a template, which makes a revision. What was published stays as it is.
    pub async fn update_template(
        &self,
        call: &Call,
        id: TemplateId,
        revision: Option<i64>,
        wanted: TemplateChange,
    ) -> Result<TemplateView, Refusal> {
        call.may(Action::UpdateTemplate)?;
        let mut change = self.begin(call).await?;
        let before = store::look(&mut change, id, revision).await?;
        let wanted = wanted.of(&before.content);
        let after = wanted::check(&mut change, &wanted, Some(&before.content)).await?;
        update(change, call, Action::UpdateTemplate, &before, &after).await
    }

    /// Removes a template with its revisions. What was published stays as it is.
    pub async fn delete_template(
        &self,
        call: &Call,
        id: TemplateId,
        revision: Option<i64>,
    ) -> Result<(), Refusal> {
        call.may(Action::DeleteTemplate)?;
        let mut change = self.begin(call).await?;
        let before = store::look(&mut change, id, revision).await?;
        change.execute(Statement::new("DELETE FROM templates WHERE id = $1").bind(id.to_string())).await?;
        let text = id.to_string();
        let object = Object { kind: "template", id: &text, name: &before.content.name };
        let detail = serde_json::json!({ "before": before.content });
        change.audit(Action::DeleteTemplate, object, &detail).await?;
        change.commit().await
    }
}

/// Ends a change that makes a template.
async fn create(
    mut change: Change<'_>,
    call: &Call,
    action: Action,
    content: &TemplateContent,
) -> Result<TemplateView, Refusal> {
    refuse_taken(&mut change, &content.name).await?;
    let id = store::insert(&mut change, call, content).await?;
    let text = id.to_string();
    let object = Object { kind: "template", id: &text, name: &content.name };
    change.audit(action, object, &serde_json::json!({ "after": content })).await?;
    let template = view(&mut change, id).await?;
    change.remember(&template).await?;
    change.commit().await?;
    Ok(template)
}

/// Ends a change that gives a template its next revision.
async fn update(
    mut change: Change<'_>,
    call: &Call,
    action: Action,
    before: &Template,
    after: &TemplateContent,
) -> Result<TemplateView, Refusal> {
    if name::key(&after.name) != name::key(&before.content.name) {
        refuse_taken(&mut change, &after.name).await?;
    }
    store::save(&mut change, call, before, after).await?;
    let text = before.id.to_string();
    let object = Object { kind: "template", id: &text, name: &after.name };
    let detail = serde_json::json!({ "before": before.content, "after": after });
    change.audit(action, object, &detail).await?;
    let template = view(&mut change, before.id).await?;
    change.commit().await?;
    Ok(template)
}

async fn refuse_taken(change: &mut Change<'_>, name: &str) -> Result<(), Refusal> {
    let statement = Statement::new("SELECT id FROM templates WHERE name_key = $1").bind(name::key(name));
    match change.optional(statement).await? {
        None => Ok(()),
        Some(_) => Err(Invalid::field(
            "name",
            "name-taken",
            format!("There is a template {name} already; names compare without case."),
        )
        .into()),
    }
}
