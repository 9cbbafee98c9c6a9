//! Roles that are granted: to users in one table, to groups in another, both of one form.

use super::{Change, Refusal};
use crate::db::{Db, Row, Statement};
use crate::domain::Role;
use std::collections::BTreeSet;
use std::fmt::Display;

/// One of the tables; the statements take the identifier of who has the roles.
#[derive(Debug)]
pub(super) struct RoleGrants {
    read: &'static str,
    clear: &'static str,
    grant: &'static str,
}

/// What users have themselves.
pub(super) const USER_ROLES: RoleGrants = RoleGrants {
    read: "SELECT role FROM user_roles WHERE user_id = $1",
    clear: "DELETE FROM user_roles WHERE user_id = $1",
    grant: "INSERT INTO user_roles (user_id, role) VALUES ($1, $2)",
};

/// What the members of groups have through them.
pub(super) const GROUP_ROLES: RoleGrants = RoleGrants {
    read: "SELECT role FROM group_roles WHERE group_id = $1",
    clear: "DELETE FROM group_roles WHERE group_id = $1",
    grant: "INSERT INTO group_roles (group_id, role) VALUES ($1, $2)",
};

impl RoleGrants {
    /// The roles that `who` has.
    pub(super) async fn of(&self, db: &Db, who: impl Display) -> Result<BTreeSet<Role>, Refusal> {
        roles_of(&db.all(Statement::new(self.read).bind(who.to_string())).await?)
    }

    /// The roles that `who` has, as a change sees them.
    pub(super) async fn seen_by(
        &self,
        change: &mut Change<'_>,
        who: impl Display,
    ) -> Result<BTreeSet<Role>, Refusal> {
        roles_of(&change.all(Statement::new(self.read).bind(who.to_string())).await?)
    }

    /// Gives `who` these roles and no others.
    pub(super) async fn set(
        &self,
        change: &mut Change<'_>,
        who: impl Display,
        roles: &BTreeSet<Role>,
    ) -> Result<(), Refusal> {
        let who = who.to_string();
        change.execute(Statement::new(self.clear).bind(who.as_str())).await?;
        for role in roles {
            change.execute(Statement::new(self.grant).bind(who.as_str()).bind(role.as_str())).await?;
        }
        Ok(())
    }
}

/// The roles in rows of a column `role`. One that this program does not know gives nothing.
pub(super) fn roles_of(rows: &[Row]) -> Result<BTreeSet<Role>, Refusal> {
    let mut roles = BTreeSet::new();
    for row in rows {
        roles.extend(Role::parse(&row.text("role")?));
    }
    Ok(roles)
}
