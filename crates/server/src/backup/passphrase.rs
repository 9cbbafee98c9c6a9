//! What a person knows, as the key of a backup.

use super::BackupError;
use crate::secrets::MasterKey;
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

/// Least number of characters.
const SHORTEST: usize = 12;
/// Length of the salt, in bytes.
pub(super) const SALT: usize = 16;

/// The passphrase of a backup.
pub struct Passphrase(Zeroizing<String>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

impl Passphrase {
    /// The passphrase that somebody entered; space around it does not count.
    pub fn new(text: &Zeroizing<String>) -> Result<Passphrase, BackupError> {
        let text = Zeroizing::new(text.trim().to_owned());
        if text.chars().count() < SHORTEST {
            return Err(BackupError::ShortPassphrase { shortest: SHORTEST });
        }
        Ok(Passphrase(text))
    }

    /// The key that it gives with a salt. Takes some tenths of a second: whoever finds a backup can try as often as
    /// they like (RFC 9106, second recommended parameters: 64 MiB, 3 passes, 4 lanes).
    pub(super) fn key(&self, salt: &[u8; SALT]) -> MasterKey {
        let parameters = Params::new(64 * 1024, 3, 4, Some(32)).expect("within argon2's limits");
        let mut bytes = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(self.0.as_bytes(), salt, &mut bytes[..])
            .expect("salt and output are within argon2's limits");
        MasterKey::new(&bytes)
    }
}
