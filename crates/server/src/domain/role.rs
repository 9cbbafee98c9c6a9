//! Roles, and what each may do.

use super::layer::LayerKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// A role of PRODUCT §2. Roles add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything.
    Administrator,
    /// OS layers and their versions.
    ManageOsLayers,
    /// Platform layers and their versions.
    ManagePlatformLayers,
    /// App layers and their versions.
    ManageAppLayers,
    /// Image templates and assignments.
    ManageImageTemplates,
    /// Publishing layered images.
    PublishLayeredImages,
    /// Looking at everything but users, secrets and settings.
    ReadOnly,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 7] = [
        Role::Administrator,
        Role::ManageOsLayers,
        Role::ManagePlatformLayers,
        Role::ManageAppLayers,
        Role::ManageImageTemplates,
        Role::PublishLayeredImages,
        Role::ReadOnly,
    ];

    /// As it is written in the API and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Administrator => "administrator",
            Role::ManageOsLayers => "manage-os-layers",
            Role::ManagePlatformLayers => "manage-platform-layers",
            Role::ManageAppLayers => "manage-app-layers",
            Role::ManageImageTemplates => "manage-image-templates",
            Role::PublishLayeredImages => "publish-layered-images",
            Role::ReadOnly => "read-only",
        }
    }

    /// The role that manages layers of a kind.
    pub fn of_layers(kind: LayerKind) -> Role {
        match kind {
            LayerKind::Os => Role::ManageOsLayers,
            LayerKind::Platform => Role::ManagePlatformLayers,
            LayerKind::App => Role::ManageAppLayers,
        }
    }

    /// The role that is written so.
    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// Roles that somebody has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// Whether somebody with these roles may do what `permission` is about.
    pub fn allow(&self, permission: Permission) -> bool {
        match permission {
            Permission::Anyone | Permission::Own => true,
            Permission::Look => !self.0.is_empty(),
            Permission::Administer => self.0.contains(&Role::Administrator),
            Permission::Any(roles) => {
                self.0.contains(&Role::Administrator) || roles.iter().any(|role| self.0.contains(role))
            }
            Permission::ManageLayers => self.allow(Permission::Any(&[
                Role::ManageOsLayers,
                Role::ManagePlatformLayers,
                Role::ManageAppLayers,
            ])),
        }
    }

    /// Only those that are also in `limit`.
    ///
    /// A limit to any role but Administrator leaves an administrator that role: Administrator contains them all.
    #[must_use]
    pub fn limited_to(&self, limit: &[Role]) -> Roles {
        let all = self.0.contains(&Role::Administrator);
        Roles(limit.iter().copied().filter(|role| all || self.0.contains(role)).collect())
    }

    /// The roles.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        self.0.iter().copied()
    }

    /// Whether somebody with these roles manages layers of a kind.
    pub fn manage(&self, kind: LayerKind) -> bool {
        self.0.contains(&Role::Administrator) || self.0.contains(&Role::of_layers(kind))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Roles {
        Roles(roles.into_iter().collect())
    }
}

/// What an action needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Nothing: it is how one becomes somebody.
    Anyone,
    /// Nothing but to be somebody: one's own password, sessions and tokens.
    Own,
    /// Any role.
    Look,
    /// The role Administrator.
    Administer,
    /// One of these roles, or Administrator.
    Any(&'static [Role]),
    /// The role that manages layers of the kind in question. Which kind that is, only the object tells: who has
    /// one of the three gets that far.
    ManageLayers,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_written_as_its_json() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("Administrator"), None);
    }

    #[test]
    fn a_token_never_has_more_than_its_user() {
        let reader = Roles::from_iter([Role::ReadOnly]);
        assert!(reader.limited_to(&[Role::Administrator, Role::ManageAppLayers]).is_empty());
        let administrator = Roles::from_iter([Role::Administrator]);
        let limited = administrator.limited_to(&[Role::PublishLayeredImages]);
        assert!(!limited.allow(Permission::Administer));
        assert!(limited.allow(Permission::Any(&[Role::PublishLayeredImages])));
    }
}
