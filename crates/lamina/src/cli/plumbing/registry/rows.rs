//! Keys and values of the registry on lines.

use crate::printer::page::Visible;
use layering::report::{RegistryData, RegistryRow};

/// Most characters of a value that a line shows; `--json` has more.
const SHOWN: usize = 60;

/// A key or value with its hive: `SOFTWARE\Vendor : Setting`.
pub(in super::super) fn place(hive: &str, key: &str, value: Option<&str>) -> String {
    let key = if key.is_empty() { hive.to_owned() } else { format!("{hive}\\{key}") };
    let place = match value {
        None => key,
        Some("") => format!("{key} : (Default)"),
        Some(value) => format!("{key} : {value}"),
    };
    Visible(place).to_string()
}

/// The content of a value, shortened: text in quotation marks, numbers and bytes as they are.
pub(in super::super) fn content(data: &RegistryData) -> String {
    let shortened = match data.data.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &data.data[..at]),
        None => data.data.clone(),
    };
    let shortened = Visible(shortened);
    match data.kind.as_str() {
        "deletion" => "(removes it)".to_owned(),
        "REG_SZ" | "REG_EXPAND_SZ" | "REG_MULTI_SZ" | "REG_LINK" => format!("\"{shortened}\""),
        _ if data.size == 0 => "(empty)".to_owned(),
        _ => shortened.to_string(),
    }
}

/// A row without what becomes of it: what it is about, and the contents or properties that differ.
pub(in super::super) fn row(row: &RegistryRow) -> String {
    let mut text = place(&row.hive, &row.key, row.value.as_deref());
    if !row.properties.is_empty() {
        text.push_str(&format!("  ({})", Visible(row.properties.join(", "))));
    }
    match (&row.before, &row.after) {
        (None, None) => {}
        (Some(only), None) | (None, Some(only)) => text.push_str(&format!("  {}", content(only))),
        // of the same text another type is what differs
        (Some(before), Some(after)) if content(before) == content(after) => text.push_str(&format!(
            "  {} {} -> {} {}",
            Visible(&before.kind),
            content(before),
            Visible(&after.kind),
            content(after)
        )),
        (Some(before), Some(after)) => {
            text.push_str(&format!("  {} -> {}", content(before), content(after)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use layering::report::DiffKind;

    fn data(kind: &str, data: &str) -> RegistryData {
        RegistryData { kind: kind.into(), data: data.into(), size: 4 }
    }

    #[test]
    fn a_row_names_key_and_value_and_shows_what_differs() {
        let with = |value: Option<&str>, before: Option<RegistryData>, after: Option<RegistryData>| {
            row(&RegistryRow {
                hive: "SOFTWARE".into(),
                key: "Vendor".into(),
                value: value.map(str::to_owned),
                change: DiffKind::Changed,
                properties: vec![],
                before,
                after,
            })
        };
        let text = data("REG_SZ", "a");
        assert_eq!(with(None, None, None), "SOFTWARE\\Vendor");
        assert_eq!(with(Some(""), None, Some(text.clone())), "SOFTWARE\\Vendor : (Default)  \"a\"");
        assert_eq!(
            with(Some("N"), Some(data("REG_DWORD", "1")), Some(data("REG_BINARY", "0a"))),
            "SOFTWARE\\Vendor : N  1 -> 0a"
        );
        assert_eq!(
            with(Some("N"), Some(text), Some(data("REG_EXPAND_SZ", "a"))),
            "SOFTWARE\\Vendor : N  REG_SZ \"a\" -> REG_EXPAND_SZ \"a\""
        );
        let long = with(Some("N\u{1b}"), None, Some(data("REG_SZ", &"x".repeat(1_000))));
        assert_eq!(long, format!("SOFTWARE\\Vendor : N\\u{{1b}}  \"{}…\"", "x".repeat(60)));
    }
}
