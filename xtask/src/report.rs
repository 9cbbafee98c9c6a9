//! What reaches the terminal: the only place that writes to standard output.

use std::time::Duration;

/// Prints one line of results.
#[allow(clippy::print_stdout)] // the one printer
pub(crate) fn line(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// Prints a remark on standard error, which is not part of the result.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// A duration as a person reads it: `0.42 s`, `37.1 s`, `4 min 02 s`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 {
        format!("{seconds:.2} s")
    } else if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}

/// An amount of bytes in binary units: `512 B`, `3.4 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A table with one header row: columns as wide as their widest cell, columns of numbers to the right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let is_number = |cell: &String| cell.is_empty() || cell.starts_with(|first: char| first.is_ascii_digit());
    let to_the_right: Vec<bool> = (0..header.len())
        .map(|column| rows.iter().filter_map(|row| row.get(column)).all(is_number))
        .collect();
    let mut text = String::new();
    let mut push = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for ((cell, width), right) in cells.zip(&widths).zip(&to_the_right) {
            let padding = " ".repeat(width - cell.chars().count());
            let (before, after) = if *right { (padding.as_str(), "") } else { ("", padding.as_str()) };
            line.push_str(&format!("{before}{cell}{after}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    push(&mut header.iter().copied());
    let rules: Vec<String> = header.iter().zip(&widths).map(|(_, width)| "-".repeat(*width)).collect();
    push(&mut rules.iter().map(String::as_str));
    for row in rows {
        push(&mut row.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_widest_cells_and_puts_numbers_to_the_right() {
        let rows =
            vec![vec!["import".into(), "12.5 s".into()], vec!["compose the image".into(), "0.40 s".into()]];
        let expected = "step                 time\n-----------------  ------\nimport             12.5 s\ncompose the image  0.40 s\n";
        assert_eq!(table(&["step", "time"], &rows), expected);
    }

    #[test]
    fn amounts_are_shown_in_the_unit_a_person_would_choose() {
        assert_eq!(bytes(511), "511 B");
        assert_eq!(bytes(3 << 20), "3.0 MiB");
        assert_eq!(duration(Duration::from_millis(420)), "0.42 s");
        assert_eq!(duration(Duration::from_secs(242)), "4 min 02 s");
    }
}
