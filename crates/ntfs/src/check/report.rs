//! What a check reports.

use std::collections::HashMap;
use volume::{Error, Result};

/// Findings of one code that are kept; the rest is only counted, so that a hostile volume cannot fill the memory.
const KEPT: u64 = 200;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Space or order is lost, nothing else: volumes that Windows keeps using have such things.
    Warning,
    /// The volume contradicts itself.
    Error,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A stable, lower-case, hyphenated code such as `cross-linked`.
    pub code: &'static str,
    /// Which rule is broken, in plain words.
    pub message: String,
    /// File record, cluster or structure.
    pub place: String,
}

/// How much was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Files and directories, the volume's own included.
    pub files: u64,
    /// Directories among them.
    pub directories: u64,
    /// $FILE_NAME attributes.
    pub names: u64,
    /// Entries of directory indexes.
    pub index_entries: u64,
    /// Security descriptors in $Secure.
    pub descriptors: u64,
    /// Clusters that belong to something.
    pub clusters: u64,
}

/// The result of a check.
#[derive(Debug, Clone, Default)]
pub struct CheckReport {
    /// What is wrong, in the order in which it was found; not more than 200 of each code.
    pub findings: Vec<Finding>,
    /// How much was checked.
    pub counts: Counts,
    /// How many findings there were of each code, kept or not.
    pub totals: HashMap<&'static str, u64>,
}

impl CheckReport {
    /// Whether nothing is wrong but what Windows tolerates.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Warning)
    }

    /// Whether there is a finding with this code.
    pub fn has(&self, code: &str) -> bool {
        self.totals.contains_key(code)
    }

    pub(super) fn error(&mut self, code: &'static str, place: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Error, code, place.into(), message.into());
    }

    pub(super) fn warning(
        &mut self,
        code: &'static str,
        place: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.add(Severity::Warning, code, place.into(), message.into());
    }

    fn add(&mut self, severity: Severity, code: &'static str, place: String, message: String) {
        let total = self.totals.entry(code).or_default();
        *total += 1;
        if *total <= KEPT {
            self.findings.push(Finding { severity, code, message, place });
        }
    }

    /// Turns a broken structure into a finding and lets every other error pass.
    pub(super) fn note<T>(&mut self, code: &'static str, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::Corrupt { what, place }) => {
                self.error(code, place, what);
                Ok(None)
            }
            Err(Error::Device(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.error(code, "volume", "a structure reaches beyond its runs");
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}

/// The place of a finding in a file record.
pub(super) fn record_place(number: u64) -> String {
    format!("file record {number}")
}
