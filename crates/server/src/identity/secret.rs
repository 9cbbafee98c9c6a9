//! Secrets that the server makes: of sessions and tokens, and one-time passwords.

use crate::app::hex;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;

/// A secret of 256 random bits. Only its digest is stored: who reads the database cannot use it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A new secret that begins with `prefix`, by which people and scanners know what it is.
    pub fn new(prefix: &str) -> Secret {
        let mut bytes = [0; 32];
        fill(&mut bytes);
        Secret(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// A secret that somebody sent.
    pub fn sent(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    /// To be shown once, to whom it belongs.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored, and found again. A fast hash will do: nobody guesses 256 bits.
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A password to be used once and typed by a person: five groups of four letters and digits that cannot be mistaken for
/// each other, 100 bits.
pub fn one_time_password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 20];
    fill(&mut bytes);
    let mut password = String::new();
    for (position, byte) in bytes.iter().enumerate() {
        if position > 0 && position % 4 == 0 {
            password.push('-');
        }
        password.push(char::from(LETTERS[usize::from(byte % 32)]));
    }
    password
}

/// Fills with random bytes.
pub(crate) fn fill(bytes: &mut [u8]) {
    // Without randomness no secret is one, and the kernel always has some once it has booted.
    getrandom::fill(bytes).expect("the kernel gives random bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing_of_itself_by_accident() {
        let secret = Secret::new("lamina_");
        assert!(secret.reveal().starts_with("lamina_"));
        assert_eq!(secret.reveal().len(), 7 + 43);
        assert!(!format!("{secret:?}").contains(secret.reveal()));
        assert_eq!(Secret::sent(secret.reveal()).digest(), secret.digest());
        assert_ne!(Secret::new("").digest(), Secret::new("").digest());
    }

    #[test]
    fn a_one_time_password_can_be_typed() {
        let password = one_time_password();
        assert_eq!(password.len(), 24);
        assert!(
            password.chars().all(|c| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit()),
            "{password}"
        );
        assert!(crate::identity::check_strength("password", &password, "admin").is_ok());
    }
}
