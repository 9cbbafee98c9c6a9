//! Identifiers that depend on nothing but what the caller gave.

/// What identifiers and time stamps of an image are derived from.
#[derive(Debug, Clone)]
pub(in crate::format) struct Identity {
    pub(super) seed: [u8; 32],
    /// Unix seconds.
    pub(in crate::format) created: u64,
}

impl Identity {
    /// A UUID for one purpose: version 8 (RFC 9562, "custom"), so that it claims neither time nor chance.
    pub(in crate::format) fn uuid(&self, purpose: &str) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("lamina 2026 disk image identifier");
        hasher.update(&self.seed).update(purpose.as_bytes());
        let mut uuid = [0; 16];
        hasher.finalize_xof().fill(&mut uuid);
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        uuid
    }
}
