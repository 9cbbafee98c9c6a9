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

/// The commands below one, as its help lists them.
fn commands(of: &str) -> Vec<String> {
    let overview = lamina(&format!("{of} --help")).ok().stdout;
    overview
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // What is further in goes on with the text of the line before.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// The help of a command and of all below it.
fn write_help(of: &str, text: &mut String) {
    let answer = lamina(&format!("{of} --help")).ok();
    assert_eq!(answer.stderr, "", "{of}");
    text.push_str(&format!(
        "$ lamina {of}{}--help\n{}\n",
        if of.is_empty() { "" } else { " " },
        answer.stdout
    ));
    for command in commands(of) {
        write_help(format!("{of} {command}").trim(), text);
    }
}

#[test]
fn the_help_text_is_the_reviewed_one() {
    let mut text = String::new();
    write_help("", &mut text);
    assert_snapshot("help.txt", &text);
}

#[test]
fn every_command_is_in_the_help_test_and_has_an_example() {
    let listed = commands("plumbing");
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
