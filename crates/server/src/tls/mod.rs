//! TLS: which certificate the server shows, and until when.
//!
//! An administrator's own certificate is read from its files and read again when they change, as tools that renew
//! certificates write them. Without one the server makes an [`authority`] of its own, once for its database, and
//! certificates that are signed by it; clients that trust the authority trust the next certificate too.

pub(crate) mod authority;
mod error;
mod files;

pub use error::TlsError;

use crate::app::doctor::Certificate;
use crate::db::Db;
use crate::domain::Time;
use crate::secrets::MasterKey;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What the server shows to those who connect.
#[derive(Debug, Clone)]
pub enum Tls {
    /// Nothing: plain HTTP, which is refused on an address that other machines can reach.
    Off,
    /// A certificate that the server makes.
    Generated {
        /// Names and addresses that it is for, beside those that the machine says it has.
        names: Vec<String>,
    },
    /// A certificate of the administrator's.
    Files {
        /// The certificate and those that lead to its authority, in PEM.
        certificate: PathBuf,
        /// Its private key, in PEM.
        key: PathBuf,
    },
}

/// What the server shows now.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) config: Arc<ServerConfig>,
    /// When the certificate ends.
    pub(crate) ends: Time,
    /// Whether the server made it itself.
    pub(crate) authority: Option<Authority>,
    /// What tells whether the files have changed.
    read: Vec<u8>,
}

impl Shown {
    /// What there is to know of the certificate.
    pub(crate) fn certificate(&self) -> Certificate {
        Certificate { ends: self.ends, own: self.authority.is_some() }
    }
}

/// The server's own authority.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Its certificate, for clients to trust, in PEM.
    pub path: PathBuf,
    /// SHA-256 of its certificate, in hexadecimal digits: to compare what a client was given.
    pub fingerprint: String,
}

/// Days before its end at which a certificate of the server's is made anew.
const RENEWED: i64 = 30;
/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// What the server shows at the start.
pub(crate) async fn open(
    tls: &Tls,
    listen: SocketAddr,
    directory: &Path,
    db: &Db,
    key: &MasterKey,
    now: Time,
) -> Result<Option<Shown>, TlsError> {
    match tls {
        Tls::Off => Ok(None),
        Tls::Generated { names } => authority::issue(names, listen, directory, db, key, now).await.map(Some),
        Tls::Files { certificate, key } => files::read(certificate, key).map(Some),
    }
}

/// What the server shows from now on, if that is something else: the files have changed, or the end is near.
pub(crate) async fn renew(
    shown: &Shown,
    tls: &Tls,
    listen: SocketAddr,
    directory: &Path,
    db: &Db,
    key: &MasterKey,
    now: Time,
) -> Result<Option<Shown>, TlsError> {
    let due = match tls {
        Tls::Off => false,
        Tls::Generated { .. } => shown.ends.seconds_since(now) < RENEWED * DAY,
        Tls::Files { certificate, key } => files::contents(certificate, key)?.as_slice() != shown.read,
    };
    if due { open(tls, listen, directory, db, key, now).await } else { Ok(None) }
}

/// The configuration that shows this certificate, and when the certificate ends.
fn configuration(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<(Arc<ServerConfig>, Time), rustls::Error> {
    let end = chain.first().and_then(|leaf| ends(leaf)).ok_or(rustls::Error::NoCertificatesPresented)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), end))
}

/// When a certificate ends; `None` for what is no certificate.
fn ends(certificate: &CertificateDer<'_>) -> Option<Time> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(Time::from_millis(certificate.validity().not_after.timestamp().saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use operation::Explain;
    use zeroize::Zeroizing;

    const NOW: Time = Time::from_millis(1_800_000_000_000);
    const LISTEN: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 1));

    /// A database and a key of their own.
    struct Place {
        directory: tempfile::TempDir,
        db: Db,
        key: MasterKey,
    }

    impl Place {
        async fn new() -> Place {
            let directory = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", directory.path().join("lamina.db").display());
            let key = MasterKey::new(&Zeroizing::new([7; 32]));
            Place { db: Db::open(&url).await.unwrap(), key, directory }
        }

        async fn open(&self, tls: &Tls, now: Time) -> Result<Shown, TlsError> {
            let opened = open(tls, LISTEN, self.directory.path(), &self.db, &self.key, now).await?;
            Ok(opened.expect("it speaks TLS"))
        }

        async fn renew(&self, shown: &Shown, tls: &Tls, now: Time) -> Result<Option<Shown>, TlsError> {
            renew(shown, tls, LISTEN, self.directory.path(), &self.db, &self.key, now).await
        }

        /// Writes a certificate and a key, and gives both names.
        fn write(&self, certificate: &str, key: &str) -> Tls {
            let at = |name: &str| self.directory.path().join(name);
            std::fs::write(at("own.pem"), certificate).unwrap();
            std::fs::write(at("own.key"), key).unwrap();
            Tls::Files { certificate: at("own.pem"), key: at("own.key") }
        }
    }

    fn own() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["lamina.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[tokio::test]
    async fn the_authority_stays_while_its_certificates_come_and_go() {
        let place = Place::new().await;
        let tls = Tls::Generated { names: vec!["lamina.example".to_owned()] };
        let first = place.open(&tls, NOW).await.unwrap();
        let authority = first.authority.clone().unwrap();
        assert!(std::fs::read_to_string(&authority.path).unwrap().contains("BEGIN CERTIFICATE"));
        assert!(place.renew(&first, &tls, NOW.after_seconds(59 * DAY)).await.unwrap().is_none());
        let later = NOW.after_seconds(61 * DAY);
        let second = place.renew(&first, &tls, later).await.unwrap().expect("the end is near");
        assert!(second.ends > first.ends);
        assert_eq!(second.authority.unwrap().fingerprint, authority.fingerprint);
        // An authority that would end before what it signs makes way for a new one.
        let third = place.open(&tls, NOW.after_seconds(3600 * DAY)).await.unwrap();
        assert_ne!(third.authority.unwrap().fingerprint, authority.fingerprint);
    }

    #[tokio::test]
    async fn the_authoritys_key_is_sealed_in_the_database() {
        let place = Place::new().await;
        let tls = Tls::Generated { names: Vec::new() };
        place.open(&tls, NOW).await.unwrap();
        place.db.close().await;
        let stored = std::fs::read(place.directory.path().join("lamina.db")).unwrap();
        assert!(!stored.windows(11).any(|part| part == b"PRIVATE KEY"));
        let other = Place { key: MasterKey::new(&Zeroizing::new([8; 32])), ..place };
        let url = format!("sqlite:{}", other.directory.path().join("lamina.db").display());
        let other = Place { db: Db::open(&url).await.unwrap(), ..other };
        assert_eq!(other.open(&tls, NOW).await.unwrap_err().code(), "secret-key-wrong");
    }

    #[tokio::test]
    async fn a_name_that_no_certificate_can_hold_is_refused() {
        let place = Place::new().await;
        let tls = Tls::Generated { names: vec!["bücher.example".to_owned()] };
        assert_eq!(place.open(&tls, NOW).await.unwrap_err().code(), "certificate-not-made");
    }

    #[tokio::test]
    async fn files_that_change_are_shown_from_then_on() {
        let place = Place::new().await;
        let ((certificate, key), (other, other_key)) = (own(), own());
        let tls = place.write(&certificate, &key);
        let shown = place.open(&tls, NOW).await.unwrap();
        assert!(place.renew(&shown, &tls, NOW).await.unwrap().is_none());
        // Half of a change: certificate and key are not of each other.
        place.write(&other, &key);
        assert_eq!(place.renew(&shown, &tls, NOW).await.unwrap_err().code(), "certificate-unusable");
        place.write(&other, &other_key);
        let shown = place.renew(&shown, &tls, NOW).await.unwrap().expect("it is another one");
        assert!(place.renew(&shown, &tls, NOW).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn files_that_hold_something_else_are_refused() {
        let place = Place::new().await;
        let (certificate, key) = own();
        for (certificate, key, code) in [
            ("", key.as_str(), "certificate-malformed"),
            ("no PEM at all", &key, "certificate-malformed"),
            (&key, &key, "certificate-malformed"),
            (&certificate, "", "certificate-malformed"),
            (&certificate, &certificate, "certificate-malformed"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key, "certificate-unusable"),
        ] {
            let tls = place.write(certificate, key);
            assert_eq!(place.open(&tls, NOW).await.unwrap_err().code(), code);
        }
        let nowhere = place.directory.path().join("nowhere");
        let tls = Tls::Files { certificate: nowhere.clone(), key: nowhere };
        assert_eq!(place.open(&tls, NOW).await.unwrap_err().code(), "certificate-unreadable");
    }
}
