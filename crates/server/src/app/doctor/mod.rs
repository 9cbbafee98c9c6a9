//! Examining the deployment: what is well, what is not, and what to do about it.
//!
//! Every check looks by itself and changes nothing; one that cannot be carried out is a finding and not an error. The
//! same words go to the command line and the console.

mod database;
mod machine;
mod operation;
mod virtualisation;

use super::{App, Call, Refusal};
use crate::domain::{Action, Time};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use utoipa::ToSchema;

/// What the server is set up with, as far as the application asks about it.
#[derive(Debug)]
pub(crate) struct Deployment {
    /// Where the server keeps everything.
    pub(crate) directory: PathBuf,
    store: OnceLock<PathBuf>,
    certificate: Mutex<Option<Certificate>>,
}

/// The certificate that the server shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Certificate {
    /// When it ends.
    pub(crate) ends: Time,
    /// Whether the server renews it itself.
    pub(crate) own: bool,
}

impl Deployment {
    pub(crate) fn new(directory: PathBuf) -> Deployment {
        Deployment { directory, store: OnceLock::new(), certificate: Mutex::new(None) }
    }

    /// Notes where the store is.
    pub(crate) fn keeps(&self, store: PathBuf) {
        // It is noted once, when the server starts.
        _ = self.store.set(store);
    }

    /// Where the store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.store.get().cloned().unwrap_or_else(|| self.directory.join("store"))
    }

    /// Notes what the server shows now.
    pub(crate) fn shows(&self, certificate: Certificate) {
        *self.certificate.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(certificate);
    }

    fn certificate(&self) -> Option<Certificate> {
        *self.certificate.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What the examination found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Examination {
    /// Whether nothing is a problem.
    pub healthy: bool,
    /// One or more of each check, in a fixed order.
    pub findings: Vec<Finding>,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// How grave it is.
    pub state: FindingState,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The database answers and is whole.
    Database,
    /// The clocks of the server, of its database and of what was written agree.
    Clock,
    /// The store can be read, and holds what the database says.
    Store,
    /// The engine's process starts and is confined.
    Engine,
    /// Room on the disks that the server writes.
    DiskSpace,
    /// The file share can be reached.
    FileShare,
    /// The certificate that the server shows.
    Certificate,
    /// Tasks go on, and what they left behind is cleared up.
    Tasks,
    /// Programs that the server starts.
    Tools,
    /// Whether guests run on this machine, and how fast.
    Virtualisation,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingState {
    /// As it should be.
    Ok,
    /// It works, and could be better or will stop working.
    Warning,
    /// Something does not work.
    Problem,
}

impl Finding {
    fn ok(check: Check, message: impl Into<String>) -> Finding {
        Finding { check, state: FindingState::Ok, message: message.into(), hint: None }
    }

    fn warning(check: Check, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { check, state: FindingState::Warning, message: message.into(), hint: Some(hint.into()) }
    }

    fn problem(check: Check, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { check, state: FindingState::Problem, message: message.into(), hint: Some(hint.into()) }
    }

    fn refused(check: Check, refusal: &Refusal) -> Finding {
        Finding {
            check,
            state: FindingState::Problem,
            message: refusal.failure.message.clone(),
            hint: refusal.failure.hint.clone(),
        }
    }
}

impl App {
    /// Examines the deployment.
    pub async fn examine(&self, call: &Call) -> Result<Examination, Refusal> {
        call.may(Action::ExamineServer)?;
        let mut findings = self.examine_database().await;
        findings.extend(self.examine_store().await);
        findings.extend(machine::room(&self.deployment.directory));
        let store = self.deployment.store();
        if !store.starts_with(&self.deployment.directory) {
            findings.extend(machine::room(&store));
        }
        findings.push(self.examine_file_share().await);
        findings.push(machine::certificate(self.deployment.certificate(), self.now()));
        findings.extend(self.examine_tasks().await);
        findings.extend(virtualisation::examine(&self.deployment.directory).await);
        let healthy = findings.iter().all(|finding| finding.state != FindingState::Problem);
        Ok(Examination { healthy, findings })
    }
}
