//! The whole help text, as one reviewed file.

mod support;

use support::{assert_snapshot, lamina};

const COMMANDS: [&str; 16] = [
    "init",
    "import",
    "integrity",
    "packaging-disk",
    "capture",
    "compose",
    "export",
    "list",
    "show",
    "files",
    "diff",
    "conflicts",
    "registry",
    "check",
    "remove",
    "gc",
];

#[test]
fn the_help_text_is_the_reviewed_one() {
    let mut text = String::new();
    let mut calls = ["--help", "serve --help", "plumbing --help"].map(str::to_owned).to_vec();
    calls.extend(COMMANDS.map(|command| format!("plumbing {command} --help")));
    calls.extend(["export", "diff"].map(|command| format!("plumbing registry {command} --help")));
    for call in calls {
        let answer = lamina(&call).ok();
        assert_eq!(answer.stderr, "", "{call}");
        text.push_str(&format!("$ lamina {call}\n{}\n", answer.stdout));
    }
    assert_snapshot("help.txt", &text);
}

#[test]
fn every_command_is_in_the_help_test_and_has_an_example() {
    let overview = lamina("plumbing --help").ok().stdout;
    let listed: Vec<&str> = overview
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(listed, COMMANDS);
    for command in COMMANDS {
        let help = lamina(&format!("plumbing {command} --help")).ok().stdout;
        let (_, examples) =
            help.split_once("Examples:\n").unwrap_or_else(|| panic!("{command} has no examples"));
        assert!(examples.contains(&format!("lamina plumbing {command}")), "{command}: {examples}");
    }
}

#[test]
fn the_version_names_the_engine() {
    let answer = lamina("--version").ok();
    assert_eq!(
        answer.stdout,
        format!("lamina {} (engine {})\n", env!("CARGO_PKG_VERSION"), layering::ENGINE)
    );
}
