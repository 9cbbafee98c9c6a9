//! Where layers and versions are used, and why they cannot be deleted then.

use super::in_use::NAMED;
use super::list::{Conditions, Listing, Page, PageQuery, Sort};
use super::rows::Rows;
use super::{App, Call, Change, Reason, Refusal, layers, picks};
use crate::db::{Row, Statement};
use crate::domain::{Action, LayerId, VersionId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What kind of thing uses a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UserKind {
    /// An image template.
    Template,
    /// A version whose packaging disk contains it.
    Packaging,
    /// A layer that belongs to it.
    Layer,
}

impl UserKind {
    fn as_str(self) -> &'static str {
        match self {
            UserKind::Template => "template",
            UserKind::Packaging => "packaging",
            UserKind::Layer => "layer",
        }
    }

    fn parse(text: &str) -> Option<UserKind> {
        match text {
            "template" => Some(UserKind::Template),
            "packaging" => Some(UserKind::Packaging),
            "layer" => Some(UserKind::Layer),
            _ => None,
        }
    }
}

/// As what something is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UsedAs {
    /// The OS.
    Os,
    /// The platform.
    Platform,
    /// An app.
    App,
    /// The version that a new one starts from.
    Base,
    /// A prerequisite.
    Prerequisite,
}

impl UsedAs {
    fn parse(text: &str) -> Option<UsedAs> {
        match text {
            "os" => Some(UsedAs::Os),
            "platform" => Some(UsedAs::Platform),
            "app" => Some(UsedAs::App),
            "base" => Some(UsedAs::Base),
            "prerequisite" => Some(UsedAs::Prerequisite),
            _ => None,
        }
    }

    fn words(self) -> &'static str {
        match self {
            UsedAs::Os => "as its OS",
            UsedAs::Platform => "as its platform",
            UsedAs::App => "as an app",
            UsedAs::Base => "as its base",
            UsedAs::Prerequisite => "as a prerequisite",
        }
    }
}

/// Something that uses a layer or version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// What kind of thing it is.
    pub kind: UserKind,
    /// The template, the version in packaging, or the layer.
    pub id: String,
    /// Its name; of a version `LAYER@VERSION`.
    pub name: String,
    /// As what it is used there.
    pub used_as: UsedAs,
    /// The version that is used; none where it is the layer.
    pub version_id: Option<VersionId>,
    /// Its name.
    pub version: Option<String>,
}

/// Which page of users.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UsageFilter {
    /// Only those of this kind.
    #[param(inline)]
    pub kind: Option<UserKind>,
    /// Only those whose name holds this text.
    pub search: Option<String>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `name`; with `-` in front descending.
    pub sort: Option<String>,
}

impl UsageFilter {
    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::new();
        if let Some(kind) = self.kind {
            conditions.add("u.kind = ?", kind.as_str());
        }
        if let Some(text) = &self.search {
            conditions.search("u.name_key", text);
        }
        conditions
    }

    fn page(&self) -> PageQuery {
        PageQuery { limit: self.limit, cursor: self.cursor.clone(), sort: self.sort.clone() }
    }
}

/// Every use, one row each. A layer is used by one thing once. The condition on version or layer goes into
/// each part of the union, where indices serve it.
const LISTING: Listing = Listing {
    select: "SELECT u.kind, u.id, u.name, u.name_key, u.used_as, u.version_id, u.version FROM (\
        SELECT 'template' AS kind, t.id AS id, t.name AS name, t.name_key AS name_key, 'os' AS used_as, \
          v.id AS version_id, v.name AS version, v.layer_id AS layer_id \
          FROM templates t JOIN versions v ON v.id = t.os_version_id \
        UNION ALL SELECT 'template', t.id, t.name, t.name_key, 'platform', v.id, v.name, v.layer_id \
          FROM templates t JOIN versions v ON v.id = t.platform_version_id \
        UNION ALL SELECT 'template', t.id, t.name, t.name_key, 'app', v.id, v.name, v.layer_id \
          FROM template_apps a JOIN templates t ON t.id = a.template_id \
          JOIN versions v ON v.id = a.version_id \
        UNION ALL SELECT 'packaging', w.id, l.name || '@' || w.name, l.name_key || '@' || w.name_key, 'os', \
          v.id, v.name, v.layer_id FROM packagings p JOIN versions v ON v.id = p.os_version_id \
          JOIN versions w ON w.id = p.version_id JOIN layers l ON l.id = w.layer_id \
        UNION ALL SELECT 'packaging', w.id, l.name || '@' || w.name, l.name_key || '@' || w.name_key, \
          'base', v.id, v.name, v.layer_id FROM packagings p JOIN versions v ON v.id = p.base_version_id \
          JOIN versions w ON w.id = p.version_id JOIN layers l ON l.id = w.layer_id \
          WHERE p.base_version_id <> p.os_version_id \
        UNION ALL SELECT 'packaging', w.id, l.name || '@' || w.name, l.name_key || '@' || w.name_key, \
          'platform', v.id, v.name, v.layer_id FROM packagings p \
          JOIN versions v ON v.id = p.platform_version_id \
          JOIN versions w ON w.id = p.version_id JOIN layers l ON l.id = w.layer_id \
        UNION ALL SELECT 'packaging', w.id, l.name || '@' || w.name, l.name_key || '@' || w.name_key, \
          'prerequisite', v.id, v.name, v.layer_id FROM packaging_prerequisites p \
          JOIN versions v ON v.id = p.prerequisite_id \
          JOIN versions w ON w.id = p.version_id JOIN layers l ON l.id = w.layer_id \
        UNION ALL SELECT 'layer', l.id, l.name, l.name_key, 'os', NULL, NULL, l.os_layer_id \
          FROM layers l WHERE l.os_layer_id IS NOT NULL) u",
    id: "u.id",
    sorts: &[Sort { name: "name", column: "u.name_key", number: false }],
    newest_first: false,
};

fn usage(row: &Row) -> Result<Usage, Refusal> {
    Ok(Usage {
        kind: super::word(row, "kind", UserKind::parse)?,
        id: row.text("id")?,
        name: row.text("name")?,
        used_as: super::word(row, "used_as", UsedAs::parse)?,
        version_id: super::optional_id(row, "version_id")?,
        version: row.optional_text("version")?,
    })
}

impl App {
    /// What uses a version.
    pub async fn version_users(
        &self,
        call: &Call,
        id: VersionId,
        filter: &UsageFilter,
    ) -> Result<Page<Usage>, Refusal> {
        call.may(Action::VersionUsers)?;
        picks::version(&mut &self.db, id).await?;
        let mut conditions = filter.conditions();
        conditions.add("u.version_id = ?", id.to_string());
        let (statement, asked) = LISTING.page(&filter.page(), conditions)?;
        asked.answer(self.db.all(statement).await?, usage)
    }

    /// What uses a layer, with which version.
    pub async fn layer_users(
        &self,
        call: &Call,
        id: LayerId,
        filter: &UsageFilter,
    ) -> Result<Page<Usage>, Refusal> {
        call.may(Action::LayerUsers)?;
        layers::read(&mut &self.db, id).await?;
        self.users_of_layer(id, filter).await
    }

    pub(super) async fn users_of_layer(
        &self,
        id: LayerId,
        filter: &UsageFilter,
    ) -> Result<Page<Usage>, Refusal> {
        let mut conditions = filter.conditions();
        conditions.add("u.layer_id = ?", id.to_string());
        let (statement, asked) = LISTING.page(&filter.page(), conditions)?;
        asked.answer(self.db.all(statement).await?, usage)
    }
}

/// Refuses to delete a version that something uses, naming the users.
pub async fn refuse_in_use(change: &mut Change<'_>, version: VersionId) -> Result<(), Refusal> {
    let what = picks::version(change, version).await?.reference();
    let users = some_users(change, "u.version_id = $1", &version.to_string()).await?;
    refuse("version-in-use", &what, &users)
}

/// Refuses to delete a layer that something uses, in any of its versions, naming the users.
pub async fn refuse_layer_in_use(change: &mut Change<'_>, layer: LayerId) -> Result<(), Refusal> {
    let view = layers::read(change, layer).await?;
    let users = some_users(change, "u.layer_id = $1", &layer.to_string()).await?;
    refuse("layer-in-use", &format!("{}:{}", view.kind, view.name), &users)
}

/// A few users, and one more so that one knows of more.
async fn some_users(rows: &mut impl Rows, condition: &'static str, id: &str) -> Result<Vec<Usage>, Refusal> {
    let sql = format!("{} WHERE {condition} ORDER BY u.name_key, u.id LIMIT {}", LISTING.select, NAMED + 1);
    rows.all(Statement::assembled(sql).bind(id)).await?.iter().map(usage).collect()
}

fn refuse(code: &str, what: &str, users: &[Usage]) -> Result<(), Refusal> {
    if users.is_empty() {
        return Ok(());
    }
    let mut names: Vec<String> = users
        .iter()
        .take(NAMED)
        .map(|user| {
            let (name, used_as) = (&user.name, user.used_as.words());
            match user.kind {
                UserKind::Template => format!("the template {name}"),
                UserKind::Packaging => format!("{name}, which is in packaging ({used_as})"),
                UserKind::Layer => format!("the layer {name} ({used_as})"),
            }
        })
        .collect();
    if users.len() > NAMED {
        names.push("others".to_owned());
    }
    let message = format!("{what} cannot be deleted: it is used by {}.", names.join("; "));
    Err(Refusal::new(Reason::Conflict, code, message)
        .hint("Take it out of the templates, and finish or cancel what is in packaging, first."))
}
