//! The one owner of stdout and stderr: results on stdout, everything else on stderr.
//!
//! Colour only where the stream is a terminal that wants it (`NO_COLOR`, `CLICOLOR`). A reader that went away, as in
//! `| head`, ends the output quietly and changes nothing about how the command ended.

pub(crate) mod amount;
pub(crate) mod page;

use operation::Failure;
use page::{ERROR, HINT, Page, Styled, Visible, VisibleLines};
use serde::Serialize;
use std::fmt;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};

/// Writes `text` to stderr. That it cannot be written is nothing that could be told to anybody.
pub(crate) fn write_stderr(text: &str) {
    let _ = anstream::stderr().write_all(text.as_bytes());
}

/// How a command's result is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    json: bool,
}

/// What is wrong with a store or a request, as `--json` shows it.
#[derive(Serialize)]
struct FailureObject<'a> {
    error: &'a Failure,
}

impl Printer {
    /// Prints one JSON object per command if `json`, human text otherwise.
    pub(crate) fn new(json: bool) -> Printer {
        Printer { json }
    }

    /// Writes a result: `report` itself with `--json`, what `human` writes otherwise.
    ///
    /// Gives the failure to end with when stdout takes no more for another reason than that nobody reads it.
    pub(crate) fn result(
        self,
        report: &impl Serialize,
        human: impl FnOnce(&mut Page<'_>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let written = if self.json {
            write_json(report)
        } else {
            let mut out = BufWriter::new(anstream::stdout().lock());
            human(&mut Page::new(&mut out)).and_then(|()| out.flush())
        };
        match written {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure {
                code: "output-failed".to_owned(),
                message: format!(
                    "the operation is done, but its result could not be written to stdout: {error}"
                ),
                hint: None,
            }),
            _ => Ok(()),
        }
    }

    /// Writes why the command failed or was refused: on stderr, and with `--json` also as an object on stdout.
    pub(crate) fn failure(self, failure: &Failure) {
        self.failure_text(failure);
        if self.json {
            // The exit status says it all the same to who does not read this.
            let _ = write_json(&FailureObject { error: failure });
        }
    }

    /// Writes why a server refused: on stderr with what is wrong with which field, and `object` with `--json`.
    pub(crate) fn refusal(self, failure: &Failure, fields: &[(&str, &str)], object: Option<&impl Serialize>) {
        write_failure(failure, fields);
        if let (true, Some(error)) = (self.json, object) {
            let _ = write_json(&serde_json::json!({ "error": error }));
        }
    }

    /// Writes a failure on stderr alone, when stdout has the result that it is about.
    pub(crate) fn failure_text(self, failure: &Failure) {
        write_failure(failure, &[]);
    }

    /// Writes a remark on stderr, unless the JSON object has it.
    pub(crate) fn remark(self, text: impl fmt::Display) {
        if !self.json {
            write_stderr(&format!("{text}\n"));
        }
    }
}

/// Writes a failure on stderr, with what is wrong with which field.
fn write_failure(failure: &Failure, fields: &[(&str, &str)]) {
    let mut text = format!(
        "{}: {}\n",
        Styled(ERROR, format_args!("error[{}]", failure.code)),
        VisibleLines(&failure.message)
    );
    for (field, message) in fields {
        // Of a single field the failure's own message is that of the field.
        match *message == failure.message {
            true => text.push_str(&format!("  field: {}\n", Visible(field))),
            false => text.push_str(&format!("  {}: {}\n", Visible(field), Visible(message))),
        }
    }
    if let Some(hint) = &failure.hint {
        text.push_str(&format!("{}: {}\n", Styled(HINT, "Hint"), VisibleLines(hint)));
    }
    write_stderr(&text);
}

/// One object on stdout: indented where a person looks at it, on one line where a program does.
fn write_json(value: &impl Serialize) -> io::Result<()> {
    let stdout = io::stdout().lock();
    let terminal = stdout.is_terminal();
    let mut out = BufWriter::new(stdout);
    if terminal {
        serde_json::to_writer_pretty(&mut out, value)?;
    } else {
        serde_json::to_writer(&mut out, value)?;
    }
    out.write_all(b"\n")?;
    out.flush()
}
