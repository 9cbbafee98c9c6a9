//! Layers: what there is, and their names, icons and priorities. Tasks make and remove them.

use super::list::{Conditions, Listing, Page, PageQuery, Sort};
use super::rows::Rows;
use super::usage::{Usage, UsageFilter};
use super::{App, Call, Change, Object, Refusal};
use crate::db::{Row, Statement};
use crate::domain::layer::{Hypervisor, LayerKind, PlatformTypes, VersionState, check_priority};
use crate::domain::name::{self, Name};
use crate::domain::text::check_description;
use crate::domain::{Action, IconId, Invalid, LayerId, Time, VersionId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A layer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LayerView {
    /// Its identifier.
    pub id: LayerId,
    /// What it is for.
    pub kind: LayerKind,
    /// Its name, unique among layers of its kind.
    pub name: String,
    /// What it holds.
    pub description: String,
    /// The OS layer that it belongs to; none for an OS layer.
    pub os_layer: Option<LayerName>,
    /// Its icon.
    pub icon_id: IconId,
    /// Of an app layer: the app with the higher priority wins.
    pub priority: Option<i64>,
    /// Of a platform layer: what it is for.
    pub platform: Option<PlatformTypes>,
    /// Of an OS layer: on what its disk was made.
    pub hypervisor: Option<Hypervisor>,
    /// Its latest version, in whatever state that is.
    pub latest: Option<LatestVersion>,
    /// When it was made.
    pub created_at: Time,
    /// Rises with every change; the ETag.
    pub revision: i64,
}

/// A layer by its name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LayerName {
    /// Its identifier.
    pub id: LayerId,
    /// Its name.
    pub name: String,
}

/// The latest version of a layer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LatestVersion {
    /// Its identifier.
    pub id: VersionId,
    /// Its name.
    pub name: String,
    /// Its place in the order of versions.
    pub sequence: i64,
    /// Its state.
    pub state: VersionState,
}

/// A layer with what goes with it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LayerDetails {
    /// The layer.
    pub layer: LayerView,
    /// How many versions it has.
    pub versions: i64,
    /// What uses it: the first page of its users.
    pub users: Page<Usage>,
}

/// What to change of a layer; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerChange {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// What it holds.
    pub description: Option<String>,
    /// Its icon.
    pub icon_id: Option<IconId>,
    /// Of an app layer: its priority. It counts in templates that give the app no other.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub priority: Option<i64>,
}

/// Which layers.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LayerFilter {
    /// Only of this kind.
    #[param(inline)]
    pub kind: Option<LayerKind>,
    /// Only those whose name holds this text.
    pub search: Option<String>,
    /// Only those that belong to this OS layer.
    #[param(value_type = Option<String>)]
    pub os_layer: Option<LayerId>,
    /// Only those whose latest version is in this state.
    #[param(inline)]
    pub state: Option<VersionState>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `name`, `created_at` or `priority`; with `-` in front descending.
    pub sort: Option<String>,
}

const LISTING: Listing = Listing {
    select: "SELECT l.id, l.kind, l.name, l.name_key, l.description, l.os_layer_id, o.name AS os_layer, \
             l.icon_id, l.priority, l.platform, l.hypervisor, l.created_at, l.revision, v.id AS latest_id, \
             v.name AS latest_name, v.sequence AS latest_sequence, v.state AS latest_state \
             FROM layers l LEFT JOIN layers o ON o.id = l.os_layer_id LEFT JOIN versions v \
             ON v.layer_id = l.id AND v.sequence = \
             (SELECT MAX(n.sequence) FROM versions n WHERE n.layer_id = l.id)",
    id: "l.id",
    sorts: &[
        Sort { name: "name", column: "l.name_key", number: false },
        Sort { name: "created_at", column: "l.created_at", number: true },
        Sort { name: "priority", column: "l.priority", number: true },
    ],
    newest_first: false,
};

fn view(row: &Row) -> Result<LayerView, Refusal> {
    let kind: LayerKind = super::word(row, "kind", |text| text.parse().ok())?;
    let os_layer: Option<LayerId> = super::optional_id(row, "os_layer_id")?;
    let os_layer = os_layer.zip(row.optional_text("os_layer")?).map(|(id, name)| LayerName { id, name });
    let platform = match row.optional_text("platform")? {
        Some(_) => Some(row.json("platform")?),
        None => None,
    };
    let hypervisor = match row.optional_text("hypervisor")? {
        Some(_) => Some(super::word(row, "hypervisor", |text| text.parse().ok())?),
        None => None,
    };
    let latest = match super::optional_id(row, "latest_id")? {
        Some(id) => Some(LatestVersion {
            id,
            name: row.text("latest_name")?,
            sequence: row.integer("latest_sequence")?,
            state: super::word(row, "latest_state", VersionState::parse)?,
        }),
        None => None,
    };
    Ok(LayerView {
        id: super::id(row, "id")?,
        kind,
        name: row.text("name")?,
        description: row.text("description")?,
        os_layer,
        icon_id: super::id(row, "icon_id")?,
        priority: if kind == LayerKind::App { Some(row.integer("priority")?) } else { None },
        platform,
        hypervisor,
        latest,
        created_at: Time::from_millis(row.integer("created_at")?),
        revision: row.integer("revision")?,
    })
}

/// Reads one layer.
pub(super) async fn read(rows: &mut impl Rows, id: LayerId) -> Result<LayerView, Refusal> {
    let statement = Statement::assembled(format!("{} WHERE l.id = $1", LISTING.select)).bind(id.to_string());
    view(&rows.optional(statement).await?.ok_or_else(|| Refusal::missing("layer", id))?)
}

impl App {
    /// Lists layers.
    pub async fn layers(&self, call: &Call, filter: &LayerFilter) -> Result<Page<LayerView>, Refusal> {
        call.may(Action::ListLayers)?;
        let mut conditions = Conditions::new();
        if let Some(kind) = filter.kind {
            conditions.add("l.kind = ?", kind.as_str());
        }
        if let Some(text) = &filter.search {
            conditions.search("l.name_key", text);
        }
        if let Some(os_layer) = filter.os_layer {
            conditions.add("l.os_layer_id = ?", os_layer.to_string());
        }
        if let Some(state) = filter.state {
            conditions.add("v.state = ?", state.as_str());
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        asked.answer(self.db.all(statement).await?, view)
    }

    /// One layer, with how many versions it has and what uses it.
    pub async fn layer(&self, call: &Call, id: LayerId) -> Result<LayerDetails, Refusal> {
        call.may(Action::GetLayer)?;
        let layer = read(&mut &self.db, id).await?;
        let count = Statement::new("SELECT COUNT(*) AS n FROM versions WHERE layer_id = $1");
        let row = self.db.optional(count.bind(id.to_string())).await?;
        let versions = row.map_or(Ok(0), |row| row.integer("n"))?;
        let users = self.users_of_layer(id, &UsageFilter::default()).await?;
        Ok(LayerDetails { layer, versions, users })
    }

    /// Changes a layer.
    pub async fn update_layer(
        &self,
        call: &Call,
        id: LayerId,
        revision: Option<i64>,
        wanted: &LayerChange,
    ) -> Result<LayerView, Refusal> {
        call.may(Action::UpdateLayer)?;
        let mut change = self.begin(call).await?;
        let before = read(&mut change, id).await?;
        call.may_manage(Action::UpdateLayer, before.kind)?;
        if revision.is_some_and(|revision| revision != before.revision) {
            return Err(Refusal::stale("layer"));
        }
        let after = changed(&mut change, &before, wanted).await?;
        change
            .execute(
                Statement::new(
                    "UPDATE layers SET name = $2, name_key = $3, description = $4, icon_id = $5, \
                     priority = COALESCE($6, priority), revision = $7 WHERE id = $1",
                )
                .bind(id.to_string())
                .bind(after.name.as_str())
                .bind(name::key(&after.name))
                .bind(after.description.as_str())
                .bind(after.icon_id.to_string())
                .bind(after.priority)
                .bind(after.revision),
            )
            .await?;
        let text = id.to_string();
        let object = Object { kind: "layer", id: &text, name: &after.name };
        let detail = serde_json::json!({ "before": before, "after": after });
        change.audit(Action::UpdateLayer, object, &detail).await?;
        change.commit().await?;
        Ok(after)
    }
}

/// What the layer becomes.
async fn changed(
    change: &mut Change<'_>,
    before: &LayerView,
    wanted: &LayerChange,
) -> Result<LayerView, Refusal> {
    let mut invalid = Invalid::new();
    let mut after = before.clone();
    after.revision += 1;
    if let Some(name) = wanted.name.as_deref().and_then(|name| invalid.take(Name::check("name", name))) {
        if name.key() != name::key(&before.name) {
            invalid.take(refuse_taken(change, before.kind, &name).await?);
        }
        name.as_str().clone_into(&mut after.name);
    }
    if let Some(text) = &wanted.description
        && let Some(description) = invalid.take(check_description("description", text))
    {
        after.description = description;
    }
    if let Some(icon) = wanted.icon_id {
        invalid.take(check_icon(change, "icon_id", icon).await?);
        after.icon_id = icon;
    }
    match wanted.priority {
        Some(priority) if before.kind == LayerKind::App => {
            after.priority = invalid.take(check_priority("priority", priority));
        }
        Some(_) => invalid.add(
            "priority",
            "priority-of-app-layers",
            "Only app layers have a priority: the platform layer always wins, the OS layer always loses.",
        ),
        None => {}
    }
    invalid.finish()?;
    Ok(after)
}

/// Complains when another layer of the kind has this name.
async fn refuse_taken(
    change: &mut Change<'_>,
    kind: LayerKind,
    name: &Name,
) -> Result<Result<(), Invalid>, Refusal> {
    let statement = Statement::new("SELECT id FROM layers WHERE kind = $1 AND name_key = $2")
        .bind(kind.as_str())
        .bind(name.key());
    Ok(match change.optional(statement).await? {
        None => Ok(()),
        Some(_) => Err(Invalid::field(
            "name",
            "name-taken",
            format!("There is a layer {kind}:{} already; names compare without case.", name.as_str()),
        )),
    })
}

/// Complains in `field` when there is no such icon.
pub(super) async fn check_icon(
    rows: &mut impl Rows,
    field: &str,
    icon: IconId,
) -> Result<Result<(), Invalid>, Refusal> {
    let statement = Statement::new("SELECT id FROM icons WHERE id = $1").bind(icon.to_string());
    Ok(match rows.optional(statement).await? {
        Some(_) => Ok(()),
        None => Err(Invalid::field(field, "icon-unknown", format!("There is no icon {icon}."))),
    })
}
