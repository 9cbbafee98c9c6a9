//! Versions of layers: what there is, and their names and limits. Tasks make, capture and remove them.

use super::list::{Conditions, Listing, Page, PageQuery, Sort};
use super::rows::{Rows, for_each_of};
use super::{App, Call, Change, Object, Reason, Refusal, layers};
use crate::db::{Row, Statement};
use crate::domain::layer::{LayerKind, VersionState, check_max_bytes};
use crate::domain::name::{self, Name};
use crate::domain::template::{ConfigurationName, DiskFormat, LayerVersion};
use crate::domain::text::check_description;
use crate::domain::{Action, Invalid, LayerId, Time, VersionId, reference};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

/// A version of a layer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// Its identifier.
    pub id: VersionId,
    /// The layer.
    pub layer_id: LayerId,
    /// The layer's name.
    pub layer: String,
    /// The layer's kind.
    pub kind: LayerKind,
    /// Its place in the order of versions; the highest is the latest.
    pub sequence: i64,
    /// Its name, unique in the layer.
    pub name: String,
    /// What is new in it.
    pub description: String,
    /// Its state.
    pub state: VersionState,
    /// Most bytes that it may add.
    pub max_bytes: i64,
    /// The bytes that it adds, when it has been captured.
    pub added_bytes: Option<i64>,
    /// Its digest in the store, when it has been captured.
    pub digest: Option<String>,
    /// What is on its packaging disk and where that is, until it has been captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packaging: Option<PackagingView>,
    /// What it was made on and from, when it has been captured; of a version that was packaged here, `packaging` tells
    /// what was on its packaging disk, with the names of that time.
    pub provenance: Option<serde_json::Value>,
    /// When it was made.
    pub created_at: Time,
    /// Rises with every change; the ETag.
    pub revision: i64,
}

/// What is on a packaging disk, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackagingView {
    /// The OS version.
    pub os: LayerVersion,
    /// The version that the new one starts from.
    pub base: Option<LayerVersion>,
    /// Apps that are on it as well, lowest priority first.
    pub prerequisites: Vec<LayerVersion>,
    /// The packaging platform version.
    pub platform: Option<LayerVersion>,
    /// Where the disk is.
    pub configuration: ConfigurationName,
    /// Its name there.
    pub disk: String,
    /// Its format.
    pub format: DiskFormat,
}

/// What to change of a version; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionChange {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// What is new in it.
    pub description: Option<String>,
    /// Most bytes that it may add, 1 MiB to 64 TiB; only while it is in packaging.
    #[schema(minimum = 1_048_576)]
    pub max_bytes: Option<i64>,
}

/// Which versions.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct VersionFilter {
    /// Only those whose name holds this text.
    pub search: Option<String>,
    /// Only those in this state.
    #[param(inline)]
    pub state: Option<VersionState>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `sequence` or `name`; with `-` in front descending. Without it the latest comes first.
    pub sort: Option<String>,
}

const LISTING: Listing = Listing {
    select: "SELECT v.id, v.layer_id, l.name AS layer, l.kind, v.sequence, v.name, v.name_key, \
             v.description, v.state, v.max_bytes, v.added_bytes, v.digest, v.provenance, v.created_at, v.revision \
             FROM versions v JOIN layers l ON l.id = v.layer_id",
    id: "v.id",
    sorts: &[
        Sort { name: "sequence", column: "v.sequence", number: true },
        Sort { name: "name", column: "v.name_key", number: false },
    ],
    newest_first: true,
};

fn view(row: &Row) -> Result<VersionView, Refusal> {
    let provenance = match row.optional_text("provenance")? {
        Some(_) => Some(row.json("provenance")?),
        None => None,
    };
    Ok(VersionView {
        id: super::id(row, "id")?,
        layer_id: super::id(row, "layer_id")?,
        layer: row.text("layer")?,
        kind: super::word(row, "kind", |text| text.parse().ok())?,
        sequence: row.integer("sequence")?,
        name: row.text("name")?,
        description: row.text("description")?,
        state: super::word(row, "state", VersionState::parse)?,
        max_bytes: row.integer("max_bytes")?,
        added_bytes: row.optional_integer("added_bytes")?,
        digest: row.optional_text("digest")?,
        packaging: None,
        provenance,
        created_at: Time::from_millis(row.integer("created_at")?),
        revision: row.integer("revision")?,
    })
}

async fn read(rows: &mut impl Rows, id: VersionId) -> Result<VersionView, Refusal> {
    let statement = Statement::assembled(format!("{} WHERE v.id = $1", LISTING.select)).bind(id.to_string());
    let row = rows.optional(statement).await?.ok_or_else(|| Refusal::missing("version", id))?;
    Ok(VersionView { packaging: packagings(rows, &[id]).await?.remove(&id), ..view(&row)? })
}

/// A version that a row names in four columns.
fn layer_version(row: &Row, columns: [&str; 4]) -> Result<Option<LayerVersion>, Refusal> {
    let [version_id, version, layer_id, layer] = columns;
    let Some(version_id) = super::optional_id(row, version_id)? else { return Ok(None) };
    Ok(Some(LayerVersion {
        layer_id: super::id(row, layer_id)?,
        layer: row.text(layer)?,
        version_id,
        version: row.text(version)?,
    }))
}

/// What is on the packaging disks of those of `versions` that have one.
pub(super) async fn packagings(
    rows: &mut impl Rows,
    versions: &[VersionId],
) -> Result<HashMap<VersionId, PackagingView>, Refusal> {
    let sql = "SELECT p.version_id, p.disk_name, p.disk_format, c.id AS configuration_id, c.name AS configuration, \
               ov.id AS os_version_id, ov.name AS os_version, ol.id AS os_layer_id, ol.name AS os_layer, \
               bv.id AS base_version_id, bv.name AS base_version, bl.id AS base_layer_id, bl.name AS base_layer, \
               pv.id AS platform_version_id, pv.name AS platform_version, pl.id AS platform_layer_id, \
               pl.name AS platform_layer FROM packagings p \
               JOIN connector_configurations c ON c.id = p.configuration_id \
               JOIN versions ov ON ov.id = p.os_version_id JOIN layers ol ON ol.id = ov.layer_id \
               LEFT JOIN versions bv ON bv.id = p.base_version_id LEFT JOIN layers bl ON bl.id = bv.layer_id \
               LEFT JOIN versions pv ON pv.id = p.platform_version_id LEFT JOIN layers pl ON pl.id = pv.layer_id \
               WHERE p.version_id IN (?)";
    let mut found = HashMap::new();
    for row in for_each_of(rows, sql, versions).await? {
        let id = super::id(&row, "version_id")?;
        let os = layer_version(&row, ["os_version_id", "os_version", "os_layer_id", "os_layer"])?
            .ok_or_else(|| Refusal::internal(format!("the packaging of {id} has no OS version")))?;
        let base = ["base_version_id", "base_version", "base_layer_id", "base_layer"];
        let platform = ["platform_version_id", "platform_version", "platform_layer_id", "platform_layer"];
        let packaging = PackagingView {
            os,
            base: layer_version(&row, base)?,
            prerequisites: Vec::new(),
            platform: layer_version(&row, platform)?,
            configuration: ConfigurationName {
                id: super::id(&row, "configuration_id")?,
                name: row.text("configuration")?,
            },
            disk: row.text("disk_name")?,
            format: super::word(&row, "disk_format", |text| text.to_owned().try_into().ok())?,
        };
        found.insert(id, packaging);
    }
    let sql = "SELECT r.version_id AS of_version, r.position, v.id, v.name AS version, l.id AS layer_id, \
               l.name AS layer FROM packaging_prerequisites r JOIN versions v ON v.id = r.prerequisite_id \
               JOIN layers l ON l.id = v.layer_id WHERE r.version_id IN (?) ORDER BY r.version_id, r.position";
    for row in for_each_of(rows, sql, versions).await? {
        let prerequisite = layer_version(&row, ["id", "version", "layer_id", "layer"])?;
        if let Some(packaging) = found.get_mut(&super::id(&row, "of_version")?) {
            packaging.prerequisites.extend(prerequisite);
        }
    }
    Ok(found)
}

impl App {
    /// Lists the versions of a layer.
    pub async fn versions(
        &self,
        call: &Call,
        layer: LayerId,
        filter: &VersionFilter,
    ) -> Result<Page<VersionView>, Refusal> {
        call.may(Action::ListVersions)?;
        layers::read(&mut &self.db, layer).await?;
        let mut conditions = Conditions::new();
        conditions.add("v.layer_id = ?", layer.to_string());
        if let Some(text) = &filter.search {
            conditions.search("v.name_key", text);
        }
        if let Some(state) = filter.state {
            conditions.add("v.state = ?", state.as_str());
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        let mut found = asked.answer(self.db.all(statement).await?, view)?;
        let ids: Vec<VersionId> = found.items.iter().map(|version| version.id).collect();
        let mut packagings = packagings(&mut &self.db, &ids).await?;
        for version in &mut found.items {
            version.packaging = packagings.remove(&version.id);
        }
        Ok(found)
    }

    /// One version.
    pub async fn version(&self, call: &Call, id: VersionId) -> Result<VersionView, Refusal> {
        call.may(Action::GetVersion)?;
        read(&mut &self.db, id).await
    }

    /// Changes a version's name, description or limit; what it holds never changes.
    pub async fn update_version(
        &self,
        call: &Call,
        id: VersionId,
        revision: Option<i64>,
        wanted: &VersionChange,
    ) -> Result<VersionView, Refusal> {
        call.may(Action::UpdateVersion)?;
        let mut change = self.begin(call).await?;
        let before = read(&mut change, id).await?;
        call.may_manage(Action::UpdateVersion, before.kind)?;
        if revision.is_some_and(|revision| revision != before.revision) {
            return Err(Refusal::stale("version"));
        }
        let after = changed(&mut change, &before, wanted).await?;
        change
            .execute(
                Statement::new(
                    "UPDATE versions SET name = $2, name_key = $3, description = $4, max_bytes = $5, \
                     revision = $6 WHERE id = $1",
                )
                .bind(id.to_string())
                .bind(after.name.as_str())
                .bind(name::key(&after.name))
                .bind(after.description.as_str())
                .bind(after.max_bytes)
                .bind(after.revision),
            )
            .await?;
        let text = id.to_string();
        let name = reference::of_version(after.kind, &after.layer, &after.name);
        let object = Object { kind: "version", id: &text, name: &name };
        let detail = serde_json::json!({ "before": before, "after": after });
        let also = [("layer", after.layer_id.to_string())];
        change.audit_touching(Action::UpdateVersion, object, &also, &detail).await?;
        change.commit().await?;
        Ok(after)
    }
}

/// What the version becomes.
async fn changed(
    change: &mut Change<'_>,
    before: &VersionView,
    wanted: &VersionChange,
) -> Result<VersionView, Refusal> {
    let mut invalid = Invalid::new();
    let mut after = before.clone();
    after.revision += 1;
    if let Some(name) = wanted.name.as_deref().and_then(|name| invalid.take(Name::check("name", name))) {
        if name.key() != name::key(&before.name) {
            let taken = Statement::new("SELECT id FROM versions WHERE layer_id = $1 AND name_key = $2")
                .bind(before.layer_id.to_string())
                .bind(name.key());
            if change.optional(taken).await?.is_some() {
                let message = format!(
                    "The layer {} has a version {} already; names compare without case.",
                    before.layer,
                    name.as_str()
                );
                invalid.add("name", "name-taken", message);
            }
        }
        name.as_str().clone_into(&mut after.name);
    }
    if let Some(text) = &wanted.description
        && let Some(description) = invalid.take(check_description("description", text))
    {
        after.description = description;
    }
    if let Some(bytes) = wanted.max_bytes.and_then(|bytes| invalid.take(check_max_bytes("max_bytes", bytes)))
    {
        after.max_bytes = bytes;
    }
    invalid.finish()?;
    if wanted.max_bytes.is_some() && before.state != VersionState::Packaging {
        let name = reference::of_version(before.kind, &before.layer, &before.name);
        return Err(Refusal::new(
            Reason::Conflict,
            "version-not-in-packaging",
            format!("{name} is {}; its limit counts when it is captured.", before.state.as_str()),
        )
        .hint("Change the limit of a version while it is in packaging."));
    }
    Ok(after)
}
