//! Assignments: which templates have which version of a layer, seen and changed from the layer's side.
//!
//! Many templates are changed in one change: all of them or none. Each gets a revision.

use super::list::{Conditions, Listing, Page, PageQuery, Sort};
use super::picks::{self, Candidate};
use super::rows::Rows;
use super::templates::store::{self, Template};
use super::{App, Call, Change, Object, Reason, Refusal, layers};
use crate::db::{Row, Statement};
use crate::domain::layer::{LayerKind, VersionState};
use crate::domain::template::TemplateContent;
use crate::domain::{Action, Invalid, LayerId, TemplateId, VersionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

/// Most templates that one call names.
const MOST_TEMPLATES: usize = 1000;

/// A template that has a layer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AssignmentView {
    /// The template.
    pub template_id: TemplateId,
    /// Its name.
    pub template: String,
    /// The version that it has.
    pub version_id: VersionId,
    /// That version's name.
    pub version: String,
}

/// Which assignments of a layer.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AssignmentFilter {
    /// Only of this version.
    #[param(value_type = Option<String>)]
    pub version: Option<VersionId>,
    /// Only templates whose name holds this text.
    pub search: Option<String>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `template`; with `-` in front descending.
    pub sort: Option<String>,
}

/// Templates that a version is assigned to or taken out of.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateChoice {
    /// The templates.
    #[schema(min_items = 1, max_items = 1000)]
    pub templates: BTreeSet<TemplateId>,
}

/// Templates that move to a version.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignmentUpdate {
    /// The templates; without them all that have an older version of the layer.
    #[schema(min_items = 1, max_items = 1000)]
    pub templates: Option<BTreeSet<TemplateId>>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// A template that was changed, or would be.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Assigned {
    /// The template.
    pub template_id: TemplateId,
    /// Its name.
    pub template: String,
    /// The version of the layer that it had.
    pub before: Option<String>,
    /// The version of the layer that it has now.
    pub after: Option<String>,
    /// Its revision now; in a dry run the one that it stays in.
    pub revision: i64,
}

/// What was done to templates, or would be.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AssignedTemplates {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The templates.
    pub templates: Vec<Assigned>,
}

const LISTING: Listing = Listing {
    select: "SELECT u.template_id, u.name, u.name_key, u.version_id, u.version FROM (\
        SELECT t.id AS template_id, t.name AS name, t.name_key AS name_key, v.id AS version_id, \
          v.name AS version, v.layer_id AS layer_id, v.sequence AS sequence \
          FROM templates t JOIN versions v ON v.id = t.os_version_id \
        UNION ALL SELECT t.id, t.name, t.name_key, v.id, v.name, v.layer_id, v.sequence \
          FROM templates t JOIN versions v ON v.id = t.platform_version_id \
        UNION ALL SELECT t.id, t.name, t.name_key, v.id, v.name, v.layer_id, v.sequence \
          FROM template_apps a JOIN templates t ON t.id = a.template_id \
          JOIN versions v ON v.id = a.version_id) u",
    id: "u.template_id",
    sorts: &[Sort { name: "template", column: "u.name_key", number: false }],
    newest_first: false,
};

fn view(row: &Row) -> Result<AssignmentView, Refusal> {
    Ok(AssignmentView {
        template_id: super::id(row, "template_id")?,
        template: row.text("name")?,
        version_id: super::id(row, "version_id")?,
        version: row.text("version")?,
    })
}

impl App {
    /// Lists the templates that have a layer, and with which version.
    pub async fn assignments(
        &self,
        call: &Call,
        layer: LayerId,
        filter: &AssignmentFilter,
    ) -> Result<Page<AssignmentView>, Refusal> {
        call.may(Action::ListAssignments)?;
        layers::read(&mut &self.db, layer).await?;
        let mut conditions = Conditions::new();
        conditions.add("u.layer_id = ?", layer.to_string());
        if let Some(version) = filter.version {
            conditions.add("u.version_id = ?", version.to_string());
        }
        if let Some(text) = &filter.search {
            conditions.search("u.name_key", text);
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        asked.answer(self.db.all(statement).await?, view)
    }

    /// Assigns a version to templates that do not have its layer.
    pub async fn add_assignments(
        &self,
        call: &Call,
        version: VersionId,
        wanted: &TemplateChoice,
    ) -> Result<AssignedTemplates, Refusal> {
        call.may(Action::AddAssignments)?;
        let mut change = self.begin(call).await?;
        let version = picks::version(&mut change, version).await?;
        refuse_not_deployable(&version)?;
        let templates = chosen(&mut change, &wanted.templates).await?;
        let planned = plan(&version, templates, add)?;
        carry_out(change, call, Action::AddAssignments, &version, planned).await
    }

    /// Moves templates that have an older version of the layer to this one.
    pub async fn update_assignments(
        &self,
        call: &Call,
        version: VersionId,
        wanted: &AssignmentUpdate,
    ) -> Result<AssignedTemplates, Refusal> {
        call.may(Action::UpdateAssignments)?;
        let mut change = self.begin(call).await?;
        let version = picks::version(&mut change, version).await?;
        refuse_not_deployable(&version)?;
        let older = with_older(&mut change, &version).await?;
        let templates = match &wanted.templates {
            Some(choice) => chosen(&mut change, choice).await?,
            None => store::read_all(&mut change, &older.iter().copied().collect::<Vec<_>>()).await?,
        };
        let planned = plan(&version, templates, |version, template, content| {
            if !older.contains(&template) {
                let message = format!("has no older version of the layer {} than this one", version.layer);
                return Err(("no-older-version", message));
            }
            move_to(version, content);
            Ok(())
        })?;
        if wanted.dry_run || planned.is_empty() {
            let templates = planned.into_iter().map(|(before, after)| {
                let revision = before.revision;
                assigned(&version, &before, &after, revision)
            });
            return Ok(AssignedTemplates { dry_run: wanted.dry_run, templates: templates.collect() });
        }
        carry_out(change, call, Action::UpdateAssignments, &version, planned).await
    }

    /// Takes a version out of templates.
    pub async fn remove_assignments(
        &self,
        call: &Call,
        version: VersionId,
        wanted: &TemplateChoice,
    ) -> Result<AssignedTemplates, Refusal> {
        call.may(Action::RemoveAssignments)?;
        let mut change = self.begin(call).await?;
        let version = picks::version(&mut change, version).await?;
        let templates = chosen(&mut change, &wanted.templates).await?;
        let planned = plan(&version, templates, remove)?;
        carry_out(change, call, Action::RemoveAssignments, &version, planned).await
    }
}

fn refuse_not_deployable(version: &Candidate) -> Result<(), Refusal> {
    if version.state == VersionState::Deployable {
        return Ok(());
    }
    Err(Refusal::new(Reason::Conflict, "version-not-deployable", version.not_deployable())
        .hint("Finalize it first, or choose another version."))
}

/// The templates that were chosen.
async fn chosen(rows: &mut impl Rows, choice: &BTreeSet<TemplateId>) -> Result<Vec<Template>, Refusal> {
    if !(1..=MOST_TEMPLATES).contains(&choice.len()) {
        let message = format!("Choose 1 to {MOST_TEMPLATES} templates.");
        return Err(Invalid::field("templates", "out-of-range", message).into());
    }
    let ids: Vec<TemplateId> = choice.iter().copied().collect();
    let templates = store::read_all(rows, &ids).await?;
    let mut invalid = Invalid::new();
    for id in ids {
        if !templates.iter().any(|template| template.id == id) {
            invalid.add("templates", "template-unknown", format!("There is no template {id}."));
        }
    }
    invalid.finish()?;
    Ok(templates)
}

/// The templates that have an older version of the layer.
async fn with_older(rows: &mut impl Rows, version: &Candidate) -> Result<BTreeSet<TemplateId>, Refusal> {
    let sql = format!("{} WHERE u.layer_id = $1 AND u.sequence < $2", LISTING.select);
    let statement = Statement::assembled(sql).bind(version.layer_id.to_string()).bind(version.sequence);
    rows.all(statement).await?.iter().map(|row| super::id(row, "template_id")).collect()
}

/// Why a template cannot be changed so: a code, and what comes after its name.
type Complaint = (&'static str, String);

/// What the templates become; refused when one of them cannot.
fn plan(
    version: &Candidate,
    templates: Vec<Template>,
    apply: impl Fn(&Candidate, TemplateId, &mut TemplateContent) -> Result<(), Complaint>,
) -> Result<Vec<(Template, TemplateContent)>, Refusal> {
    let mut invalid = Invalid::new();
    let mut planned = Vec::with_capacity(templates.len());
    for template in templates {
        let mut content = template.content.clone();
        match apply(version, template.id, &mut content) {
            Ok(()) => {
                content.sort_apps();
                planned.push((template, content));
            }
            Err((code, message)) => {
                invalid.add("templates", code, format!("The template {} {message}.", content.name));
            }
        }
    }
    invalid.finish()?;
    Ok(planned)
}

/// The version of the layer that a template has.
fn current(version: &Candidate, content: &TemplateContent) -> Option<(VersionId, String)> {
    let parts = [&content.os].into_iter().chain(&content.platform);
    let parts = parts.map(|part| (part.layer_id, part.version_id, &part.version));
    let apps = content.apps.iter().map(|app| (app.layer_id, app.version_id, &app.version));
    parts.chain(apps).find(|(layer, _, _)| *layer == version.layer_id).map(|(_, id, name)| (id, name.clone()))
}

fn add(version: &Candidate, _: TemplateId, content: &mut TemplateContent) -> Result<(), Complaint> {
    if let Some((_, name)) = current(version, content) {
        return Err((
            "already-assigned",
            format!("has version {name} of the layer {} already", version.layer),
        ));
    }
    let of_rule = |invalid: Invalid, code| {
        let message = invalid.errors().first().map(|error| error.message.trim_end_matches('.').to_owned());
        (code, format!("cannot have it: {}", message.unwrap_or_default()))
    };
    version
        .check_os_layer("templates", Some(content.os.layer_id))
        .map_err(|invalid| of_rule(invalid, "layer-of-other-os"))?;
    match version.kind {
        LayerKind::Os => {
            Err(("os-assigned", format!("has the OS layer {}; edit the template", content.os.layer)))
        }
        LayerKind::Platform => {
            version
                .check_publishing("templates")
                .map_err(|invalid| of_rule(invalid, "platform-not-publishing"))?;
            if let Some(platform) = &content.platform {
                let message = format!("has the platform layer {}; edit the template", platform.layer);
                return Err(("platform-assigned", message));
            }
            content.platform = Some(version.pinned());
            Ok(())
        }
        LayerKind::App if content.apps.len() >= crate::domain::template::MOST_APPS => {
            Err(("too-many", format!("has {} apps, which is the most", content.apps.len())))
        }
        LayerKind::App => {
            content.apps.push(version.as_app(None));
            Ok(())
        }
    }
}

/// Puts the version in the place of the one that is there.
fn move_to(version: &Candidate, content: &mut TemplateContent) {
    let parts = [&mut content.os].into_iter().chain(&mut content.platform);
    for part in parts.filter(|part| part.layer_id == version.layer_id) {
        *part = version.pinned();
    }
    for app in content.apps.iter_mut().filter(|app| app.layer_id == version.layer_id) {
        *app = version.as_app(app.priority);
    }
}

fn remove(version: &Candidate, _: TemplateId, content: &mut TemplateContent) -> Result<(), Complaint> {
    match current(version, content) {
        Some((id, _)) if id == version.version_id => {}
        Some((_, name)) => {
            return Err((
                "not-assigned",
                format!("has version {name} of the layer {} instead", version.layer),
            ));
        }
        None => return Err(("not-assigned", format!("does not have the layer {}", version.layer))),
    }
    match version.kind {
        LayerKind::Os => {
            return Err((
                "os-required",
                "needs an OS version; edit the template to choose another".to_owned(),
            ));
        }
        LayerKind::Platform => content.platform = None,
        LayerKind::App => content.apps.retain(|app| app.layer_id != version.layer_id),
    }
    Ok(())
}

fn assigned(version: &Candidate, before: &Template, after: &TemplateContent, revision: i64) -> Assigned {
    Assigned {
        template_id: before.id,
        template: after.name.clone(),
        before: current(version, &before.content).map(|(_, name)| name),
        after: current(version, after).map(|(_, name)| name),
        revision,
    }
}

/// Saves the templates, with one row in the audit history for all of them.
async fn carry_out(
    mut change: Change<'_>,
    call: &Call,
    action: Action,
    version: &Candidate,
    planned: Vec<(Template, TemplateContent)>,
) -> Result<AssignedTemplates, Refusal> {
    let mut templates = Vec::with_capacity(planned.len());
    let mut also = vec![("layer", version.layer_id.to_string())];
    for (before, after) in &planned {
        let revision = store::save(&mut change, call, before, after).await?;
        let assigned = assigned(version, before, after, revision);
        also.push(("template", before.id.to_string()));
        templates.push(assigned);
    }
    let (id, name) = (version.version_id.to_string(), version.reference());
    let object = Object { kind: "version", id: &id, name: &name };
    change.audit_touching(action, object, &also, &serde_json::json!({ "templates": templates })).await?;
    change.commit().await?;
    Ok(AssignedTemplates { dry_run: false, templates })
}
