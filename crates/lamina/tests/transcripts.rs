//! What a person sees and a script gets when a command is refused, as reviewed transcripts; and how the command
//! behaves towards pipes, colour and the environment.

mod support;

use std::io::Read;
use std::process::Stdio;
use support::{assert_snapshot, lamina, plumbing};

#[test]
fn a_command_line_that_is_not_understood_ends_with_2_and_says_why() {
    let mut text = String::new();
    for call in [
        "",
        "plumbing",
        "publish",
        "plumbing list",
        "plumbing list --store /nowhere --jsno",
        "plumbing import --store /nowhere --disk a.vhd --name Windows",
        "plumbing import --store /nowhere --disk a.vhd --name Windows --version 1 --max-size 10X",
        "plumbing import --store /nowhere --disk a.vhd --name Windows --version 1 --volume second",
        "plumbing export --store /nowhere --image Desktop --format iso --out a.iso",
        "plumbing capture --store /nowhere --os W --kind image --disk a.vhd --name A --version 1",
        "plumbing capture --store /nowhere --os W --kind platform --disk a.vhd --name A --version 1",
        "plumbing capture --store /nowhere --os W --kind platform --disk a.vhd --name A --version 1 \
         --purpose publishing --hypervisor parallels",
        "plumbing compose --store /nowhere --os W --image D --recovery keep",
        "plumbing diff --store /nowhere app:A",
    ] {
        let answer = lamina(call).usage();
        assert_eq!(answer.stdout, "", "{call}");
        // Whole help texts are in the help snapshot.
        match answer.stderr.contains("Commands:") {
            true => text.push_str(&format!("$ {}\n(help on stderr)\n(exit 2)\n", answer.call)),
            false => text.push_str(&answer.transcript(&[])),
        }
        text.push('\n');
    }
    assert_snapshot("usage.txt", &text);
}

#[test]
fn a_store_that_is_not_there_is_refused_with_code_and_hint() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("layers");
    let names = [(store.to_str().unwrap(), "STORE")];

    let answer = lamina("plumbing list --store").arg(&store).refused();
    let text = answer.transcript(&names);
    assert_eq!(answer.stdout, "");
    let answer = lamina("plumbing list --json --store").arg(&store).refused();
    assert_snapshot("missing-store.txt", &format!("{text}\n{}", answer.transcript(&names)));

    let object = answer.json();
    assert_eq!(object.as_object().unwrap().len(), 1);
    let error = object["error"].as_object().unwrap();
    assert_eq!(error["code"], "store-missing");
    assert!(error["message"].as_str().unwrap().contains("layers"));
    assert!(error["hint"].is_string());
}

#[test]
fn the_store_may_come_before_the_command_after_it_or_from_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("layers");
    assert_eq!(plumbing(&store, "list").code(), "store-missing");
    assert_eq!(lamina("plumbing list --json --store").arg(&store).code(), "store-missing");
    assert_eq!(lamina("plumbing list --json").env("LAMINA_STORE", &store).code(), "store-missing");
    let made = lamina("plumbing init --json").env("LAMINA_STORE", &store).json();
    assert!(made["format"].is_u64(), "{made}");
    assert_eq!(plumbing(&store, "list").json()["entries"], serde_json::json!([]));
    // The command line is nearer than the environment.
    let elsewhere = directory.path().join("elsewhere");
    assert_eq!(plumbing(&elsewhere, "list").env("LAMINA_STORE", &store).code(), "store-missing");
}

#[test]
fn names_and_references_are_checked_by_the_engine_and_refused_with_its_codes() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("layers");
    plumbing(&store, "init").ok();
    assert_eq!(plumbing(&store, "show win:10").code(), "reference-invalid");
    assert_eq!(plumbing(&store, "remove image:Desktop@1").code(), "reference-invalid");
    assert_eq!(plumbing(&store, "show app:").code(), "name-invalid");
}

#[test]
fn with_json_stdout_has_the_object_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("layers");
    for args in ["init", "list", "check", "gc --dry-run", "gc"] {
        let answer = plumbing(&store, args).ok();
        assert_eq!(answer.stdout.lines().count(), 1, "{args}: {}", answer.stdout);
        answer.json();
        assert_eq!(answer.stderr, "", "{args}");
    }
}

#[test]
fn colour_is_for_terminals_only() {
    let directory = tempfile::tempdir().unwrap();
    let call = || lamina("plumbing list --store").arg(directory.path().join("layers"));
    assert!(!call().refused().stderr.contains('\u{1b}'));
    assert!(call().env("CLICOLOR_FORCE", "1").refused().stderr.contains("\u{1b}[1m\u{1b}[31m"));
    assert!(!lamina("--help").ok().stdout.contains('\u{1b}'));
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_no_noise() {
    let mut child =
        lamina("plumbing --help").command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(stderr, "");
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = plumbing(&directory.path().join("layers"), "init")
        .command()
        .stdout(full)
        .stderr(Stdio::piped())
        .output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error[output-failed]: "), "{stderr}");
}
