//! Who somebody is: passwords, and the secrets of sessions and tokens.
//!
//! The seam for directories and OpenID Connect is [`App::log_in`](crate::app::App::log_in): it turns a proof into a user,
//! and everything behind it knows users only.

mod passwords;
mod secret;

pub use passwords::{Passwords, check_strength};
pub(crate) use secret::fill as fill_random;
pub use secret::{Secret, one_time_password};
