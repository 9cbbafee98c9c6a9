//! An administrator's own certificate, in two files.

use super::{Shown, TlsError, configuration};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Longest file that is read, in bytes; chains have a few thousand.
const LONGEST: u64 = 1024 * 1024;

/// The contents of both files, which are the same as long as nobody writes them.
pub(super) fn contents(certificate: &Path, key: &Path) -> Result<Vec<u8>, TlsError> {
    let mut both = bytes(certificate)?;
    both.push(0);
    both.extend(bytes(key)?);
    // The key need not stay in memory twice.
    Ok(blake3::hash(&both).as_bytes().to_vec())
}

/// The certificate and its key.
pub(super) fn read(certificate: &Path, key: &Path) -> Result<Shown, TlsError> {
    let malformed = |path: &Path, what| TlsError::Malformed { path: path.to_owned(), what };
    // Before the files: a change in between is noticed at the next look.
    let read = contents(certificate, key)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&bytes(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|_| malformed(certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(malformed(certificate, "certificate"));
    }
    let private = PrivateKeyDer::from_pem_slice(&bytes(key)?).map_err(|_| malformed(key, "private key"))?;
    let (config, ends) = configuration(chain, private).map_err(|source| TlsError::Unusable {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })?;
    Ok(Shown { config, ends, authority: None, read })
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}
