//! Who asks, from where, and what they said about it.

use super::Refusal;
use crate::domain::layer::LayerKind;
use crate::domain::role::Permission;
use crate::domain::{Action, Role, Roles, TokenId, UserId};

/// How somebody showed who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A session of the browser or the command line, after a log-in.
    Session,
    /// An API token.
    Token {
        /// Which.
        id: TokenId,
        /// Whether it is limited to some roles of its user.
        limited: bool,
    },
    /// The server itself: tasks and clean-up.
    Server,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The user, if it is one.
    pub user: Option<UserId>,
    /// Their name at this time.
    pub name: String,
    /// What they may do, through their own roles and those of their groups.
    pub roles: Roles,
    /// How they showed who they are.
    pub proof: Proof,
    /// They still have a one-time password, and may only set one of their own.
    pub must_change_password: bool,
}

/// One call: who asks, from where, and what goes into the audit history.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who asks.
    pub actor: Actor,
    /// The network address they come from.
    pub address: String,
    /// The request's id, which the answer and the server's log have too.
    pub request: Option<String>,
    /// The key under which a creating call is done only once.
    pub idempotency_key: Option<String>,
    /// What they typed as the comment.
    pub comment: String,
    /// Digest of the secret of their session, if that is how they came.
    pub session: Option<String>,
}

impl Call {
    /// A call of the server itself, with the reason as its comment.
    pub fn of_server(reason: &str) -> Call {
        Call {
            actor: Actor {
                user: None,
                name: "the server".to_owned(),
                roles: Roles::from_iter([Role::Administrator]),
                proof: Proof::Server,
                must_change_password: false,
            },
            address: "-".to_owned(),
            request: None,
            idempotency_key: None,
            comment: reason.to_owned(),
            session: None,
        }
    }

    /// Refuses unless who asks may do `action`.
    pub fn may(&self, action: Action) -> Result<(), Refusal> {
        if self.actor.must_change_password
            && !matches!(action, Action::ChangePassword | Action::Me | Action::LogOut)
        {
            return Err(Refusal::new(
                super::Reason::Forbidden,
                "password-must-change",
                "Your password is a one-time password.",
            )
            .hint("Set a password of your own first."));
        }
        if action.allowed(&self.actor.roles) { Ok(()) } else { Err(Refusal::forbidden(action)) }
    }

    /// Refuses who came with a token that is limited to some roles, unless it is for this token: what such a token may
    /// do to its user's other ones, its roles do not say.
    pub fn refuse_limited_token(&self, only: Option<TokenId>) -> Result<(), Refusal> {
        match self.actor.proof {
            Proof::Token { id, limited: true } if only != Some(id) => Err(Refusal::new(
                super::Reason::Forbidden,
                "token-limited",
                "A token that is limited to some roles can withdraw itself and nothing else of its user's.",
            )
            .hint("Log in, or use a token that is not limited.")),
            _ => Ok(()),
        }
    }

    /// Whether who asks may do everything.
    pub fn is_administrator(&self) -> bool {
        self.actor.roles.allow(Permission::Administer)
    }

    /// Refuses unless who asks may do `action` to layers of this kind.
    pub fn may_manage(&self, action: Action, kind: LayerKind) -> Result<(), Refusal> {
        self.may(action)?;
        if self.actor.roles.manage(kind) {
            return Ok(());
        }
        let mut refusal = Refusal::forbidden(action);
        let role = Role::of_layers(kind).as_str();
        refusal.failure.hint = Some(format!("This needs the role {role}. Ask an administrator."));
        Err(refusal)
    }

    /// The user who asks; the server itself is none.
    pub fn user(&self) -> Result<UserId, Refusal> {
        self.actor
            .user
            .ok_or_else(|| Refusal::internal("the server asked for something that only a user has"))
    }
}
