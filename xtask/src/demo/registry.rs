//! What the demo's applications write to the registry, by hivex, and what came of it, by dissect.regf.
//!
//! Both append to the search path and to one REG_MULTI_SZ, as installers do: of two layers that change one value, a
//! file's rule would lose what one of them wrote.

use super::applications::Application;
use super::installation::resolve;
use super::verification::Oracle;
use crate::command::{command, output};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};

const SYSTEM: &str = "Windows/System32/config/SYSTEM";
const SOFTWARE: &str = "Windows/System32/config/SOFTWARE";
/// Where both hives are.
pub(super) const HIVES: [&str; 2] = [SYSTEM, SOFTWARE];

const ENVIRONMENT: &str = "Control\\Session Manager\\Environment";
const EVENT_SOURCES: &str = "Services\\EventLog\\Application";
const UNINSTALL: &str = "Microsoft\\Windows\\CurrentVersion\\Uninstall";

const EXPAND_SZ: u32 = 2;
const MULTI_SZ: u32 = 7;

/// A value as the reader sees it.
#[derive(Debug, Deserialize)]
struct Seen {
    /// As the hive spells it.
    name: String,
    kind: u32,
    content: serde_json::Value,
}

impl Seen {
    /// The elements of a list that is text with `;` between them, or texts.
    fn elements(&self) -> Vec<String> {
        match &self.content {
            serde_json::Value::Array(texts) => {
                texts.iter().filter_map(|t| Some(t.as_str()?.to_owned())).collect()
            }
            other => other.as_str().unwrap_or_default().split(';').map(str::to_owned).collect(),
        }
    }
}

fn value(oracle: &Oracle, hive: &Path, key: &str, name: &str) -> Result<Option<Seen>> {
    let said = oracle.hive("value", hive, &[key, name])?;
    serde_json::from_str(&said).with_context(|| format!("dissect.regf on {key} : {name}"))
}

/// Keys and values of a hive.
pub(super) fn count(oracle: &Oracle, hive: &Path) -> Result<(usize, usize)> {
    let said = oracle.hive("count", hive, &[])?;
    let numbers: Vec<usize> = said.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    match numbers[..] {
        [keys, values] => Ok((keys, values)),
        _ => bail!("dissect.regf said {said:?}"),
    }
}

fn control_set(oracle: &Oracle, system: &Path) -> Result<String> {
    let current = value(oracle, system, "Select", "Current")?.and_then(|seen| seen.content.as_u64());
    Ok(format!("ControlSet{:03}", current.context("SYSTEM does not say which control set is in use")?))
}

/// What the application appends to the search path, and to the sources of events.
fn additions(application: &Application) -> (String, String) {
    (format!("C:\\Program Files\\Qt {}\\bin", application.version), application.name.to_owned())
}

/// Writes what the application's installer would write to the hives below `root`; `Err` inside says why not.
pub(super) fn install(
    application: &Application,
    root: &Path,
    oracle: &Oracle,
    work: &Path,
) -> Result<std::result::Result<(), &'static str>> {
    let (system, software) = (resolve(root, SYSTEM)?, resolve(root, SOFTWARE)?);
    if !system.exists() || !software.exists() {
        return Ok(Err("the disk has no hives"));
    }
    if !is_complete(&system)? || !is_complete(&software)? {
        // hivex does not read logs, and would write over what Windows has only logged so far
        return Ok(Err("its hives have changes in their logs, which hivex does not know"));
    }
    let set = control_set(oracle, &system)?;
    let (folder, source) = additions(application);

    let (environment, events) = (format!("{set}\\{ENVIRONMENT}"), format!("{set}\\{EVENT_SOURCES}"));
    let path = value(oracle, &system, &environment, "Path")?;
    let (name, kind) = path.as_ref().map_or(("Path", EXPAND_SZ), |seen| (&seen.name[..], seen.kind));
    let mut elements = path.as_ref().map(Seen::elements).unwrap_or_default();
    elements.push(folder);
    let text = elements.join(";");
    let mut sources =
        value(oracle, &system, &events, "Sources")?.map(|seen| seen.elements()).unwrap_or_default();
    sources.push(source.clone());
    let reg = [
        section(&environment, &format!("\"{name}\"=hex({kind}):{}", hex([text.as_str()].into_iter()))),
        section(
            &events,
            &format!("\"Sources\"=hex({MULTI_SZ}):{}", hex(sources.iter().map(String::as_str).chain([""]))),
        ),
        section(&format!("{events}\\{source}"), "\"TypesSupported\"=dword:00000007"),
    ]
    .concat();
    merge(&system, &reg, work)?;

    let (name, version) = (application.name, application.version);
    let values = format!(
        "\"DisplayName\"=\"{name}\"\n\"DisplayVersion\"=\"{version}\"\n\"Publisher\"=\"The Qt Company\"\n\
         \"InstallLocation\"=\"C:\\\\Program Files\\\\Qt {version}\""
    );
    let reg = section(&format!("{UNINSTALL}\\{name}"), &values);
    merge(&software, &reg, work)?;
    Ok(Ok(()))
}

/// Whether the two sequence numbers of a hive's base block agree: nothing of it is only in its logs.
fn is_complete(hive: &Path) -> Result<bool> {
    let mut start = [0; 12];
    std::io::Read::read_exact(&mut std::fs::File::open(hive)?, &mut start)?;
    Ok(start[4..8] == start[8..12])
}

fn merge(hive: &Path, reg: &str, work: &Path) -> Result<()> {
    let file = work.join("installer.reg");
    std::fs::write(&file, format!("Windows Registry Editor Version 5.00\n\n{reg}"))?;
    output(command("hivexregedit").args(["--merge", "--encoding", "UTF-16LE"]).arg(hive).arg(&file))?;
    std::fs::remove_file(&file)?;
    Ok(())
}

/// A key with values, and each key above it: hivex makes one level at a time.
fn section(key: &str, values: &str) -> String {
    let ends = key.match_indices('\\').map(|(at, _)| at);
    let above: String = ends.map(|at| format!("[\\{}]\n\n", &key[..at])).collect();
    format!("{above}[\\{key}]\n{values}\n\n")
}

/// Texts as UTF-16 with a NUL each, in the form of .reg files.
fn hex<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let units = texts.flat_map(|text| text.encode_utf16().chain([0]));
    let bytes: Vec<String> = units.flat_map(u16::to_le_bytes).map(|byte| format!("{byte:02x}")).collect();
    bytes.join(",")
}

/// Both applications are in the lists that they appended to, and among the installed programs. `hives` are the two of
/// the published image.
pub(super) fn verify(
    oracle: &Oracle,
    hives: &[PathBuf; 2],
    applications: &[Application; 2],
) -> Result<String> {
    let [system, software] = hives;
    let set = control_set(oracle, system)?;
    let elements = |key: &str, name: &str| -> Result<Vec<String>> {
        let key = format!("{set}\\{key}");
        let seen = value(oracle, system, &key, name)?;
        Ok(seen.with_context(|| format!("{key} has no value {name}"))?.elements())
    };
    let (path, sources) = (elements(ENVIRONMENT, "Path")?, elements(EVENT_SOURCES, "Sources")?);
    for application in applications {
        let (folder, source) = additions(application);
        let times = |list: &[String], element: &str| list.iter().filter(|own| *own == element).count();
        if times(&path, &folder) != 1 || times(&sources, &source) != 1 {
            bail!("{folder} is not once in {path:?}, or {source} not once in {sources:?}");
        }
        let key = format!("{UNINSTALL}\\{}", application.name);
        let shown = value(oracle, software, &key, "DisplayVersion")?.map(|seen| seen.content);
        if shown.as_ref().and_then(|shown| shown.as_str()) != Some(application.version) {
            bail!("{key} has the version {shown:?}");
        }
    }
    for hive in hives {
        output(command("hivexml").arg(hive)).context("hivex cannot read a hive of the image")?;
    }
    let (keys, values) = count(oracle, system)?;
    Ok(format!(
        "both are in Path ({} elements) and Sources ({} texts); SYSTEM has {keys} keys, {values} values; hivexml reads it",
        path.len(),
        sources.len()
    ))
}
