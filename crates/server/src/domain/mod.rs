//! The words and rules of the product, without database, HTTP or clock.
//!
//! What a person or program sends is checked here, once, and every complaint names the field it is about.

pub mod action;
pub mod icon;
pub mod id;
pub mod image;
pub mod invalid;
pub mod layer;
pub mod name;
pub mod picture;
pub mod reference;
pub mod role;
pub mod template;
pub mod text;
pub mod time;

pub use action::Action;
pub use id::{
    AuditId, ConfigurationId, GroupId, IconId, ImageId, LayerId, NotAnId, SessionId, TaskId, TemplateId,
    TokenId, UserId, VersionId,
};
pub use invalid::{FieldError, Invalid};
pub use role::{Role, Roles};
pub use time::Time;
