//! Counting what test runners say.

/// Whose lines are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    /// `cargo test`
    Libtest,
    /// `cargo nextest run`
    Nextest,
}

/// Tests that passed, failed and were skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that returned normally, which those that skip themselves do too.
    returned: usize,
    /// Tests that skipped themselves, as `name: reason`.
    skipped_themselves: Vec<String>,
    /// Tests that the runner left out, and rings that could not run, as `name: reason`.
    left_out: Vec<String>,
    /// Tests and checks that did not hold.
    pub(crate) failed: usize,
}

impl Tally {
    /// A check that is not a test: it is counted only when it does not hold.
    pub(crate) fn of_check(holds: bool) -> Tally {
        Tally { failed: usize::from(!holds), ..Tally::default() }
    }

    /// Something that could not run, and why.
    pub(crate) fn of_skip(name: &str, reason: &str) -> Tally {
        Tally { left_out: vec![format!("{name}: {reason}")], ..Tally::default() }
    }

    /// Tests that ran to their end and held.
    pub(crate) fn passed(&self) -> usize {
        self.returned.saturating_sub(self.skipped_themselves.len())
    }

    /// `name: reason` of every test that did not run.
    pub(crate) fn skips(&self) -> impl Iterator<Item = &String> {
        self.skipped_themselves.iter().chain(&self.left_out)
    }

    /// How many tests did not run.
    pub(crate) fn skipped(&self) -> usize {
        self.skips().count()
    }

    /// Adds the counts of another ring.
    pub(crate) fn add(&mut self, other: Tally) {
        self.returned += other.returned;
        self.failed += other.failed;
        self.skipped_themselves.extend(other.skipped_themselves);
        self.left_out.extend(other.left_out);
    }

    /// Takes in one line of a runner's output.
    pub(crate) fn read_line(&mut self, runner: Runner, line: &str) {
        match runner {
            Runner::Libtest => {
                if let Some(skip) = skip(line) {
                    self.note_skip(skip);
                } else if let Some(rest) = line.strip_prefix("test result: ") {
                    self.returned += count_before(rest, " passed");
                    self.failed += count_before(rest, " failed");
                } else if let Some((name, "ignored")) =
                    line.strip_prefix("test ").and_then(|l| l.split_once(" ... "))
                {
                    self.left_out.push(format!("{name}: marked #[ignore]"));
                }
            }
            Runner::Nextest => {
                let line = line.trim_start();
                if line.starts_with("Summary [") {
                    self.returned += count_before(line, " passed");
                    self.failed += count_before(line, " failed") + count_before(line, " timed out");
                    for _ in 0..count_before(line, " skipped") {
                        self.left_out.push("(nextest does not name it): marked #[ignore]".to_owned());
                    }
                }
            }
        }
    }

    /// Takes in nextest's JUnit report: the skip lines that passing tests printed.
    pub(crate) fn note_skips_in_report(&mut self, report: &str) {
        for line in report.lines() {
            // The first line of an output follows its opening tag.
            let line = line.rsplit_once("<system-out>").map_or(line, |(_, rest)| rest);
            let line = line.rsplit_once("<system-err>").map_or(line, |(_, rest)| rest);
            let line = line.split_once("</system-").map_or(line, |(text, _)| text);
            if let Some(skip) = skip(&plain(line)) {
                self.note_skip(skip);
            }
        }
    }

    fn note_skip(&mut self, skip: String) {
        // A test that says it twice in a row is still one test.
        if self.skipped_themselves.last() != Some(&skip) {
            self.skipped_themselves.push(skip);
        }
    }
}

/// The `name: reason` of a line `SKIPPED name: reason`.
fn skip(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("SKIPPED ")?;
    let (name, reason) = rest.split_once(": ")?;
    (!name.contains(' ') && !reason.is_empty()).then(|| rest.to_owned())
}

/// The number that stands before ` passed` and the like; 0 when the word is not there.
fn count_before(line: &str, word: &str) -> usize {
    let Some(end) = line.find(word) else { return 0 };
    let digits = line[..end].rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

fn plain(xml: &str) -> String {
    xml.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(runner: Runner, text: &str) -> Tally {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.read_line(runner, line));
        tally
    }

    #[test]
    fn a_skipped_test_is_counted_as_skipped_and_not_as_passed() {
        let tally = read(
            Runner::Libtest,
            "running 3 tests\n\
             test a ... ok\n\
             test tests::slow ... ignored\n\
             ---- imports_windows stdout ----\n\
             SKIPPED imports_windows: LAMINA_TESTDATA is not set\n\
             test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        );
        assert_eq!((tally.passed(), tally.failed), (1, 0));
        assert_eq!(
            tally.skips().collect::<Vec<_>>(),
            ["imports_windows: LAMINA_TESTDATA is not set", "tests::slow: marked #[ignore]"]
        );
    }

    #[test]
    fn results_of_several_test_programs_add_up() {
        let tally = read(
            Runner::Libtest,
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
             test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n",
        );
        assert_eq!((tally.passed(), tally.failed), (15, 2));
    }

    #[test]
    fn nextest_s_summary_and_report_are_read() {
        let mut tally = read(
            Runner::Nextest,
            "     Summary [   1.204s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 1 skipped\n",
        );
        tally.note_skips_in_report(
            "<system-out>SKIPPED reads_vhdx: qemu-img is &lt;absent&gt;\n</system-out>\n<system-err>\nSKIPPED other: no data</system-err>",
        );
        assert_eq!((tally.passed(), tally.failed), (8, 2));
        assert_eq!(
            tally.skips().collect::<Vec<_>>(),
            [
                "reads_vhdx: qemu-img is <absent>",
                "other: no data",
                "(nextest does not name it): marked #[ignore]"
            ]
        );
    }

    #[test]
    fn a_ring_that_cannot_run_is_a_skip_with_its_reason_and_no_failure() {
        let tally = Tally::of_skip("lint", "clippy is not installed");
        assert_eq!((tally.passed(), tally.failed, tally.skipped()), (0, 0, 1));
        assert_eq!(tally.skips().collect::<Vec<_>>(), ["lint: clippy is not installed"]);
    }

    #[test]
    fn a_check_is_counted_only_when_it_fails() {
        assert_eq!(Tally::of_check(true), Tally::default());
        assert_eq!(Tally::of_check(false).failed, 1);
    }
}
