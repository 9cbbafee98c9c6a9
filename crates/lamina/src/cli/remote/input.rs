//! What is asked of the person, or read from standard input: names, secrets, and whether they are sure.

use super::trouble::Trouble;
use console::Term;
use std::io::{self, BufRead, IsTerminal, Read, stdin};
use std::path::Path;

/// Longest secret that is read, in bytes.
const LONGEST: u64 = 64 * 1024;

fn failed(error: io::Error) -> Trouble {
    Trouble::here("input", format!("What was asked for could not be read: {error}."))
}

/// Whether there is a person to ask.
fn somebody() -> bool {
    stdin().is_terminal() && Term::stderr().is_term()
}

fn nobody(what: &str, instead: &str) -> Trouble {
    Trouble::usage("nobody-to-ask", format!("There is no terminal to ask for this: {what}."))
        .hint(format!("Use {instead}."))
}

/// Asks for a line.
pub(super) fn line(question: &str, instead: &str) -> Result<String, Trouble> {
    if !somebody() {
        return Err(nobody(question, instead));
    }
    crate::printer::write_stderr(&format!("{question}: "));
    let mut line = String::new();
    stdin().lock().take(LONGEST).read_line(&mut line).map_err(failed)?;
    Ok(line.trim().to_owned())
}

/// Asks for a secret, which is not shown.
pub(super) fn secret(question: &str, instead: &str) -> Result<String, Trouble> {
    if !somebody() {
        return Err(nobody(question, instead));
    }
    crate::printer::write_stderr(&format!("{question}: "));
    Term::stderr().read_secure_line().map_err(failed)
}

/// Asks for a new secret, twice.
pub(super) fn new_secret(question: &str, instead: &str) -> Result<String, Trouble> {
    loop {
        let first = secret(question, instead)?;
        if first == secret(&format!("{question} again"), instead)? {
            return Ok(first);
        }
        crate::printer::write_stderr("Both are not the same.\n");
    }
}

/// The next line of standard input, without its end.
pub(super) fn next_line(what: &str) -> Result<String, Trouble> {
    let mut line = String::new();
    stdin().lock().take(LONGEST).read_line(&mut line).map_err(failed)?;
    let line = line.trim_end_matches(['\n', '\r']);
    if line.is_empty() {
        return Err(Trouble::usage("input-empty", format!("Standard input has no line with {what}.")));
    }
    Ok(line.to_owned())
}

/// What a file holds, of at most `most` bytes; `-` is standard input.
pub(super) fn file(path: &Path, most: u64) -> Result<Vec<u8>, Trouble> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if path.as_os_str() == "-" {
            stdin().lock().take(most + 1).read_to_end(&mut bytes)?;
        } else {
            std::fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    };
    let bytes = read().map_err(|error| {
        Trouble::here("file-unreadable", format!("Cannot read {}: {error}.", path.display()))
    })?;
    if bytes.len() as u64 > most {
        let message = format!("{} has more than {most} bytes.", path.display());
        return Err(Trouble::here("file-too-long", message));
    }
    Ok(bytes)
}

/// Asks whether to go on with something that cannot be taken back; `--yes` is the answer beforehand.
pub(super) fn sure(yes: bool, question: &str) -> Result<(), Trouble> {
    if yes {
        return Ok(());
    }
    if !somebody() {
        let message = format!("{question} There is no terminal to ask.");
        return Err(Trouble::usage("nobody-to-ask", message).hint("Use --yes."));
    }
    let answer = line(&format!("{question} [y/N]"), "--yes")?;
    match answer.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Trouble::here("not-confirmed", "Nothing was done.")),
    }
}
