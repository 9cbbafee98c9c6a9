//! `lamina plumbing list`

use super::version::reference;
use crate::printer::amount::Bytes;
use crate::printer::page::{Page, Visible};
use clap::Args;
use layering::reference::ObjectKind;
use layering::report::{ListReport, Summary};
use std::io;
use worker::Job;

/// List every layer version and layered image
///
/// OS layers come first, then platform and app layers, then images; versions in their order.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina plumbing list
  lamina plumbing list --json | jq '.entries[] | select(.kind == \"app\")'")]
pub(super) struct ListArgs {}

impl ListArgs {
    pub(super) fn job(self) -> Job {
        Job::List
    }
}

/// Digits of an identity that tell it from others at a glance.
const SHORT_ID: usize = 12;

pub(super) fn human(report: &ListReport, page: &mut Page<'_>) -> io::Result<()> {
    let (images, layers): (Vec<_>, Vec<_>) =
        report.entries.iter().partition(|entry| entry.kind == ObjectKind::Image);
    if images.is_empty() && layers.is_empty() {
        return page.line("The store is empty. Import an OS disk with `lamina plumbing import`.");
    }
    if !layers.is_empty() {
        page.table(["LAYER VERSION", "ADDS", "OS LAYER", "ID"], &[1], layers.into_iter().map(row))?;
    }
    if !images.is_empty() {
        if images.len() < report.entries.len() {
            page.line("")?;
        }
        page.table(["IMAGE", "DISK", "OS LAYER", "ID"], &[1], images.into_iter().map(row))?;
    }
    Ok(())
}

fn row(entry: &Summary) -> [String; 4] {
    [
        reference(entry),
        Bytes(entry.size).to_string(),
        entry.os_layer.as_ref().map_or_else(|| "-".to_owned(), |os| Visible(os.as_str()).to_string()),
        Visible(entry.id.chars().take(SHORT_ID).collect::<String>()).to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use layering::reference::EntityName;

    fn entry(kind: ObjectKind, name: &str, version: Option<&str>, os: Option<&str>, size: u64) -> Summary {
        let name_of = |text: &str| EntityName::new(text).unwrap();
        Summary {
            kind,
            name: name_of(name),
            version: version.map(name_of),
            sequence: 1,
            os_layer: os.map(name_of),
            size,
            id: "0123456789abcdef".repeat(4),
        }
    }

    fn text(entries: Vec<Summary>) -> String {
        let mut out = Vec::new();
        human(&ListReport { entries }, &mut Page::new(&mut out)).unwrap();
        String::from_utf8(anstream::adapter::strip_bytes(&out).into_vec()).unwrap()
    }

    #[test]
    fn layers_and_images_are_tables_of_their_own() {
        assert_eq!(
            text(vec![
                entry(ObjectKind::Os, "Windows 11", Some("24H2"), None, 9_341_234_176),
                entry(ObjectKind::App, "Office", Some("2024"), Some("Windows 11"), 1536),
                entry(ObjectKind::Image, "Desktop", None, Some("Windows 11"), 100 << 30),
            ]),
            "\
LAYER VERSION          ADDS  OS LAYER    ID
os:Windows 11@24H2  8.7 GiB  -           0123456789ab
app:Office@2024     1.5 KiB  Windows 11  0123456789ab

IMAGE             DISK  OS LAYER    ID
image:Desktop  100 GiB  Windows 11  0123456789ab
"
        );
    }

    #[test]
    fn an_empty_store_says_what_comes_next() {
        assert!(text(vec![]).contains("lamina plumbing import"));
    }
}
