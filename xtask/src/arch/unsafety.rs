//! Where `unsafe` may be written: the crates that call C, with a reason at each place.
//!
//! Files are read as Rust tokens, so the word in a comment or a string is not mistaken for the keyword. The compiler's
//! and clippy's own lints check the same from inside; this check cannot be switched off by an `allow` in a crate.

use super::is_foreign;
use anyhow::{Context, Result, anyhow};
use proc_macro2::{TokenStream, TokenTree};
use std::path::{Path, PathBuf};

/// The one folder outside the `-sys` crates that calls C.
const FOREIGN_CALLS: &str = "crates/ntfs/src/edit";

/// How many lines above an `unsafe` its reason may begin.
const REASON_WITHIN_LINES: usize = 12;

/// Places with `unsafe` where it must not be, or without a reason.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    let mut findings = Vec::new();
    for file in files {
        let shown = file.strip_prefix(root).unwrap_or(&file);
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", shown.display()))?;
        findings.extend(
            check_file(shown, &text).with_context(|| format!("cannot read {} as Rust", shown.display()))?,
        );
    }
    Ok(findings)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if is_foreign(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn check_file(shown: &Path, text: &str) -> Result<Vec<String>> {
    let tokens: TokenStream =
        text.parse().map_err(|error: proc_macro2::LexError| anyhow!(error.to_string()))?;
    let mut places = Vec::new();
    gather(tokens, &mut places);
    let lines: Vec<&str> = text.lines().collect();
    let mut findings = Vec::new();
    for place in places {
        let at = format!("{}:{}", shown.display(), place.line);
        if !may_call_c(shown) {
            findings.push(format!("{at}: `unsafe` outside the crates that call C"));
        } else if place.needs_reason {
            let first = place.line.saturating_sub(REASON_WITHIN_LINES + 1);
            if !lines[first..place.line.min(lines.len())].iter().any(|line| line.contains("SAFETY:")) {
                findings
                    .push(format!("{at}: `unsafe` without a `SAFETY:` comment that says why it is sound"));
            }
        }
    }
    Ok(findings)
}

fn may_call_c(shown: &Path) -> bool {
    let in_sys_crate = shown
        .strip_prefix("crates")
        .ok()
        .and_then(|rest| rest.components().next())
        .is_some_and(|folder| folder.as_os_str().to_string_lossy().ends_with("-sys"));
    in_sys_crate || shown.starts_with(FOREIGN_CALLS)
}

struct Place {
    /// Counted from 1.
    line: usize,
    /// A block or an `impl` makes a promise; `unsafe fn` and `unsafe extern` only ask for one.
    needs_reason: bool,
}

fn gather(tokens: TokenStream, places: &mut Vec<Place>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => gather(group.stream(), places),
            TokenTree::Ident(ident) if ident == "unsafe" => {
                let needs_reason = match tokens.peek() {
                    Some(TokenTree::Group(_)) => true,
                    Some(TokenTree::Ident(next)) => next == "impl",
                    _ => false,
                };
                // `#[unsafe(no_mangle)]` is an attribute; it is reported outside like any other.
                places.push(Place { line: ident.span().start().line, needs_reason });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check_file(Path::new(path), text).unwrap()
    }

    #[test]
    fn unsafe_outside_the_crates_that_call_c_is_found_with_its_line() {
        let text = "fn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(
            findings("crates/disk/src/lib.rs", text),
            ["crates/disk/src/lib.rs:2: `unsafe` outside the crates that call C"]
        );
    }

    #[test]
    fn the_word_in_comments_and_strings_and_lint_names_is_not_the_keyword() {
        let text = "#![allow(unsafe_code)]\n// unsafe { }\nconst A: &str = \"unsafe { }\";\n";
        assert_eq!(findings("crates/disk/src/lib.rs", text), Vec::<String>::new());
    }

    #[test]
    fn where_c_is_called_every_block_gives_its_reason() {
        let bare = "fn f() { unsafe { g() } }\n";
        let reasoned = "fn f() {\n    // SAFETY: g has no preconditions.\n    unsafe { g() }\n}\n";
        for path in ["crates/ntfs-sys/src/lib.rs", "crates/ntfs/src/edit/volume.rs"] {
            assert!(findings(path, bare)[0].contains("without a `SAFETY:` comment"), "{path}");
            assert_eq!(findings(path, reasoned), Vec::<String>::new(), "{path}");
        }
        assert_eq!(findings("crates/ntfs/src/scan/record.rs", reasoned).len(), 1);
    }

    #[test]
    fn an_unsafe_block_inside_a_macro_is_found() {
        let text = "fn f() { assert_eq!(1, unsafe { g() }); }\n";
        assert_eq!(findings("crates/store/src/lib.rs", text).len(), 1);
    }
}
