//! Revisions of templates: read, compared, restored.

use super::wanted::{as_wanted, check};
use super::{TemplateView, store, update};
use crate::app::list::{Conditions, Listing, Page, PageQuery, Sort};
use crate::app::rows::Rows;
use crate::app::{App, Call, Refusal};
use crate::db::{Row, Statement};
use crate::domain::template::{Comparison, TemplateContent};
use crate::domain::{Action, TemplateId, Time};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A revision of a template.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RevisionView {
    /// Its number.
    pub revision: i64,
    /// Who made it.
    pub author: String,
    /// What they typed as the comment.
    pub comment: String,
    /// When.
    pub created_at: Time,
}

/// A revision of a template with what the template said.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RevisionContent {
    /// Which, by whom and when.
    pub revision: RevisionView,
    /// What the template said, with the names of that time.
    pub content: TemplateContent,
}

/// Which revisions.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RevisionFilter {
    /// Only those that this user made.
    pub author: Option<String>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `revision`; with `-` in front the latest comes first, which is usual.
    pub sort: Option<String>,
}

/// Which two revisions.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CompareQuery {
    /// The revision before.
    pub from: i64,
    /// The revision after.
    pub to: i64,
}

/// With which other template.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TemplateDiffQuery {
    /// The other template.
    #[param(value_type = String)]
    pub to: TemplateId,
}

const LISTING: Listing = Listing {
    select: "SELECT template_id, revision, author, comment, created_at FROM template_revisions",
    id: "template_id",
    sorts: &[Sort { name: "revision", column: "revision", number: true }],
    newest_first: true,
};

fn view(row: &Row) -> Result<RevisionView, Refusal> {
    Ok(RevisionView {
        revision: row.integer("revision")?,
        author: row.text("author")?,
        comment: row.text("comment")?,
        created_at: Time::from_millis(row.integer("created_at")?),
    })
}

async fn read(rows: &mut impl Rows, id: TemplateId, number: i64) -> Result<RevisionContent, Refusal> {
    let statement = Statement::new(
        "SELECT revision, author, comment, created_at, content FROM template_revisions \
         WHERE template_id = $1 AND revision = $2",
    )
    .bind(id.to_string())
    .bind(number);
    let row = rows.optional(statement).await?;
    let row = row.ok_or_else(|| Refusal::missing("revision", format!("{number} of the template {id}")))?;
    Ok(RevisionContent { revision: view(&row)?, content: row.json("content")? })
}

impl App {
    /// Lists the revisions of a template.
    pub async fn revisions(
        &self,
        call: &Call,
        id: TemplateId,
        filter: &RevisionFilter,
    ) -> Result<Page<RevisionView>, Refusal> {
        call.may(Action::ListRevisions)?;
        store::read(&mut &self.db, id).await?;
        let mut conditions = Conditions::new();
        conditions.add("template_id = ?", id.to_string());
        if let Some(author) = &filter.author {
            conditions.add("author = ?", author.as_str());
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        asked.answer(self.db.all(statement).await?, view)
    }

    /// One revision of a template.
    pub async fn revision(
        &self,
        call: &Call,
        id: TemplateId,
        revision: i64,
    ) -> Result<RevisionContent, Refusal> {
        call.may(Action::GetRevision)?;
        read(&mut &self.db, id, revision).await
    }

    /// What differs between two revisions of a template.
    pub async fn compare_revisions(
        &self,
        call: &Call,
        id: TemplateId,
        query: &CompareQuery,
    ) -> Result<Comparison, Refusal> {
        call.may(Action::CompareRevisions)?;
        let rows = &mut &self.db;
        let before = read(rows, id, query.from).await?;
        let after = read(rows, id, query.to).await?;
        Ok(Comparison::of(&before.content, &after.content))
    }

    /// What differs between two templates as they are now.
    pub async fn diff_templates(
        &self,
        call: &Call,
        id: TemplateId,
        query: &TemplateDiffQuery,
    ) -> Result<Comparison, Refusal> {
        call.may(Action::DiffTemplates)?;
        // A change that is dropped: what is read of a template is of one moment.
        let mut change = self.begin(call).await?;
        let before = store::read(&mut change, id).await?;
        let after = store::read(&mut change, query.to).await?;
        Ok(Comparison::of(&before.content, &after.content))
    }

    /// Makes a template what it was in an earlier revision; that is a new revision. Refused when something is
    /// gone.
    pub async fn restore_revision(
        &self,
        call: &Call,
        id: TemplateId,
        number: i64,
        revision: Option<i64>,
    ) -> Result<TemplateView, Refusal> {
        call.may(Action::RestoreRevision)?;
        let mut change = self.begin(call).await?;
        let before = store::look(&mut change, id, revision).await?;
        let old = read(&mut change, id, number).await?.content;
        let after = check(&mut change, &as_wanted(&old), Some(&old)).await?;
        update(change, call, Action::RestoreRevision, &before, &after).await
    }
}
