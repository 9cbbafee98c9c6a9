//! Icons of layers and templates: those of the program, and those that people upload.

use super::list::{Conditions, Listing, Page, PageQuery, Sort};
use super::{App, Begun, Call, Change, Object, Reason, Refusal, in_use};
use crate::db::{Row, Statement};
use crate::domain::icon::BUILT_IN;
use crate::domain::name::Name;
use crate::domain::picture::{self, PictureError, PictureType};
use crate::domain::{Action, IconId, Invalid, Time, name};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

/// Uploads that are looked at, at a time. Each takes some 20 MiB and tens of milliseconds.
const AT_A_TIME: usize = 2;

/// An icon, without its picture.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct IconView {
    /// Its identifier.
    pub id: IconId,
    /// Its name.
    pub name: String,
    /// Whether it is part of the program and cannot be changed.
    pub built_in: bool,
    /// The picture's type: `image/png`, or `image/svg+xml` of those that are part of the program.
    pub media_type: String,
    /// When it was made.
    pub created_at: Time,
    /// Rises with every change; the ETag.
    pub revision: i64,
}

/// How an icon that is uploaded is called.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NewIcon {
    /// Its name.
    #[param(min_length = 1, max_length = 100)]
    pub name: String,
}

/// What to change of an icon.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IconChange {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
}

/// Which icons.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct IconFilter {
    /// Only those whose name holds this text.
    pub search: Option<String>,
    /// Only those that are part of the program, or are not.
    pub built_in: Option<bool>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `name` or `created_at`; with `-` in front descending.
    pub sort: Option<String>,
}

/// The picture of an icon.
#[derive(Debug, Clone)]
pub struct IconImage {
    /// Its type.
    pub media_type: String,
    /// The file.
    pub bytes: Vec<u8>,
    /// What tells this picture from others.
    pub digest: String,
}

/// Makes icons of what is uploaded, a few at a time.
#[derive(Debug, Clone)]
pub(super) struct Pictures {
    turns: Arc<Semaphore>,
}

impl Pictures {
    pub(super) fn new() -> Pictures {
        Pictures { turns: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    async fn icon(&self, bytes: Vec<u8>, said: PictureType) -> Result<Vec<u8>, Refusal> {
        let _turn = self.turns.acquire().await.map_err(Refusal::internal)?;
        let made = tokio::task::spawn_blocking(move || picture::icon(&bytes, said)).await;
        // A decoder that gives up on a file in its own way has said that it cannot read it.
        let broken = |_| PictureError::Unreadable { reason: "the decoder gave up".to_owned() };
        made.map_err(broken).flatten().map_err(|error| Refusal::explained(Reason::Invalid, &error))
    }
}

const LISTING: Listing = Listing {
    select: "SELECT id, name, name_key, built_in, media_type, created_at, revision FROM icons",
    id: "id",
    sorts: &[
        Sort { name: "name", column: "name_key", number: false },
        Sort { name: "created_at", column: "created_at", number: true },
    ],
    newest_first: false,
};

fn view(row: &Row) -> Result<IconView, Refusal> {
    Ok(IconView {
        id: super::id(row, "id")?,
        name: row.text("name")?,
        built_in: row.boolean("built_in")?,
        media_type: row.text("media_type")?,
        created_at: Time::from_millis(row.integer("created_at")?),
        revision: row.integer("revision")?,
    })
}

fn one(id: IconId) -> Statement<'static> {
    Statement::new("SELECT id, name, built_in, media_type, created_at, revision FROM icons WHERE id = $1")
        .bind(id.to_string())
}

impl App {
    /// Lists icons.
    pub async fn icons(&self, call: &Call, filter: &IconFilter) -> Result<Page<IconView>, Refusal> {
        call.may(Action::ListIcons)?;
        let mut conditions = Conditions::new();
        if let Some(text) = &filter.search {
            conditions.search("name_key", text);
        }
        if let Some(built_in) = filter.built_in {
            conditions.add("built_in = ?", built_in);
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        asked.answer(self.db.all(statement).await?, view)
    }

    /// One icon.
    pub async fn icon(&self, call: &Call, id: IconId) -> Result<IconView, Refusal> {
        call.may(Action::GetIcon)?;
        view(&self.db.optional(one(id)).await?.ok_or_else(|| Refusal::missing("icon", id))?)
    }

    /// The picture of an icon.
    pub async fn icon_image(&self, call: &Call, id: IconId) -> Result<IconImage, Refusal> {
        call.may(Action::GetIconImage)?;
        let statement =
            Statement::new("SELECT media_type, bytes FROM icons WHERE id = $1").bind(id.to_string());
        let row = self.db.optional(statement).await?.ok_or_else(|| Refusal::missing("icon", id))?;
        let bytes = row.bytes("bytes")?;
        let digest = super::hex(&Sha256::digest(&bytes)[..16]);
        Ok(IconImage { media_type: row.text("media_type")?, bytes, digest })
    }

    /// Makes an icon of an uploaded file.
    pub async fn create_icon(
        &self,
        call: &Call,
        new: &NewIcon,
        said: PictureType,
        file: Vec<u8>,
    ) -> Result<IconView, Refusal> {
        call.may(Action::CreateIcon)?;
        let name = Name::check("name", &new.name)?;
        let asked = (&new.name, super::hex(&Sha256::digest(&file)));
        // Read before the change begins: others wait for it.
        let bytes = self.pictures.icon(file, said).await?;
        let mut change = match self.begin_creating(call, Action::CreateIcon, &asked).await? {
            Begun::Before(icon) => return Ok(icon),
            Begun::Now(change) => change,
        };
        refuse_taken(&mut change, &name).await?;
        let icon = IconView {
            id: IconId::new(),
            name: name.as_str().to_owned(),
            built_in: false,
            media_type: "image/png".to_owned(),
            created_at: change.now(),
            revision: 1,
        };
        change.execute(insert(&icon, bytes)).await?;
        let id = icon.id.to_string();
        let object = Object { kind: "icon", id: &id, name: &icon.name };
        change.audit(Action::CreateIcon, object, &serde_json::json!({ "after": icon })).await?;
        change.remember(&icon).await?;
        change.commit().await?;
        Ok(icon)
    }

    /// Gives an icon another name.
    pub async fn update_icon(
        &self,
        call: &Call,
        id: IconId,
        revision: Option<i64>,
        wanted: &IconChange,
    ) -> Result<IconView, Refusal> {
        call.may(Action::UpdateIcon)?;
        let name = Name::check("name", &wanted.name)?;
        let mut change = self.begin(call).await?;
        let before = look(&mut change, id, revision).await?;
        if name.key() != name::key(&before.name) {
            refuse_taken(&mut change, &name).await?;
        }
        let mut after = before.clone();
        after.revision += 1;
        name.as_str().clone_into(&mut after.name);
        let statement =
            Statement::new("UPDATE icons SET name = $2, name_key = $3, revision = $4 WHERE id = $1")
                .bind(id.to_string())
                .bind(after.name.as_str())
                .bind(name.key())
                .bind(after.revision);
        change.execute(statement).await?;
        let text = id.to_string();
        let object = Object { kind: "icon", id: &text, name: &after.name };
        let detail = serde_json::json!({ "before": before, "after": after });
        change.audit(Action::UpdateIcon, object, &detail).await?;
        change.commit().await?;
        Ok(after)
    }

    /// Removes an icon that nothing uses.
    pub async fn delete_icon(&self, call: &Call, id: IconId, revision: Option<i64>) -> Result<(), Refusal> {
        call.may(Action::DeleteIcon)?;
        let mut change = self.begin(call).await?;
        let icon = look(&mut change, id, revision).await?;
        refuse_used(&mut change, &icon).await?;
        change.execute(Statement::new("DELETE FROM icons WHERE id = $1").bind(id.to_string())).await?;
        let text = id.to_string();
        let object = Object { kind: "icon", id: &text, name: &icon.name };
        change.audit(Action::DeleteIcon, object, &serde_json::json!({ "before": icon })).await?;
        change.commit().await
    }

    /// Puts the program's own icons into the table, as this program draws them. Names that something else has stay its
    /// own.
    pub async fn put_built_in_icons(&self) -> Result<(), Refusal> {
        let rows = self.db.all(Statement::new("SELECT id, bytes FROM icons WHERE built_in")).await?;
        let mut there = Vec::with_capacity(rows.len());
        for row in &rows {
            there.push((super::id::<IconId>(row, "id")?, row.bytes("bytes")?));
        }
        let same = |(id, bytes): &(IconId, Vec<u8>)| {
            BUILT_IN.iter().any(|icon| icon.id == *id && icon.svg.as_bytes() == bytes)
        };
        if there.iter().filter(|icon| same(icon)).count() == BUILT_IN.len() {
            return Ok(());
        }
        let mut tx = self.db.begin_change().await?;
        for icon in BUILT_IN {
            let statement = Statement::new("UPDATE icons SET bytes = $2 WHERE id = $1")
                .bind(icon.id.to_string())
                .bind(icon.svg.as_bytes().to_vec());
            if tx.execute(statement).await? > 0 {
                continue;
            }
            let mut name = icon.name.to_owned();
            let mut number = 1;
            while tx.optional(named(&name::key(&name))).await?.is_some() {
                number += 1;
                name = format!("{} ({number})", icon.name);
            }
            let view = IconView {
                id: icon.id,
                name,
                built_in: true,
                media_type: "image/svg+xml".to_owned(),
                created_at: self.clock.now(),
                revision: 1,
            };
            tx.execute(insert(&view, icon.svg.as_bytes().to_vec())).await?;
        }
        Ok(tx.commit().await?)
    }
}

fn insert(icon: &IconView, bytes: Vec<u8>) -> Statement<'static> {
    Statement::new(
        "INSERT INTO icons (id, name, name_key, built_in, media_type, bytes, created_at, revision) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(icon.id.to_string())
    .bind(icon.name.as_str())
    .bind(name::key(&icon.name))
    .bind(icon.built_in)
    .bind(icon.media_type.as_str())
    .bind(bytes)
    .bind(icon.created_at.millis())
    .bind(icon.revision)
}

fn named(key: &str) -> Statement<'static> {
    Statement::new("SELECT id FROM icons WHERE name_key = $1").bind(key)
}

async fn refuse_taken(change: &mut Change<'_>, name: &Name) -> Result<(), Refusal> {
    match change.optional(named(&name.key())).await? {
        None => Ok(()),
        Some(_) => Err(Invalid::field(
            "name",
            "name-taken",
            format!("There is an icon {} already; names compare without case.", name.as_str()),
        )
        .into()),
    }
}

/// The icon inside a change, refused when it is part of the program or not the one that the caller looked at.
async fn look(change: &mut Change<'_>, id: IconId, revision: Option<i64>) -> Result<IconView, Refusal> {
    let icon = view(&change.optional(one(id)).await?.ok_or_else(|| Refusal::missing("icon", id))?)?;
    if icon.built_in {
        let message = format!("The icon {} is part of the program and cannot be changed.", icon.name);
        return Err(Refusal::new(Reason::Conflict, "icon-built-in", message)
            .hint("Upload an icon of your own and use that."));
    }
    if revision.is_some_and(|revision| revision != icon.revision) {
        return Err(Refusal::stale("icon"));
    }
    Ok(icon)
}

async fn refuse_used(change: &mut Change<'_>, icon: &IconView) -> Result<(), Refusal> {
    let statement = Statement::new(
        "SELECT kind AS what, name FROM layers WHERE icon_id = $1 \
         UNION ALL SELECT 'template' AS what, name FROM templates WHERE icon_id = $1 ORDER BY 1, 2 LIMIT $2",
    )
    .bind(icon.id.to_string())
    .bind(in_use::NAMED as i64 + 1);
    let mut users = Vec::new();
    for row in change.all(statement).await? {
        let what = match row.text("what")?.as_str() {
            "template" => "the image template".to_owned(),
            kind => format!("the {kind} layer"),
        };
        users.push(format!("{what} {}", row.text("name")?));
    }
    in_use::refuse(&format!("icon {}", icon.name), &users, "Give them another icon first.")
}
