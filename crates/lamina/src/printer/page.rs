//! What human text is written on: fields, headings, tables, and text from disks made harmless.

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ContentArrangement, Table};
use std::fmt;
use std::io::{self, Write};

/// Headings and the names of things.
pub(crate) const STRONG: Style = Style::new().bold();
/// What went wrong.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// What a person should see.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// What to do next.
pub(crate) const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Text in a style.
pub(crate) struct Styled<T>(pub(crate) Style, pub(crate) T);

impl<T: fmt::Display> fmt::Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:#}", self.0, self.1, self.0)
    }
}

/// Text that came from a disk or request, on one line: control characters, which could steer a terminal or fake
/// lines, and characters that turn the direction of writing are shown as escapes.
pub(crate) struct Visible<T>(pub(crate) T);

impl<T: AsRef<str>> fmt::Display for Visible<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_visible(self.0.as_ref(), f, |_| false)
    }
}

/// Like [`Visible`], but text of several lines: line ends stay.
pub(crate) struct VisibleLines<T>(pub(crate) T);

impl<T: AsRef<str>> fmt::Display for VisibleLines<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_visible(self.0.as_ref(), f, |character| character == '\n')
    }
}

fn write_visible(text: &str, f: &mut fmt::Formatter<'_>, keep: impl Fn(char) -> bool) -> fmt::Result {
    for character in text.chars() {
        // Bidirectional embeddings, overrides, isolates and marks (Unicode Standard Annex #9, 2).
        let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}');
        if (character.is_control() || turns) && !keep(character) {
            write!(f, "{}", character.escape_unicode())?;
        } else {
            fmt::Write::write_char(f, character)?;
        }
    }
    Ok(())
}

/// A stream with the shapes that reports are made of.
pub(crate) struct Page<'a> {
    out: &'a mut dyn Write,
}

/// Columns before the value of a field.
const FIELD: usize = 13;

impl<'a> Page<'a> {
    /// A page on `out`.
    pub(crate) fn new(out: &'a mut dyn Write) -> Page<'a> {
        Page { out }
    }

    /// One line.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// One line `name  value`, values below each other.
    pub(crate) fn field(&mut self, name: &str, value: impl fmt::Display) -> io::Result<()> {
        writeln!(self.out, "  {name:FIELD$}{value}")
    }

    /// Rows below a header; the columns in `right` hold amounts. Cells must be [`Visible`] already.
    pub(crate) fn table<const N: usize>(
        &mut self,
        header: [&str; N],
        right: &[usize],
        rows: impl Iterator<Item = [String; N]>,
    ) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.add_row(header);
        for row in rows {
            table.add_row(row);
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if right.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for (index, line) in table.lines().enumerate() {
            match index {
                0 => self.line(Styled(STRONG, line.trim_end()))?,
                _ => self.line(line.trim_end())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_disks_cannot_steer_the_terminal() {
        assert_eq!(Visible("a\u{1b}[2Jb\nc").to_string(), "a\\u{1b}[2Jb\\u{a}c");
        assert_eq!(Visible("invoice\u{202e}fdp.exe").to_string(), "invoice\\u{202e}fdp.exe");
        assert_eq!(Visible("Größe 中文").to_string(), "Größe 中文");
        assert_eq!(VisibleLines("one\ntwo\u{7}").to_string(), "one\ntwo\\u{7}");
    }

    #[test]
    fn tables_align_amounts_to_the_right_and_wide_characters_by_their_width() {
        let mut out = Vec::new();
        let rows = [
            ["中文".to_owned(), "1 B".to_owned(), "x".to_owned()],
            ["abcde".into(), "10 GiB".into(), "".into()],
        ];
        Page::new(&mut out).table(["NAME", "SIZE", "ID"], &[1], rows.into_iter()).unwrap();
        let plain = anstream::adapter::strip_bytes(&out).into_vec();
        assert_eq!(
            String::from_utf8(plain).unwrap(),
            "NAME     SIZE  ID\n\
             中文      1 B  x\n\
             abcde  10 GiB\n"
        );
    }
}
