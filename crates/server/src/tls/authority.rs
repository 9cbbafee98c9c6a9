//! The server's own authority, and the certificates that it signs.
//!
//! The authority is in the database, its key sealed: servers that share a database share it, and clients trust them all.
//! What it signs is made at every start and when its end is near, and is nowhere but in memory.

use super::{Authority, DAY, Shown, TlsError, configuration, ends};
use crate::app::hex;
use crate::db::{Db, Row, Statement};
use crate::domain::Time;
use crate::secrets::{Holder, MasterKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use zeroize::Zeroizing;

/// The name of its row among the settings.
pub(crate) const NAME: &str = "certificate-authority";
/// Its certificate's file in the server's directory.
const FILE: &str = "certificate-authority.pem";
/// Days for which the authority is made.
const AUTHORITY_DAYS: i64 = 3650;
/// Days for which a certificate is made. Browsers accept at most 398.
const CERTIFICATE_DAYS: i64 = 90;
/// Days before its making from which a certificate is valid: clocks differ.
const BEFORE_DAYS: i64 = 1;

/// As it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct Stored {
    /// In PEM.
    certificate: String,
    /// Its private key, sealed; in base64.
    pub(crate) key: String,
}

/// What tells the row that holds the key.
pub(crate) const HOLDER: Holder<'static> = Holder { purpose: NAME, id: NAME };

/// A new certificate for the machine's names and these, signed by the authority.
pub(super) async fn issue(
    names: &[String],
    listen: SocketAddr,
    directory: &Path,
    db: &Db,
    key: &MasterKey,
    now: Time,
) -> Result<Shown, TlsError> {
    let stored = find_or_make(db, key, now).await?;
    let authority_key = key.open(HOLDER, &STANDARD.decode(&stored.key).map_err(|_| TlsError::Damaged)?)?;
    let authority_key = std::str::from_utf8(&authority_key).map_err(|_| TlsError::Damaged)?;
    let signer = KeyPair::from_pem(authority_key).map_err(|_| TlsError::Damaged)?;
    let issuer = Issuer::from_ca_cert_pem(&stored.certificate, signer).map_err(|_| TlsError::Damaged)?;

    let names = all_names(names, listen);
    let failed = |reason: String| TlsError::Make { names: names.join(", "), reason };
    let own = KeyPair::generate().map_err(|error| failed(error.to_string()))?;
    let mut wanted = CertificateParams::new(names.clone()).map_err(|error| failed(error.to_string()))?;
    wanted.distinguished_name.push(DnType::CommonName, host_name().as_str());
    wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    wanted.use_authority_key_identifier_extension = true;
    make_valid(&mut wanted, now, CERTIFICATE_DAYS);
    let certificate = wanted.signed_by(&own, &issuer).map_err(|error| failed(error.to_string()))?;

    let authority =
        CertificateDer::from_pem_slice(stored.certificate.as_bytes()).map_err(|_| TlsError::Damaged)?;
    let fingerprint = hex(&Sha256::digest(&authority));
    let private = PrivateKeyDer::try_from(own.serialize_der()).map_err(|error| failed(error.to_owned()))?;
    let (config, ends) = configuration(vec![certificate.der().clone(), authority], private)
        .map_err(|error| failed(error.to_string()))?;
    let path = directory.join(FILE);
    publish(directory, &path, &stored.certificate)
        .map_err(|source| TlsError::Write { path: path.clone(), source })?;
    Ok(Shown { config, ends, authority: Some(Authority { path, fingerprint }), read: Vec::new() })
}

/// The authority of the database; a new one when there is none, or when it ends before what it would sign.
async fn find_or_make(db: &Db, key: &MasterKey, now: Time) -> Result<Stored, TlsError> {
    let usable = |stored: &Stored| {
        let end =
            CertificateDer::from_pem_slice(stored.certificate.as_bytes()).ok().and_then(|der| ends(&der));
        end.is_some_and(|end| end > now.after_seconds(2 * CERTIFICATE_DAYS * DAY))
    };
    if let Some(stored) = read(db.optional(row()).await?)?.filter(usable) {
        return Ok(stored);
    }
    let made = make(key, now)?;
    let mut tx = db.begin_change().await?;
    // Another server may have made one meanwhile.
    if let Some(stored) = read(tx.optional(row()).await?)?.filter(usable) {
        return Ok(stored);
    }
    let statement = Statement::new(
        "INSERT INTO settings (name, value, revision) VALUES ($1, $2, 1) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, revision = settings.revision + 1",
    )
    .bind(NAME)
    .bind(serde_json::to_string(&made).map_err(|_| TlsError::Damaged)?);
    tx.execute(statement).await?;
    tx.commit().await?;
    Ok(made)
}

fn make(key: &MasterKey, now: Time) -> Result<Stored, TlsError> {
    let name = format!("Lamina on {}", host_name());
    let failed = |error: rcgen::Error| TlsError::Make { names: name.clone(), reason: error.to_string() };
    let own = KeyPair::generate().map_err(failed)?;
    let mut wanted = CertificateParams::default();
    wanted.distinguished_name.push(DnType::CommonName, name.as_str());
    // It signs servers and no further authorities.
    wanted.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    wanted.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    make_valid(&mut wanted, now, AUTHORITY_DAYS);
    let certificate = wanted.self_signed(&own).map_err(failed)?;
    let private = Zeroizing::new(own.serialize_pem());
    let sealed = key.seal(HOLDER, private.as_bytes())?;
    Ok(Stored { certificate: certificate.pem(), key: STANDARD.encode(sealed) })
}

fn row() -> Statement<'static> {
    Statement::new("SELECT value FROM settings WHERE name = $1").bind(NAME)
}

fn read(row: Option<Row>) -> Result<Option<Stored>, TlsError> {
    let Some(row) = row else { return Ok(None) };
    serde_json::from_str(&row.text("value")?).map(Some).map_err(|_| TlsError::Damaged)
}

/// Puts the authority's certificate where an administrator finds it.
fn publish(directory: &Path, path: &Path, certificate: &str) -> std::io::Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == certificate.as_bytes()) {
        return Ok(());
    }
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(certificate.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// The names of the machine and those that were given, each once.
fn all_names(given: &[String], listen: SocketAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), host_name()];
    if !listen.ip().is_unspecified() {
        names.push(listen.ip().to_canonical().to_string());
    }
    names.extend(given.iter().map(|name| name.trim().to_ascii_lowercase()));
    let mut once = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

/// The machine's own name; `localhost` where it has none that a certificate could hold.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().to_ascii_lowercase();
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    if fits { name } else { "localhost".to_owned() }
}

/// Makes a certificate valid from a little before now, for so many days; in whole days of UTC.
fn make_valid(wanted: &mut CertificateParams, now: Time, days: i64) {
    let day = |time: Time| {
        let date = jiff::Timestamp::from_millisecond(time.millis())
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    wanted.not_before = day(now.before_seconds(BEFORE_DAYS * DAY));
    wanted.not_after = day(now.after_seconds(days * DAY));
}
