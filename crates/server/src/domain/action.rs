//! Everything that can be asked of the server, and what it needs.
//!
//! An action is named as its operation in the OpenAPI document. Tests walk both: an endpoint without an action, an
//! action without an endpoint, or one whose answer to a role differs from this table fails them.

use super::role::{Permission, Role, Roles};

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident $name:literal $kind:ident $permission:expr;)*) => {
        /// Something that can be asked of the server.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Action {
            $($(#[$doc])* $variant,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Action] = &[$(Action::$variant,)*];

            /// The operation's name in the OpenAPI document.
            pub fn name(self) -> &'static str {
                match self { $(Action::$variant => $name,)* }
            }

            /// What it needs.
            pub fn permission(self) -> Permission {
                match self { $(Action::$variant => $permission,)* }
            }

            /// Whether it changes anything, and so leaves a row in the audit history.
            pub fn kind(self) -> ActionKind {
                match self { $(Action::$variant => ActionKind::$kind,)* }
            }
        }
    };
}

/// Whether an action changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionKind {
    /// It only looks.
    Read,
    /// It changes something that an administrator sees.
    Change,
}

use Permission::{Administer, Anyone, Look, Own};

actions! {
    /// Begin a session.
    LogIn "log_in" Change Anyone;
    /// See who one is.
    Me "me" Read Own;
    /// End one's session.
    LogOut "log_out" Change Own;
    /// Set one's own password.
    ChangePassword "change_password" Change Own;
    /// List one's API tokens.
    ListTokens "list_tokens" Read Own;
    /// Make an API token for oneself.
    CreateToken "create_token" Change Own;
    /// Withdraw one of one's API tokens.
    DeleteToken "delete_token" Change Own;
    /// List one's sessions.
    ListSessions "list_sessions" Read Own;
    /// List users.
    ListUsers "list_users" Read Administer;
    /// See a user.
    GetUser "get_user" Read Administer;
    /// Make a user.
    CreateUser "create_user" Change Administer;
    /// Change a user.
    UpdateUser "update_user" Change Administer;
    /// Remove a user.
    DeleteUser "delete_user" Change Administer;
    /// Give a user a one-time password.
    ResetPassword "reset_password" Change Administer;
    /// List groups.
    ListGroups "list_groups" Read Administer;
    /// See a group.
    GetGroup "get_group" Read Administer;
    /// Make a group.
    CreateGroup "create_group" Change Administer;
    /// Change a group.
    UpdateGroup "update_group" Change Administer;
    /// Remove a group.
    DeleteGroup "delete_group" Change Administer;
    /// Read the audit history.
    ListAudit "list_audit" Read Look;
    /// List tasks.
    ListTasks "list_tasks" Read Look;
    /// See a task.
    GetTask "get_task" Read Look;
    /// Read a task's log.
    ListTaskLog "list_task_log" Read Look;
    /// Ask a task to stop; its owner and administrators may.
    StopTask "stop_task" Change Look;
    /// Ask several tasks to stop: one's own, or for administrators any.
    StopTasks "stop_tasks" Change Look;
    /// Read the settings.
    GetSettings "get_settings" Read Administer;
    /// Change settings.
    UpdateSettings "update_settings" Change Administer;
}

impl Action {
    /// Whether somebody with these roles may do it.
    pub fn allowed(self, roles: &Roles) -> bool {
        roles.allow(self.permission())
    }

    /// The roles that may do it, as a sentence for who may not.
    pub fn needs(self) -> String {
        let roles: Vec<&str> = Role::ALL
            .into_iter()
            .filter(|role| self.allowed(&Roles::from_iter([*role])))
            .map(Role::as_str)
            .collect();
        match roles.as_slice() {
            [] => "This needs a role that nobody can have.".to_owned(),
            [one] => format!("This needs the role {one}."),
            several => format!("This needs one of the roles {}.", several.join(", ")),
        }
    }
}
