//! Ctrl-C: the first one asks the running operation to stop and clean up, the second one ends the program at once.
//!
//! `SIGTERM` counts as well: service managers and `kill` get the same clean end.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Watches for interrupts from now on. The flag becomes true with the first one.
///
/// Errors when the signal handlers or the thread that waits for them cannot be set up.
pub(crate) fn watch() -> io::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&asked);
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("interrupt".into()).spawn(move || {
        for signal in signals.forever() {
            if flag.swap(true, Ordering::SeqCst) {
                // Not Printer: it may be what hangs. Nobody is left to be told when stderr is gone, too.
                let _ = io::stderr().write_all(
                    b"\nStopped at once. What was being written for --out may be left beside it, in a hidden file \
                      .export-....part: delete it. The store is whole; `lamina plumbing gc` gives back what was left in it.\n",
                );
                // Not process::exit: it would run the C library's exit handlers beside the thread still working.
                signal_hook::low_level::exit(128 + signal);
            }
        }
    })?;
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::low_level::raise;
    use std::process::Command;
    use std::time::{Duration, Instant};

    /// Set in the process that the test below interrupts: itself, run once more.
    const CHILD: &str = "LAMINA_TEST_INTERRUPTED";

    #[test]
    fn the_first_interrupt_asks_and_the_second_ends_with_130() {
        if std::env::var_os(CHILD).is_some() {
            let asked = watch().unwrap();
            raise(SIGINT).unwrap();
            let deadline = Instant::now() + Duration::from_secs(30);
            while !asked.load(Ordering::SeqCst) {
                assert!(Instant::now() < deadline, "the first interrupt was not seen");
                thread::sleep(Duration::from_millis(5));
            }
            raise(SIGINT).unwrap();
            thread::sleep(Duration::from_secs(30));
            panic!("the second interrupt did not end the process");
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "interrupt::tests::the_first_interrupt_asks_and_the_second_ends_with_130"])
            .arg("--nocapture")
            .env(CHILD, "1")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        assert!(stderr.contains("Stopped at once."), "{stderr}");
    }
}
