//! Secrets at rest: what the server has to show to others again, such as the passwords of file shares, is stored sealed.
//!
//! Each sealed value has a random key of its own, which is sealed by the server's master key. So giving the server another
//! master key rewrites a few dozen bytes of each value and never its content ([`rewrap`]). Both are sealed with
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) and bound to what they are for and to their row: a value that is
//! copied to another row does not open.
//!
//! ```text
//!   1   version, 1
//!  16   fingerprint of the master key
//!  24   nonce ┐
//!  48   sealed│ key of this value
//!  24   nonce ┐
//!   …   sealed│ content, 16 bytes longer than the content
//! ```

mod key_file;
mod text;

pub use key_file::{KeyError, find, make};
pub use text::SecretText;
pub(crate) use text::changes_schema;

use crate::identity::fill_random;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use operation::Explain;
use std::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const KEY: usize = 32;
const FINGERPRINT: usize = 16;
const NONCE: usize = 24;
/// A sealed key: nonce, key, tag.
const SEALED_KEY: usize = NONCE + KEY + 16;

type Key = Zeroizing<[u8; KEY]>;

/// The key of the server under which all its secrets are sealed.
pub struct MasterKey {
    wrapping: Key,
    digesting: Key,
    fingerprint: [u8; FINGERPRINT],
}

/// What a sealed value is, which it is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// What it is for, such as `connector-configuration`.
    pub purpose: &'static str,
    /// The row that it is in.
    pub id: &'a str,
}

/// Why a sealed value cannot be opened.
#[derive(Debug, Error)]
pub enum SecretError {
    /// It was sealed under another master key.
    #[error("This secret was sealed with another key than the server's.")]
    WrongKey,
    /// It was sealed by a newer program.
    #[error("This secret was sealed in form {0}, which this program does not know.")]
    Newer(u8),
    /// It was changed, cut off, or is that of another row.
    #[error("This secret is damaged.")]
    Damaged,
    /// It is too long for the cipher.
    #[error("This secret is too long to be sealed.")]
    TooLong,
}

impl Explain for SecretError {
    fn code(&self) -> &'static str {
        match self {
            SecretError::WrongKey => "secret-key-wrong",
            SecretError::Newer(_) => "secret-newer",
            SecretError::Damaged => "secret-damaged",
            SecretError::TooLong => "secret-too-long",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            SecretError::WrongKey => "Start the server with the key that it had, or enter the secret again.",
            SecretError::Newer(_) => "Start the newer program.",
            SecretError::Damaged => "Enter the secret again, or restore a backup.",
            SecretError::TooLong => "Choose a shorter one.",
        };
        Some(hint.to_owned())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// The master key of these random bytes. What is sealed under it has a key derived from them.
    pub fn new(bytes: &Zeroizing<[u8; KEY]>) -> MasterKey {
        let derived = |context: &str| Zeroizing::new(blake3::derive_key(context, &bytes[..]));
        let mut fingerprint = [0; FINGERPRINT];
        let whole = derived("Lamina 2026-11 fingerprint of the master key");
        fingerprint.copy_from_slice(&whole[..FINGERPRINT]);
        MasterKey {
            wrapping: derived("Lamina 2026-11 wrapping of keys"),
            digesting: derived("Lamina 2026-11 digests of requests"),
            fingerprint,
        }
    }

    /// What tells this key from others and says nothing about it, in hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        crate::app::hex(&self.fingerprint)
    }

    /// A digest that nobody can compute or test guesses against without this key, in hexadecimal digits.
    pub fn digest(&self, bytes: &[u8]) -> String {
        blake3::keyed_hash(&self.digesting, bytes).to_hex().to_string()
    }

    /// What computes such a digest piece by piece.
    pub(crate) fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.digesting)
    }

    /// Seals a secret for the row that holds it.
    pub fn seal(&self, holder: Holder<'_>, secret: &[u8]) -> Result<Vec<u8>, SecretError> {
        let mut key: Key = Zeroizing::new([0; KEY]);
        fill_random(&mut key[..]);
        let mut sealed = self.wrap(holder, &key)?;
        sealed.extend(encrypt(&key, &holder.bound("content"), secret)?);
        Ok(sealed)
    }

    /// The secret that was sealed for this row.
    pub fn open(&self, holder: Holder<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let (key, content) = self.unwrap(holder, sealed)?;
        decrypt(&key, &holder.bound("content"), content)
    }

    fn wrap(&self, holder: Holder<'_>, key: &Key) -> Result<Vec<u8>, SecretError> {
        let mut sealed = vec![VERSION];
        sealed.extend(self.fingerprint);
        sealed.extend(encrypt(&self.wrapping, &holder.bound("key"), &key[..])?);
        Ok(sealed)
    }

    /// The value's own key, and its content, which is still sealed.
    fn unwrap<'s>(&self, holder: Holder<'_>, sealed: &'s [u8]) -> Result<(Key, &'s [u8]), SecretError> {
        let (version, rest) = sealed.split_first().ok_or(SecretError::Damaged)?;
        if *version != VERSION {
            return Err(SecretError::Newer(*version));
        }
        let (fingerprint, rest) = rest.split_at_checked(FINGERPRINT).ok_or(SecretError::Damaged)?;
        if fingerprint != self.fingerprint {
            return Err(SecretError::WrongKey);
        }
        let (wrapped, content) = rest.split_at_checked(SEALED_KEY).ok_or(SecretError::Damaged)?;
        let opened = decrypt(&self.wrapping, &holder.bound("key"), wrapped)?;
        let mut key: Key = Zeroizing::new([0; KEY]);
        if opened.len() != KEY {
            return Err(SecretError::Damaged);
        }
        key.copy_from_slice(&opened);
        Ok((key, content))
    }
}

/// A value that was sealed under one master key, sealed under another. Its content is not opened.
pub fn rewrap(
    holder: Holder<'_>,
    sealed: &[u8],
    from: &MasterKey,
    to: &MasterKey,
) -> Result<Vec<u8>, SecretError> {
    let (key, content) = from.unwrap(holder, sealed)?;
    let mut wrapped = to.wrap(holder, &key)?;
    wrapped.extend_from_slice(content);
    Ok(wrapped)
}

impl Holder<'_> {
    /// What is authenticated beside the secret. None of the parts holds a zero byte.
    fn bound(&self, part: &str) -> Vec<u8> {
        ["Lamina sealed 1", part, self.purpose, self.id].join("\0").into_bytes()
    }
}

/// Nonce and ciphertext. A random nonce of 192 bits never comes twice.
fn encrypt(key: &Key, bound: &[u8], secret: &[u8]) -> Result<Vec<u8>, SecretError> {
    let mut nonce = [0; NONCE];
    fill_random(&mut nonce);
    let cipher = XChaCha20Poly1305::new((&**key).into());
    let payload = Payload { msg: secret, aad: bound };
    let encrypted = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SecretError::TooLong)?;
    let mut sealed = nonce.to_vec();
    sealed.extend(encrypted);
    Ok(sealed)
}

fn decrypt(key: &Key, bound: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let (nonce, encrypted) = sealed.split_first_chunk::<NONCE>().ok_or(SecretError::Damaged)?;
    let cipher = XChaCha20Poly1305::new((&**key).into());
    let payload = Payload { msg: encrypted, aad: bound };
    let opened = cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SecretError::Damaged)?;
    Ok(Zeroizing::new(opened))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDER: Holder<'static> = Holder { purpose: "test", id: "1" };

    fn key(byte: u8) -> MasterKey {
        MasterKey::new(&Zeroizing::new([byte; KEY]))
    }

    #[test]
    fn a_secret_opens_with_its_key_in_its_row_and_nowhere_else() {
        let sealed = key(1).seal(HOLDER, b"open sesame").unwrap();
        assert_eq!(key(1).open(HOLDER, &sealed).unwrap().as_slice(), b"open sesame");
        assert!(!sealed.windows(11).any(|part| part == b"open sesame"));
        assert!(matches!(key(2).open(HOLDER, &sealed), Err(SecretError::WrongKey)));
        for other in [Holder { id: "2", ..HOLDER }, Holder { purpose: "other", ..HOLDER }] {
            assert!(matches!(key(1).open(other, &sealed), Err(SecretError::Damaged)));
        }
        assert_ne!(sealed, key(1).seal(HOLDER, b"open sesame").unwrap(), "never the same twice");
        assert_eq!(key(1).open(HOLDER, &key(1).seal(HOLDER, b"").unwrap()).unwrap().as_slice(), b"");
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let sealed = key(1).seal(HOLDER, b"open sesame").unwrap();
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            let error = key(1).open(HOLDER, &changed).unwrap_err();
            let expected = match position {
                0 => "secret-newer",
                1..=FINGERPRINT => "secret-key-wrong",
                _ => "secret-damaged",
            };
            assert_eq!(error.code(), expected, "{position}");
            assert!(key(1).open(HOLDER, &sealed[..position]).is_err(), "{position}");
        }
    }

    #[test]
    fn a_value_moves_to_another_key_and_leaves_the_old_one() {
        let sealed = key(1).seal(HOLDER, b"open sesame").unwrap();
        let moved = rewrap(HOLDER, &sealed, &key(1), &key(2)).unwrap();
        assert_eq!(key(2).open(HOLDER, &moved).unwrap().as_slice(), b"open sesame");
        assert!(matches!(key(1).open(HOLDER, &moved), Err(SecretError::WrongKey)));
        assert!(matches!(rewrap(HOLDER, &sealed, &key(2), &key(1)), Err(SecretError::WrongKey)));
        assert_eq!(moved[1 + FINGERPRINT + SEALED_KEY..], sealed[1 + FINGERPRINT + SEALED_KEY..]);
    }

    #[test]
    fn nothing_shows_by_accident_and_digests_need_the_key() {
        assert_eq!(format!("{:?}", key(1)), "MasterKey(…)");
        assert_ne!(key(1).digest(b"x"), key(2).digest(b"x"));
        assert_eq!(key(1).digest(b"x"), key(1).digest(b"x"));
        assert_ne!(key(1).fingerprint(), key(2).fingerprint());
    }
}
