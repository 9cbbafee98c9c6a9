//! `lamina plumbing registry export`

use super::ScopeArgs;
use crate::printer::amount::{ExactBytes, Of};
use crate::printer::page::{Page, STRONG, Styled, Visible, VisibleLines};
use clap::Args;
use layering::report::RegistryExportReport;
use layering::request::{RegistryExportRequest, RegistryFormat, RegistryOf};
use operation::Failure;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, IsTerminal, Read, Write};
use std::path::PathBuf;
use tempfile::TempDir;
use worker::Job;

/// Export the registry of a layer version or layered image
///
/// Of an OS version or image exports whole hives, control sets under their own numbers. Of an app or platform layer
/// version exports what it changes: importing the file makes the same changes, removals too. Users' hives are under
/// HKEY_USERS with the name of the user's folder, their classes with _Classes behind it.
#[derive(Args)]
#[command(after_long_help = "\
Formats:
  reg   what regedit imports (version 5.00, UTF-16). It has no place for key
        security, class names, and names with control characters.
  json  one object with everything that hives hold, for programs

Without --out the export itself goes to stdout; on a terminal in its encoding,
with control characters shown as escapes. --json needs --out and prints what
was written.

Examples:
  lamina plumbing registry export --layer Office --format reg --out office.reg
  lamina plumbing registry export --image Desktop --hive SOFTWARE \\
      --key 'Microsoft\\Windows NT\\CurrentVersion' --format json | jq .hives")]
#[group(id = "of", required = true, multiple = false, args = ["image", "layer"])]
pub(in super::super) struct ExportArgs {
    /// Layered image whose registry to export
    #[arg(long, value_name = "REF")]
    image: Option<String>,
    /// Layer version whose registry, or changes of it, to export
    #[arg(long, value_name = "REF")]
    layer: Option<String>,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Format of the export
    #[arg(long, value_parser = ["reg", "json"])]
    format: String,
    /// File to write, instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(in super::super) out: Option<PathBuf>,
}

/// A file in between for an export that goes to stdout: the engine writes files.
pub(in super::super) struct Spool(TempDir);

impl ExportArgs {
    /// Sends the export to a file in between.
    pub(in super::super) fn spool(&mut self) -> Result<Spool, Failure> {
        let directory = tempfile::tempdir().map_err(|error| Failure {
            code: "io".to_owned(),
            message: format!("cannot make a directory for what goes to stdout: {error}"),
            hint: Some("Name a file with --out.".to_owned()),
        })?;
        self.out = Some(directory.path().join("registry"));
        Ok(Spool(directory))
    }

    pub(super) fn job(self) -> Job {
        let of = match self.image {
            Some(image) => RegistryOf::Image(image),
            None => RegistryOf::Layer(self.layer.unwrap_or_default()),
        };
        let format = if self.format == "reg" { RegistryFormat::Reg } else { RegistryFormat::Json };
        let out = self.out.unwrap_or_default();
        Job::RegistryExport(RegistryExportRequest { of, scope: self.scope.into(), format, out })
    }
}

impl Spool {
    /// Copies the export to stdout. A reader that went away is no failure.
    pub(in super::super) fn print(self) -> Result<(), Failure> {
        let written = || {
            let mut file = BufReader::new(File::open(self.0.path().join("registry"))?);
            let mut out = io::stdout().lock();
            match out.is_terminal() {
                true => out.write_all(readable(&mut file)?.as_bytes())?,
                false => drop(io::copy(&mut file, &mut out)?),
            }
            out.flush()
        };
        match written() {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure {
                code: "output-failed".to_owned(),
                message: format!("the export could not be written to stdout: {error}"),
                hint: None,
            }),
            _ => Ok(()),
        }
    }
}

/// An export as people read it: from the encoding of its format, control characters made harmless.
fn readable(file: &mut dyn Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = match bytes.strip_prefix(&[0xff, 0xfe]) {
        Some(rest) => {
            let units: Vec<u16> =
                rest.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
            String::from_utf16_lossy(&units).replace("\r\n", "\n")
        }
        None => String::from_utf8_lossy(&bytes).into_owned(),
    };
    Ok(VisibleLines(text).to_string())
}

pub(in super::super) fn human(report: &RegistryExportReport, page: &mut Page<'_>) -> io::Result<()> {
    page.line(Styled(STRONG, format_args!("Wrote {}", Visible(&report.file))))?;
    page.field("format", Visible(&report.format))?;
    page.field("hives", Visible(report.hives.join(", ")))?;
    page.field("contents", format_args!("{}, {}", Of(report.keys, "key"), Of(report.values, "value")))?;
    page.field("file", ExactBytes(report.written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_terminal_an_export_cannot_steer_it() {
        let text = "\u{feff}[X\\é\u{9b}]\r\n\u{5b1b}\r\n";
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        // in its bytes is an escape sequence
        assert!(bytes.windows(2).any(|pair| pair == [0x1b, b'[']));
        assert_eq!(readable(&mut &bytes[..]).unwrap(), "[X\\é\\u{9b}]\n\u{5b1b}\n");
        assert_eq!(readable(&mut &b"{\"a\": \"\x7f\"}\n"[..]).unwrap(), "{\"a\": \"\\u{7f}\"}\n");
    }
}
