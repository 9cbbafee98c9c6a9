//! Remarks of the engine, on stderr below the result.

use crate::printer::Printer;
use crate::printer::amount::{Count, Of};
use crate::printer::page::{Styled, Visible, VisibleLines, WARNING};
use layering::report::Warning;
use std::fmt::Write;

/// Paths that are named; `--json` has more.
const NAMED: usize = 10;

/// Prints each remark with the first paths that it is about.
pub(super) fn print(printer: Printer, warnings: &[Warning]) {
    for warning in warnings {
        printer.remark(text(warning));
    }
}

fn text(warning: &Warning) -> String {
    let mut text = format!(
        "{}: {}",
        Styled(WARNING, format_args!("warning[{}]", warning.code)),
        VisibleLines(&warning.message)
    );
    let named = warning.paths.iter().take(NAMED);
    let rest = warning.count.max(warning.paths.len() as u64) - named.len() as u64;
    for path in named {
        // Writing into a string cannot fail.
        let _ = write!(text, "\n    {}", Visible(path));
    }
    if rest > 0 {
        let _ = match warning.paths.is_empty() {
            true => write!(text, " ({})", Of(rest, "path")),
            false => write!(text, "\n    and {} more", Count(rest)),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_names_the_first_paths_and_counts_the_rest() {
        let mut warning = Warning {
            code: "deletion-stays".into(),
            message: "directories stay".into(),
            paths: vec![],
            count: 0,
        };
        let plain = |warning: &Warning| anstream::adapter::strip_str(&text(warning)).to_string();
        assert_eq!(plain(&warning), "warning[deletion-stays]: directories stay");
        warning.count = 1200;
        assert_eq!(plain(&warning), "warning[deletion-stays]: directories stay (1,200 paths)");
        warning.paths = (0..100).map(|n| format!("\\d{n}")).collect();
        let lines = plain(&warning);
        assert_eq!(lines.lines().nth(10), Some("    \\d9"));
        assert_eq!(lines.lines().nth(11), Some("    and 1,190 more"));
        assert_eq!(lines.lines().count(), 12);
    }
}
