//! Carrying a job out, with the panic boundary around it.

use crate::{Failure, Job, Outcome};
use layering::Engine;
use operation::Progress;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Code of the failure that a panic inside a job becomes.
pub const INTERNAL: &str = "internal";

/// Carries `job` out on the store in the directory `store`, on the caller's thread.
///
/// Gives the failure that the engine explains, or one with the code [`INTERNAL`] when the engine panicked. The panic
/// hook has run by then, so the place of the panic is wherever the process sends such reports.
pub fn run(store: &Path, job: Job, progress: &dyn Progress) -> Result<Outcome, Failure> {
    contained(|| perform(store, job, progress).map_err(|error| Failure::new(&error)))
}

fn perform(store: &Path, job: Job, progress: &dyn Progress) -> layering::Result<Outcome> {
    // A store that is yet to be made cannot be opened, so each of the others opens it for itself.
    let open = || Engine::open(store);
    match job {
        Job::Init => Engine::init(store).map(Outcome::Init),
        Job::Import(request) => open()?.import(&request, progress).map(Outcome::Import),
        Job::Integrity(request) => Engine::integrity(&request, progress).map(Outcome::Integrity),
        Job::StoredIntegrity(request) => open()?.stored_integrity(&request, progress).map(Outcome::Integrity),
        Job::PackagingDisk(request) => open()?.packaging_disk(&request, progress).map(Outcome::PackagingDisk),
        Job::Capture(request) => open()?.capture(&request, progress).map(Outcome::Capture),
        Job::Compose(request) => open()?.compose(&request, progress).map(Outcome::Compose),
        Job::Export(request) => open()?.export(&request, progress).map(Outcome::Export),
        Job::List => open()?.list().map(Outcome::List),
        Job::Show { reference } => open()?.show(&reference, progress).map(Outcome::Show),
        Job::Files { reference, path } => {
            open()?.files(&reference, path.as_deref(), progress).map(Outcome::Files)
        }
        Job::Diff { from, to } => open()?.diff(&from, &to, progress).map(Outcome::Diff),
        Job::Conflicts(composite) => open()?.conflicts(&composite, progress).map(Outcome::Conflicts),
        Job::RegistryExport(request) => {
            open()?.registry_export(&request, progress).map(Outcome::RegistryExport)
        }
        Job::RegistryDiff(request) => open()?.registry_diff(&request, progress).map(Outcome::RegistryDiff),
        Job::ExportLayers(request) => open()?.export_layers(&request, progress).map(Outcome::ExportLayers),
        Job::ImportLayers(request) => open()?.import_layers(&request, progress).map(Outcome::ImportLayers),
        Job::ListLayout { directory, files_of } => {
            Engine::list_layout_files(&directory, &files_of, progress).map(Outcome::ListLayout)
        }
        Job::Check { read_data } => open()?.check(read_data, progress).map(Outcome::Check),
        Job::Remove { reference } => open()?.remove(&reference).map(Outcome::Remove),
        Job::Gc { dry_run } => open()?.gc(dry_run, progress).map(Outcome::Gc),
    }
}

/// Runs `work`, turning a panic into a failure.
///
/// Unwind safety is asserted: everything that `work` changed is dropped with it, except what is on disk, which the
/// store keeps whole under a kill at any moment, and the caller's progress, which only counts.
fn contained<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        Err(Failure {
            code: INTERNAL.to_owned(),
            message: format!("the engine stopped on an error of its own: {}", panic_text(payload.as_ref())),
            hint: Some(
                "Report this with the command and the disk that led to it; the store is as it was before."
                    .to_owned(),
            ),
        })
    })
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "no description"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use operation::Silent;

    #[test]
    fn a_panic_comes_out_as_an_internal_failure() {
        let failure = contained::<()>(|| panic!("cluster {} of {}", 7, 5)).unwrap_err();
        assert_eq!(failure.code, INTERNAL);
        assert!(failure.message.contains("cluster 7 of 5"), "{}", failure.message);
        let failure = contained::<()>(|| std::panic::panic_any(42_u8)).unwrap_err();
        assert!(failure.message.contains("no description"), "{}", failure.message);
    }

    #[test]
    fn an_explained_error_comes_out_as_its_own_failure() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("nothing here");
        let failure = run(&missing, Job::List, &Silent).unwrap_err();
        assert_ne!(failure.code, INTERNAL, "{failure:?}");
        assert!(failure.message.contains("nothing here"), "{}", failure.message);
    }

    #[test]
    fn jobs_and_outcomes_survive_being_sent_as_text() {
        let job = Job::Files { reference: "app:Office@1".into(), path: Some("\\Windows".into()) };
        let text = serde_json::to_string(&job).unwrap();
        assert_eq!(
            text,
            r#"{"operation":"files","request":{"reference":"app:Office@1","path":"\\Windows"}}"#
        );
        let back: Job = serde_json::from_str(&text).unwrap();
        assert!(matches!(back, Job::Files { reference, path: Some(path) }
            if reference == "app:Office@1" && path == "\\Windows"));

        let text = r#"{"operation":"remove","report":{"removed":{"kind":"app","name":"A","version":"1","sequence":1,"size":3,"id":"ab"}}}"#;
        let outcome: Outcome = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&outcome).unwrap(), text);
    }
}
