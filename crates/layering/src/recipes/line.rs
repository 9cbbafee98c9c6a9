//! The language of recipes: one line, one thing to do, below the source that it comes from.

use super::in_box;
use crate::path_list::PatternError;
use crate::registry::{CURRENT_CONTROL_SET, HiveKind, is_control_set, lines};

/// A line of a recipe with where its facts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) action: Action,
    /// A URL or the title of a document.
    pub(crate) source: String,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// `disable SERVICE`: the service or driver does not start any more; it filters no device.
    Disable(String),
    /// `demand DRIVER`: the driver starts when a device wants it, and not before; it filters no class of devices.
    Demand(String),
    /// `boot DRIVER`: where this recipe's type is selected, the driver starts at boot. It needs it, too.
    Boot(String),
    /// `needs DRIVER`: where this recipe's type is selected, no other recipe touches the driver.
    Needs(String),
    /// `remove-key HIVE\KEY`: the key with everything in it.
    RemoveKey(KeyPath),
    /// `remove-value HIVE\KEY : VALUE`.
    RemoveValue(KeyPath, String),
    /// `remove-file \PATH`: a file, or a directory with everything in it.
    RemoveFile(String),
}

/// A key of a hive. Below `SYSTEM\CurrentControlSet` it is meant in every control set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPath {
    pub(crate) hive: HiveKind,
    /// From below the root, or below the control set, on.
    pub(crate) path: String,
    pub(crate) in_control_sets: bool,
}

impl Action {
    /// The service or driver that the line acts on, if it does.
    pub(crate) fn touches(&self) -> Option<&str> {
        match self {
            Action::Disable(name) | Action::Demand(name) => Some(name),
            Action::Boot(_) | Action::Needs(_) => None,
            Action::RemoveKey(key) | Action::RemoveValue(key, _) => key.service(),
            Action::RemoveFile(path) => {
                let (directory, file) = path.rsplit_once('\\')?;
                let (stem, end) = file.rsplit_once('.')?;
                let is_driver = directory.eq_ignore_ascii_case("\\Windows\\System32\\drivers")
                    && end.eq_ignore_ascii_case("sys");
                is_driver.then_some(stem)
            }
        }
    }

    /// The hive that the line is about.
    pub(crate) fn hive(&self) -> Option<HiveKind> {
        match self {
            Action::Disable(_) | Action::Demand(_) | Action::Boot(_) => Some(HiveKind::System),
            Action::RemoveKey(key) | Action::RemoveValue(key, _) => Some(key.hive),
            Action::Needs(_) | Action::RemoveFile(_) => None,
        }
    }

    fn parse(line: &str) -> Result<Action, &'static str> {
        let (verb, rest) = line.split_once(' ').ok_or("it is no verb and what to apply it to")?;
        let rest = rest.trim();
        let name = || match rest.contains('\\') {
            true => Err("the name of a service or driver is needed, not a path"),
            false => Ok(rest.to_owned()),
        };
        let action = match verb {
            "disable" => Action::Disable(name()?),
            "demand" => Action::Demand(name()?),
            "boot" => Action::Boot(name()?),
            "needs" => Action::Needs(name()?),
            "remove-file" => Action::RemoveFile(file_path(rest)?),
            "remove-key" => Action::RemoveKey(KeyPath::parse(rest)?),
            "remove-value" => {
                let (key, value) = rest.split_once(" : ").ok_or("it names no value")?;
                let value = value.trim();
                if value.is_empty() {
                    return Err("it names no value");
                }
                Action::RemoveValue(KeyPath::parse(key.trim())?, value.to_owned())
            }
            _ => return Err("it does not begin with a verb of recipes"),
        };
        match (&action, action.touches()) {
            // services of Windows may be disabled, as far as the list says so
            (Action::Disable(name), _) if in_box::may_disable(name) => Ok(action),
            (_, Some(name)) if in_box::is_in_box(name) => {
                Err("it is about a service or driver that is shipped in Windows")
            }
            _ => Ok(action),
        }
    }
}

impl KeyPath {
    fn parse(text: &str) -> Result<KeyPath, &'static str> {
        let (hive, path) = text.split_once('\\').ok_or("it does not name a hive and a key")?;
        let hive = HiveKind::parse(hive).ok_or("it does not begin with the name of a hive")?;
        if path.split('\\').any(str::is_empty) {
            return Err("every part between two \\ must be a name");
        }
        let (first, below) = path.split_once('\\').unwrap_or((path, ""));
        let in_control_sets = hive == HiveKind::System && first.eq_ignore_ascii_case(CURRENT_CONTROL_SET);
        if in_control_sets && !below.contains('\\') {
            return Err("it names too much of a control set");
        }
        if hive == HiveKind::System && is_control_set(first) {
            return Err("write CurrentControlSet, which stands for every control set");
        }
        let path = if in_control_sets { below } else { path };
        Ok(KeyPath { hive, path: path.to_owned(), in_control_sets })
    }

    /// The service whose key this is, or is below.
    fn service(&self) -> Option<&str> {
        let mut names = self.path.split('\\');
        let services = self.in_control_sets && names.next()?.eq_ignore_ascii_case("Services");
        if services { names.next() } else { None }
    }
}

fn file_path(text: &str) -> Result<String, &'static str> {
    let path = text.strip_prefix('\\').ok_or("the path does not start with \\")?;
    if path.split('\\').any(|part| part.is_empty() || part.contains(['/', '*', '?', ':'])) {
        return Err("every part between two \\ must be a name");
    }
    let system = ["\\WINDOWS", "\\WINDOWS\\SYSTEM32", "\\PROGRAM FILES", "\\PROGRAM FILES (X86)", "\\USERS"];
    if system.contains(&text.to_uppercase().as_str()) {
        return Err("Windows does not run without this directory");
    }
    Ok(text.to_owned())
}

/// Reads a recipe: lines `source TEXT`, each of which says where the lines below it, up to the next, come from.
pub(crate) fn parse(text: &str) -> Result<Vec<Line>, PatternError> {
    let mut source: Option<&str> = None;
    let mut read = Vec::new();
    for (number, line) in lines(text) {
        let error = |reason| PatternError { line: number, text: line.to_owned(), reason };
        if let Some(text) = line.strip_prefix("source ") {
            source = Some(text.trim());
            continue;
        }
        let source = source.ok_or_else(|| error("no line with its source comes before it"))?.to_owned();
        read.push(Line { action: Action::parse(line).map_err(error)?, source });
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Result<Action, &'static str> {
        parse(&format!("# Tools\nsource a book\n{line}"))
            .map(|lines| lines[0].action.clone())
            .map_err(|e| e.reason)
    }

    #[test]
    fn a_line_is_a_verb_with_what_to_apply_it_to() {
        assert_eq!(one("disable Tools Agent"), Ok(Action::Disable("Tools Agent".into())));
        let in_sets =
            |path: &str| KeyPath { hive: HiveKind::System, path: path.into(), in_control_sets: true };
        assert_eq!(
            one("remove-key SYSTEM\\CurrentControlSet\\Services\\Tools\\State"),
            Ok(Action::RemoveKey(in_sets("Services\\Tools\\State")))
        );
        assert_eq!(
            one("remove-value USER\\Software\\Tools : Started"),
            Ok(Action::RemoveValue(
                KeyPath { hive: HiveKind::User, path: "Software\\Tools".into(), in_control_sets: false },
                "Started".into()
            ))
        );
        let path = "\\ProgramData\\Tools 2";
        assert_eq!(one(&format!("remove-file {path}")), Ok(Action::RemoveFile(path.into())));
    }

    #[test]
    fn a_line_that_cannot_be_carried_out_is_refused_with_the_reason() {
        let in_box = "it is about a service or driver that is shipped in Windows";
        for (line, reason) in [
            ("disable", "it is no verb and what to apply it to"),
            ("erase Tools", "it does not begin with a verb of recipes"),
            ("disable Services\\Tools", "the name of a service or driver is needed, not a path"),
            ("remove-key SYSTEM\\CurrentControlSet", "it names too much of a control set"),
            ("remove-key SYSTEM\\CurrentControlSet\\Services", "it names too much of a control set"),
            (
                "remove-key SYSTEM\\ControlSet001\\Services\\vmbus",
                "write CurrentControlSet, which stands for every control set",
            ),
            ("remove-key HKLM\\Software", "it does not begin with the name of a hive"),
            ("remove-key SOFTWARE\\Tools\\", "every part between two \\ must be a name"),
            ("remove-value SOFTWARE\\Tools", "it names no value"),
            ("remove-file Tools", "the path does not start with \\"),
            ("remove-file \\Tools\\*", "every part between two \\ must be a name"),
            ("remove-file \\windows", "Windows does not run without this directory"),
            ("demand StorAHCI", in_box),
            ("disable vmbus", in_box),
            ("remove-key SYSTEM\\CurrentControlSet\\Services\\stornvme\\Parameters", in_box),
            ("remove-file \\Windows\\System32\\drivers\\storvsc.sys", in_box),
        ] {
            assert_eq!(one(line), Err(reason), "{line}");
        }
        let error = parse("# Tools\ndisable Tools").unwrap_err();
        assert_eq!((error.line, error.reason), (2, "no line with its source comes before it"));
    }
}
