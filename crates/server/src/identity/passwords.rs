//! Passwords: argon2id, a few at a time.

use crate::app::Refusal;
use crate::domain::Invalid;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;

/// Shortest password, in characters (NIST SP 800-63B: at least 8 where it is the only factor's, 15 advised).
const SHORTEST: usize = 10;
/// Longest password, in bytes: hashing is work that others wait for.
const LONGEST: usize = 512;
/// Passwords hashed at a time. Each takes 19 MiB and tens of milliseconds; a flood of log-ins must not take the machine.
const AT_A_TIME: usize = 2;

/// Hashes and verifies passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
}

/// OWASP's parameters for argon2id: 19 MiB, 2 passes, 1 lane.
fn argon() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19 * 1024, 2, 1, None).unwrap_or_default())
}

/// The hash of a password that nobody has, so that an unknown name costs the same time as a known one.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let password = super::one_time_password();
    argon().hash_password(password.as_bytes()).map(|hash| hash.to_string()).unwrap_or_default()
});

impl Passwords {
    /// Ready to hash.
    #[allow(clippy::new_without_default, reason = "one per application, made where it is configured")]
    pub fn new() -> Passwords {
        Passwords { turns: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// The hash of a password, to be stored.
    pub async fn hash(&self, password: &str) -> Result<String, Refusal> {
        let password = password.to_owned();
        self.work(move || {
            argon().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(Refusal::internal)
        })
        .await?
    }

    /// Whether `password` has this hash. Without a hash (there is no such user) it takes the same time and is false.
    pub async fn verify(&self, password: &str, hash: Option<String>) -> Result<bool, Refusal> {
        if password.len() > LONGEST {
            return Ok(false);
        }
        let password = password.to_owned();
        self.work(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODY.clone());
            let matches = PasswordHash::new(&hash)
                .is_ok_and(|parsed| argon().verify_password(password.as_bytes(), &parsed).is_ok());
            known && matches
        })
        .await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let _turn = self.turns.acquire().await.map_err(Refusal::internal)?;
        tokio::task::spawn_blocking(work).await.map_err(Refusal::internal)
    }
}

/// Refuses a password that is too easy to guess for somebody with this name.
pub fn check_strength(field: &str, password: &str, name: &str) -> Result<(), Invalid> {
    let complaint = |code, message: String| Err(Invalid::field(field, code, message));
    if password.chars().count() < SHORTEST {
        return complaint("password-short", format!("A password has at least {SHORTEST} characters."));
    }
    if password.len() > LONGEST {
        return complaint("password-long", format!("A password has at most {LONGEST} bytes."));
    }
    let lower = password.to_lowercase();
    let name = name.to_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 || (name.chars().count() >= 3 && lower.contains(&name)) {
        return complaint(
            "password-guessable",
            "This password is easy to guess: it repeats a few characters, or holds the user's name."
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_nobody_has_none() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse battery").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correct horse battery", Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horse batterz", Some(hash)).await.unwrap());
        assert!(!passwords.verify("correct horse battery", None).await.unwrap());
        assert!(!passwords.verify("x", Some("not a hash".to_owned())).await.unwrap());
    }

    #[test]
    fn a_password_is_neither_short_nor_the_name() {
        let code = |password| {
            check_strength("password", password, "Admin").unwrap_err().into_errors()[0].code.clone()
        };
        assert_eq!(code("short"), "password-short");
        assert_eq!(code("aaaaaaaabbbbbbb"), "password-guessable");
        assert_eq!(code("my-ADMIN-password"), "password-guessable");
        assert_eq!(code(&"long and long ".repeat(100)), "password-long");
        assert!(check_strength("password", "correct horse battery", "admin").is_ok());
    }
}
