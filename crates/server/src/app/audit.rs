//! The audit history: who did what to which object, when, from where, and what they said about it.

use super::list::{Conditions, Listing, Page, PageQuery, Sort};
use super::{App, Call, Refusal};
use crate::db::Value;
use crate::domain::role::Permission;
use crate::domain::{Action, AuditId, Time, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// One thing that was done.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its identifier.
    pub id: AuditId,
    /// When.
    pub at: Time,
    /// Who, unless it was the server itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<UserId>,
    /// Their name at that time.
    pub actor: String,
    /// From which network address.
    pub address: String,
    /// The request's id, by which the server's log has more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What was done: the operation's name. `log_in_failed` when guessing began to be slowed down.
    pub action: String,
    /// Kind of the object.
    pub object_kind: String,
    /// The object.
    pub object_id: String,
    /// Its name at that time.
    pub object_name: String,
    /// What they typed as the comment.
    pub comment: String,
    /// What changed.
    pub detail: serde_json::Value,
}

/// Which entries.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditFilter {
    /// Only what was done to objects of this kind.
    pub object_kind: Option<String>,
    /// Only what was done to this object, also together with others.
    pub object_id: Option<String>,
    /// Only by this user.
    #[param(value_type = Option<String>)]
    pub actor_id: Option<UserId>,
    /// Only this action.
    pub action: Option<String>,
    /// Only at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    pub since: Option<Time>,
    /// Only before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    pub until: Option<Time>,
    /// Most items to give, 1 to 200; 50 when not said.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// `at`, with `-` in front newest first, which is usual.
    pub sort: Option<String>,
}

const LISTING: Listing = Listing {
    select: "SELECT id, at, actor_id, actor_name, address, request_id, action, object_kind, object_id, \
             object_name, comment, detail FROM audit",
    id: "id",
    sorts: &[Sort { name: "at", column: "at", number: true }],
    newest_first: true,
};

/// Every kind of object, and the action with which one reads such an object. What has none is seen in tasks.
pub const READ_WITH: &[(&str, Action)] = &[
    ("address", Action::ListUsers),
    ("connector-configuration", Action::GetConfiguration),
    ("group", Action::GetGroup),
    ("icon", Action::GetIcon),
    ("image", Action::GetImage),
    ("layer", Action::GetLayer),
    ("layer-folder", Action::GetTask),
    ("server", Action::ListAudit),
    ("settings", Action::GetSettings),
    ("store", Action::GetTask),
    ("task", Action::GetTask),
    ("template", Action::GetTemplate),
    ("token", Action::ListTokens),
    ("user", Action::GetUser),
    ("version", Action::GetVersion),
    ("webhook", Action::GetWebhook),
];

/// Only entries about objects that who asks may read; of what everybody has for themselves only their own.
fn only_visible(call: &Call, conditions: &mut Conditions) -> Result<(), Refusal> {
    if call.is_administrator() {
        return Ok(());
    }
    let (own, others): (Vec<_>, Vec<_>) = READ_WITH
        .iter()
        .filter(|(_, action)| action.allowed(&call.actor.roles))
        .partition(|(_, action)| action.permission() == Permission::Own);
    let marks = |kinds: &[&(&str, Action)]| vec!["?"; kinds.len()].join(", ");
    let text = format!(
        "(object_kind IN ({}) OR (object_kind IN ({}) AND actor_id = ?))",
        marks(&others),
        marks(&own)
    );
    let kinds = others.iter().chain(&own).map(|(kind, _)| Value::from(*kind));
    conditions.add_each(&text, kinds.chain([Value::from(call.user()?.to_string())]));
    Ok(())
}

impl App {
    /// Reads the audit history, as far as it is about objects that who asks may read.
    pub async fn audit(&self, call: &Call, filter: &AuditFilter) -> Result<Page<AuditEntry>, Refusal> {
        call.may(Action::ListAudit)?;
        let mut conditions = Conditions::new();
        only_visible(call, &mut conditions)?;
        if let Some(id) = &filter.object_id {
            conditions.add("id IN (SELECT audit_id FROM audit_objects WHERE object_id = ?)", id.as_str());
        }
        if let Some(kind) = &filter.object_kind {
            conditions.add(
                "EXISTS (SELECT 1 FROM audit_objects o WHERE o.audit_id = audit.id AND o.object_kind = ?)",
                kind.as_str(),
            );
        }
        if let Some(actor) = filter.actor_id {
            conditions.add("actor_id = ?", actor.to_string());
        }
        if let Some(action) = &filter.action {
            conditions.add("action = ?", action.as_str());
        }
        if let Some(since) = filter.since {
            conditions.add("at >= ?", since.millis());
        }
        if let Some(until) = filter.until {
            conditions.add("at < ?", until.millis());
        }
        let page =
            PageQuery { limit: filter.limit, cursor: filter.cursor.clone(), sort: filter.sort.clone() };
        let (statement, asked) = LISTING.page(&page, conditions)?;
        asked.answer(self.db.all(statement).await?, |row| {
            Ok(AuditEntry {
                id: super::id(row, "id")?,
                at: Time::from_millis(row.integer("at")?),
                actor_id: super::optional_id(row, "actor_id")?,
                actor: row.text("actor_name")?,
                address: row.text("address")?,
                request_id: row.optional_text("request_id")?,
                action: row.text("action")?,
                object_kind: row.text("object_kind")?,
                object_id: row.text("object_id")?,
                object_name: row.text("object_name")?,
                comment: row.text("comment")?,
                detail: row.json("detail")?,
            })
        })
    }
}
