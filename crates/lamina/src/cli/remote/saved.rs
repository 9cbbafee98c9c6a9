//! The login that is kept on this machine: a file that only its owner can read.

use super::trouble::Trouble;
use client::{Place, Proof};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// A login.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Saved {
    /// The server's address.
    pub(super) url: String,
    /// The only authorities, in PEM, that may have signed its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) authority: Option<String>,
    /// The user's name.
    pub(super) user: String,
    /// The API token.
    pub(super) token: String,
    /// The token's identifier, unless somebody else made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token_id: Option<String>,
}

/// Where the login is kept: `$XDG_CONFIG_HOME/lamina/login.json`.
pub(super) fn path() -> Result<PathBuf, Trouble> {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let directory = named("XDG_CONFIG_HOME").or_else(|| named("HOME").map(|home| home.join(".config")));
    let directory = directory.ok_or_else(|| {
        Trouble::here(
            "no-home",
            "There is no place to keep a login: neither XDG_CONFIG_HOME nor HOME is set.",
        )
        .hint("Set LAMINA_URL and LAMINA_TOKEN instead.")
    })?;
    Ok(directory.join("lamina").join("login.json"))
}

fn failed(what: &str, path: &Path, error: impl std::fmt::Display) -> Trouble {
    Trouble::here("login-file", format!("The login in {} cannot be {what}: {error}.", path.display()))
}

/// The login that is kept, if there is one.
pub(super) fn read() -> Result<Option<Saved>, Trouble> {
    let path = path()?;
    let length = match fs::metadata(&path) {
        Ok(about) => about.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", &path, error)),
    };
    if length > LONGEST {
        return Err(failed("read", &path, "the file is too long"));
    }
    let text = fs::read(&path).map_err(|error| failed("read", &path, error))?;
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| failed("understood", &path, error).hint("Delete the file and log in again."))
}

/// Keeps a login instead of the one before.
pub(super) fn write(saved: &Saved) -> Result<(), Trouble> {
    let path = path()?;
    let write = || -> std::io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        // Made for its owner alone (mode 0600), and takes its name when it is complete.
        let mut file = tempfile::Builder::new().prefix(".login-").tempfile_in(directory)?;
        serde_json::to_writer_pretty(&mut file, saved)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|error| failed("written", &path, error))
}

/// Forgets the login.
pub(super) fn remove() -> Result<(), Trouble> {
    let path = path()?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("removed", &path, error)),
        _ => Ok(()),
    }
}

/// An environment variable that has something in it.
fn variable(name: &str) -> Result<Option<String>, Trouble> {
    match std::env::var(name) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(Trouble::usage("environment", format!("{name}: {error}."))),
    }
}

/// The authorities in the file that `LAMINA_AUTHORITY` names.
pub(super) fn authority_of_environment() -> Result<Option<String>, Trouble> {
    variable("LAMINA_AUTHORITY")?.map(|path| read_authority(Path::new(&path))).transpose()
}

/// The authorities in a file.
pub(super) fn read_authority(path: &Path) -> Result<String, Trouble> {
    let fails = |error: &dyn std::fmt::Display| {
        Trouble::here("authority-file", format!("The file {} cannot be read: {error}.", path.display()))
    };
    if fs::metadata(path).map_err(|error| fails(&error))?.len() > LONGEST {
        return Err(fails(&"it is too long"));
    }
    fs::read_to_string(path).map_err(|error| fails(&error))
}

/// The server that one is logged in to, or that the environment names, and the token for it.
///
/// A token that is kept is only ever sent to the server that made it.
pub(super) fn access() -> Result<(Place, Proof), Trouble> {
    let (url, token) = (variable("LAMINA_URL")?, variable("LAMINA_TOKEN")?);
    let saved = match (&url, &token) {
        (Some(_), Some(_)) => None,
        _ => read()?,
    };
    let same = |saved: &Saved| url.as_ref().is_none_or(|url| url.trim_end_matches('/') == saved.url);
    let saved = saved.filter(same);
    let place_url = url.or_else(|| saved.as_ref().map(|saved| saved.url.clone()));
    let proof = token.or_else(|| saved.as_ref().map(|saved| saved.token.clone()));
    let (Some(url), Some(token)) = (place_url, proof) else {
        return Err(Trouble::not_logged_in());
    };
    let authority = match authority_of_environment()? {
        Some(authority) => Some(authority),
        None => saved.and_then(|saved| saved.authority),
    };
    Ok((Place { url, authority }, Proof::Token(token)))
}
