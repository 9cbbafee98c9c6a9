//! Published images: the record of what was published, when, by whom and from what.

use super::list::{Conditions, Listing, Page, PageQuery, Sort};
use super::rows::Rows;
use super::{App, Call, Object, Refusal};
use crate::db::{Row, Statement};
use crate::domain::image::ImageComparison;
use crate::domain::{Action, ConfigurationId, ImageId, TaskId, TemplateId, Time};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A published image. What it was made of may be gone meanwhile.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImageView {
    /// Its identifier.
    pub id: ImageId,
    /// Its name. Several images may have the same one.
    pub name: String,
    /// The template.
    pub template_id: TemplateId,
    /// The template's name at that time.
    pub template: String,
    /// The template's revision.
    pub template_revision: i64,
    /// To where it was published.
    pub configuration_id: ConfigurationId,
    /// The kind of connector.
    pub connector: String,
    /// The task that published it.
    pub task_id: TaskId,
    /// Who published it.
    pub published_by: String,
    /// What the connector made of it: location, text, link.
    pub delivered: serde_json::Value,
    /// When.
    pub created_at: Time,
    /// The ETag.
    pub revision: i64,
}

/// A published image with what it was made of.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImageDetails {
    /// The image.
    pub image: ImageView,
    /// The digest of every layer version, the engine's revision, the digest of the disk.
    pub provenance: serde_json::Value,
}

/// Which images.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ImageFilter {
    /// Only those whose name holds this text.
    pub search: Option<String>,
    /// Only those that were published from this template.
    #[param(value_type = Option<String>)]
    pub template: Option<TemplateId>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `created_at` or `name`; with `-` in front descending. Without it the newest comes first.
    pub sort: Option<String>,
}

/// With which other image.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ImageDiffQuery {
    /// The other image.
    #[param(value_type = String)]
    pub to: ImageId,
}

const LISTING: Listing = Listing {
    select: "SELECT id, name, name_key, template_id, template_name, template_revision, configuration_id, \
             connector, task_id, published_by, delivered, created_at, revision FROM images",
    id: "id",
    sorts: &[
        Sort { name: "created_at", column: "created_at", number: true },
        Sort { name: "name", column: "name_key", number: false },
    ],
    newest_first: true,
};

fn view(row: &Row) -> Result<ImageView, Refusal> {
    Ok(ImageView {
        id: super::id(row, "id")?,
        name: row.text("name")?,
        template_id: super::id(row, "template_id")?,
        template: row.text("template_name")?,
        template_revision: row.integer("template_revision")?,
        configuration_id: super::id(row, "configuration_id")?,
        connector: row.text("connector")?,
        task_id: super::id(row, "task_id")?,
        published_by: row.text("published_by")?,
        delivered: row.json("delivered")?,
        created_at: Time::from_millis(row.integer("created_at")?),
        revision: row.integer("revision")?,
    })
}

async fn read(rows: &mut impl Rows, id: ImageId) -> Result<ImageDetails, Refusal> {
    let statement = Statement::new("SELECT * FROM images WHERE id = $1").bind(id.to_string());
    let row = rows.optional(statement).await?.ok_or_else(|| Refusal::missing("image", id))?;
    Ok(ImageDetails { image: view(&row)?, provenance: row.json("provenance")? })
}

impl App {
    /// Lists published images.
    pub async fn images(&self, call: &Call, filter: &ImageFilter) -> Result<Page<ImageView>, Refusal> {
        call.may(Action::ListImages)?;
        let mut conditions = Conditions::new();
        if let Some(text) = &filter.search {
            conditions.search("name_key", text);
        }
        if let Some(template) = filter.template {
            conditions.add("template_id = ?", template.to_string());
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        asked.answer(self.db.all(statement).await?, view)
    }

    /// One published image, with what it was made of.
    pub async fn image(&self, call: &Call, id: ImageId) -> Result<ImageDetails, Refusal> {
        call.may(Action::GetImage)?;
        read(&mut &self.db, id).await
    }

    /// What differs between two published images.
    pub async fn diff_images(
        &self,
        call: &Call,
        id: ImageId,
        query: &ImageDiffQuery,
    ) -> Result<ImageComparison, Refusal> {
        call.may(Action::DiffImages)?;
        let before = read(&mut &self.db, id).await?;
        let after = read(&mut &self.db, query.to).await?;
        let mut comparison = ImageComparison::of(&before.provenance, &after.provenance);
        let (b, a) = (&before.image, &after.image);
        let template =
            |image: &ImageView| serde_json::json!({ "id": image.template_id, "name": image.template });
        if b.template_id != a.template_id {
            comparison.field("template", template(b), template(a));
        } else {
            comparison.field("template_revision", b.template_revision.into(), a.template_revision.into());
        }
        let configuration = |image: &ImageView| serde_json::json!(image.configuration_id);
        comparison.field("configuration", configuration(b), configuration(a));
        Ok(comparison)
    }

    /// Removes the record of a published image. What was published stays where it is.
    pub async fn delete_image(&self, call: &Call, id: ImageId, revision: Option<i64>) -> Result<(), Refusal> {
        call.may(Action::DeleteImage)?;
        let mut change = self.begin(call).await?;
        let before = read(&mut change, id).await?;
        if revision.is_some_and(|revision| revision != before.image.revision) {
            return Err(Refusal::stale("image"));
        }
        change.execute(Statement::new("DELETE FROM images WHERE id = $1").bind(id.to_string())).await?;
        let text = id.to_string();
        let object = Object { kind: "image", id: &text, name: &before.image.name };
        change.audit(Action::DeleteImage, object, &serde_json::json!({ "before": before })).await?;
        change.commit().await
    }
}
