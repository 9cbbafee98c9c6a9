//! Sealing the secrets of a row under another key. Their contents are not opened.

use crate::app::{configurations, webhook};
use crate::db::Value;
use crate::secrets::{self, Holder, MasterKey, SecretError};
use crate::tls;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::atomic::{AtomicU64, Ordering};

/// From which key to which.
pub(super) struct Rewrap<'k> {
    from: &'k MasterKey,
    to: &'k MasterKey,
    unreadable: AtomicU64,
}

impl<'k> Rewrap<'k> {
    pub(super) fn new(from: &'k MasterKey, to: &'k MasterKey) -> Rewrap<'k> {
        Rewrap { from, to, unreadable: AtomicU64::new(0) }
    }

    /// How many secrets were left as they are, because they cannot be opened.
    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Seals what is secret in a row of this table under the other key.
    pub(super) fn row(&self, table: &str, columns: &[String], row: &mut [Value]) -> Result<(), SecretError> {
        match table {
            "connector_configurations" => {
                let id = text(columns, row, "id")?;
                let holder = Holder { purpose: configurations::PURPOSE, id: &id };
                self.sealed(holder, at(columns, row, "secrets")?)
            }
            "webhooks" => self.sealed(webhook::holder(), at(columns, row, "secret")?),
            "settings" => self.setting(columns, row),
            _ => Ok(()),
        }
    }

    fn sealed(&self, holder: Holder<'_>, value: &mut Value) -> Result<(), SecretError> {
        let Value::Bytes(Some(bytes)) = value else { return Err(SecretError::Damaged) };
        if let Some(sealed) = self.rewrapped(holder, bytes) {
            *bytes = sealed;
        }
        Ok(())
    }

    fn rewrapped(&self, holder: Holder<'_>, sealed: &[u8]) -> Option<Vec<u8>> {
        let rewrapped = secrets::rewrap(holder, sealed, self.from, self.to);
        if let Err(error) = &rewrapped {
            tracing::warn!(purpose = holder.purpose, id = holder.id, %error, "a secret cannot be sealed anew");
            self.unreadable.fetch_add(1, Ordering::Relaxed);
        }
        rewrapped.ok()
    }

    fn setting(&self, columns: &[String], row: &mut [Value]) -> Result<(), SecretError> {
        let name = text(columns, row, "name")?;
        let Value::Text(Some(value)) = at(columns, row, "value")? else { return Err(SecretError::Damaged) };
        if name == crate::app::secret_key::NAME {
            *value = self.to.fingerprint();
        } else if name == tls::authority::NAME {
            let mut authority: tls::authority::Stored =
                serde_json::from_str(value).map_err(|_| SecretError::Damaged)?;
            let sealed = STANDARD.decode(&authority.key).map_err(|_| SecretError::Damaged)?;
            if let Some(sealed) = self.rewrapped(tls::authority::HOLDER, &sealed) {
                authority.key = STANDARD.encode(sealed);
            }
            *value = serde_json::to_string(&authority).map_err(|_| SecretError::Damaged)?;
        }
        Ok(())
    }
}

fn at<'r>(columns: &[String], row: &'r mut [Value], name: &str) -> Result<&'r mut Value, SecretError> {
    let position = columns.iter().position(|column| column == name).ok_or(SecretError::Damaged)?;
    row.get_mut(position).ok_or(SecretError::Damaged)
}

fn text(columns: &[String], row: &mut [Value], name: &str) -> Result<String, SecretError> {
    match at(columns, row, name)? {
        Value::Text(Some(text)) => Ok(text.clone()),
        _ => Err(SecretError::Damaged),
    }
}
