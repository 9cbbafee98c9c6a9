//! Refusing to delete what is used.

use super::{Reason, Refusal};

/// Users that are named when something cannot be deleted.
pub(super) const NAMED: usize = 10;

/// Refuses when there is any user, naming the first of them. The caller reads one more than [`NAMED`].
pub(super) fn refuse(what: &str, users: &[String], hint: &str) -> Result<(), Refusal> {
    if users.is_empty() {
        return Ok(());
    }
    let mut names = users.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if users.len() > NAMED {
        names.push_str(" and others");
    }
    Err(Refusal::new(Reason::Conflict, "in-use", format!("The {what} is used by {names}.")).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_named_up_to_a_number() {
        assert!(refuse("icon a", &[], "").is_ok());
        let users: Vec<String> = (0..=NAMED).map(|number| format!("the app layer {number}")).collect();
        let refusal = refuse("icon a", &users[..2], "Do this.").unwrap_err();
        assert_eq!(refusal.failure.message, "The icon a is used by the app layer 0, the app layer 1.");
        let refusal = refuse("icon a", &users, "Do this.").unwrap_err();
        assert!(refusal.failure.message.ends_with("the app layer 9 and others."), "{refusal}");
    }
}
