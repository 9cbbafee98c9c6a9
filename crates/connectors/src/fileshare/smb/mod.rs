//! A share that is spoken to over SMB, from this process: no mount, no root (docs/adr/0005 says with which library).
//!
//! One connection per operation. It is encrypted, or, where the configuration says so, signed; a guest session is never
//! taken, referrals to other servers (DFS) are not followed, so the password goes to the configured server only.

mod failure;
mod file;
mod negotiation;
mod session;
mod share;

use super::share::{Access, Share, SharePath};
use crate::connector::Location;
use crate::error::{Error, Result};
use crate::name::DiskName;
use crate::reach::Reach;
use async_trait::async_trait;
use secrecy::SecretString;
use std::path::PathBuf;

/// Where a share is and who we are there.
#[derive(Debug, Clone)]
pub(crate) struct SmbAddress {
    /// Name or address.
    pub(crate) server: String,
    /// Where that may lead.
    pub(crate) reach: Reach,
    pub(crate) port: u16,
    pub(crate) share: String,
    /// Everything happens in this folder of the share.
    pub(crate) folder: Option<DiskName>,
    /// Empty for an account of the server itself.
    pub(crate) domain: String,
    pub(crate) user: String,
    pub(crate) password: SecretString,
    pub(crate) protection: Protection,
}

/// What is demanded of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// SMB 3.1.1 and encryption.
    Encrypted,
    /// Signatures.
    Signed,
}

impl SmbAddress {
    /// In the form in which people write it.
    fn unc(&self) -> String {
        let folder = self.folder.as_ref().map(|folder| format!("\\{}", folder.as_str().replace('/', "\\")));
        format!("\\\\{}\\{}{}", self.server, self.share, folder.unwrap_or_default())
    }
}

/// The share of a configuration.
#[derive(Debug)]
pub(crate) struct SmbAccess {
    address: SmbAddress,
    place: String,
}

impl SmbAccess {
    pub(crate) fn new(address: SmbAddress) -> SmbAccess {
        SmbAccess { place: address.unc(), address }
    }
}

#[async_trait]
impl Access for SmbAccess {
    async fn open(&self) -> Result<Box<dyn Share>> {
        let session = session::Session::open(&self.address, &self.place).await?;
        let share = share::SmbShare::new(session);
        match self.address.folder.is_none() || share.has_root().await? {
            true => Ok(Box::new(share)),
            false => {
                share.leave().await;
                let reason = "the share has no such folder".to_owned();
                Err(Error::NoShare { place: self.place.clone(), reason })
            }
        }
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn location(&self, name: &DiskName) -> Location {
        let text = format!("{}\\{}", self.place, name.as_str().replace('/', "\\"));
        Location { text, path: None, link: None }
    }

    fn here(&self, _file: &SharePath) -> Option<PathBuf> {
        None
    }
}
