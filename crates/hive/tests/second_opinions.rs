//! What other implementations see in hives that were written anew: the same as in the hives that Windows wrote; and what
//! they make of a `.reg` file: what the hive held that it was made of.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that cannot set itself up has failed; skips are printed

mod support;

use hive::{Name, RegFile, Tree};
use notatin::log::Logs;
use notatin::parser_builder::ParserBuilder;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{count, hives, open, upcase};

/// Hives that every reader here can read. Windows wrote all but the last.
const READABLE: &[&str] = &[
    "regipy/SYSTEM",
    "regipy/NTUSER.DAT",
    "regipy/NTUSER-WSL.DAT",
    "regipy/amcache.hve",
    "regipy/BCD",
    "regipy/SAM",
    "regipy/SECURITY",
    "dfwinreg/NTUSER.DAT",
    "notatin/win7_ntuser.dat",
    "yarp/BigDataHive",
    "yarp/ManySubkeysHive",
    "yarp/UnicodeHive",
    "yarp/ExtendedASCIIHive",
    "yarp/UpcaseHive",
    "nt-hive/testhive",
];

/// Writes the hives anew into a folder: pairs of original and copy, with the number of keys and values.
fn written(folder: &Path, into: &Path) -> Vec<(PathBuf, PathBuf, (usize, usize))> {
    let write = |name: &&str| {
        let hive = open(folder, name);
        let (tree, _) = Tree::load(&hive, upcase()).unwrap();
        let copy = into.join(name.replace('/', "-"));
        std::fs::write(&copy, tree.write().unwrap()).unwrap();
        (folder.join(name), copy, count(&tree))
    };
    READABLE.iter().map(write).collect()
}

/// What a command prints; `None` with its words on standard error when it fails.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    if !output.status.success() {
        eprintln!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn python_reader(test: &str, module: &str, reader: &str) {
    let Some(folder) = hives(test) else { return };
    let python = std::env::var_os("LAMINA_ORACLES").unwrap_or_else(|| "python3".into());
    if output(Command::new(&python).args(["-c", &format!("import {module}")])).is_none() {
        println!("SKIPPED {test}: {module} is not installed (LAMINA_ORACLES names a Python that has it)");
        return;
    }
    let into = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hive_oracle.py");
    for (original, copy, (keys, values)) in written(&folder, into.path()) {
        let read =
            |hive: &Path| output(Command::new(&python).args([&script, Path::new(reader), hive])).unwrap();
        let (before, after) = (read(&original), read(&copy));
        let lines = |start: &str| before.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!((lines("k\t"), lines("v\t")), (keys, values), "{}", original.display());
        let differing = before.lines().zip(after.lines()).find(|(a, b)| a != b);
        assert!(differing.is_none() && before.len() == after.len(), "{}", original.display());
    }
}

#[test]
fn dissect_sees_the_same_names_times_classes_and_values() {
    python_reader("dissect_sees_the_same_names_times_classes_and_values", "dissect.regf", "dissect");
}

#[test]
fn python_registry_sees_the_same_names_times_classes_and_values() {
    python_reader(
        "python_registry_sees_the_same_names_times_classes_and_values",
        "Registry",
        "python-registry",
    );
}

#[test]
fn hivex_opens_and_walks_every_hive_that_was_written_anew() {
    let test = "hivex_opens_and_walks_every_hive_that_was_written_anew";
    let Some(folder) = hives(test) else { return };
    if Command::new("hivexml").arg("--help").output().is_err() {
        println!("SKIPPED {test}: hivexml is not installed");
        return;
    }
    let into = tempfile::tempdir().unwrap();
    for (original, copy, (keys, values)) in written(&folder, into.path()) {
        // what it prints of places differs, and nothing else
        let walk = |hive: &Path| -> Vec<String> {
            let xml = output(Command::new("hivexml").arg(hive)).unwrap();
            let elements = xml.split('<').filter(|element| !element.starts_with("byte_run"));
            let elements = elements.filter(|element| !element.starts_with("/byte_run"));
            // the time of the whole hive
            elements.filter(|element| !element.starts_with("mtime")).map(str::to_owned).collect()
        };
        let (before, after) = (walk(&original), walk(&copy));
        let starts = |start: &str| after.iter().filter(|element| element.starts_with(start)).count();
        assert_eq!((starts("node "), starts("value ")), (keys, values), "{}", copy.display());
        let differing = before.iter().zip(&after).find(|(a, b)| a != b);
        assert!(differing.is_none() && before.len() == after.len(), "{}", original.display());
    }
}

/// What notatin sees: a line for each key and value. It follows the whole ring of security descriptors for each key,
/// so these only of hives with few keys.
fn notatin(hive: &Path, keys: usize) -> Vec<String> {
    let mut parser = ParserBuilder::from_path(PathBuf::from(hive)).recover_deleted(false).build().unwrap();
    let mut lines = Vec::new();
    let mut open = vec![parser.get_root_key().unwrap().unwrap()];
    while let Some(mut key) = open.pop() {
        let flags = key.key_node_flags(&mut Logs::default());
        let time = key.last_key_written_date_and_time();
        let security = (keys < 3000).then(|| key.get_security_descriptors(&mut parser).unwrap());
        let security = security.map(|ring| format!("{:?}", ring.first()));
        lines.push(format!("key {} {time} {flags:?} {security:?}", key.path));
        for value in key.value_iter() {
            let (content, _) = value.get_content();
            lines.push(format!("value {} {} {content:?}", key.path, value.detail.value_name()));
        }
        open.extend(key.read_sub_keys(&mut parser));
    }
    lines
}

#[test]
fn notatin_sees_the_same_names_times_flags_security_and_values() {
    let test = "notatin_sees_the_same_names_times_flags_security_and_values";
    let Some(folder) = hives(test) else { return };
    let into = tempfile::tempdir().unwrap();
    for (original, copy, (keys, values)) in written(&folder, into.path()) {
        let (before, after) = (notatin(&original, keys), notatin(&copy, keys));
        let starts = |start: &str| after.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!((starts("key "), starts("value ")), (keys, values), "{}", copy.display());
        let differing = before.iter().zip(&after).find(|(a, b)| a != b);
        assert_eq!(differing, None, "{}", original.display());
    }
}

/// Every key by its path, and every value with its type and bytes, in an order that is the same for equal hives.
fn contents(tree: &Tree<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, _) in tree.walk() {
        let path = tree.path(key);
        for value in tree.key(key).values() {
            lines.push(format!("{path} : {} = {} {:?}", value.name, value.data.kind, value.data.bytes));
        }
        lines.push(path);
    }
    lines.sort();
    lines
}

#[test]
fn hivexregedit_makes_of_a_reg_file_what_the_hive_held() {
    let test = "hivexregedit_makes_of_a_reg_file_what_the_hive_held";
    let Some(folder) = hives(test) else { return };
    if Command::new("hivexregedit").arg("--help").output().is_err() {
        println!("SKIPPED {test}: hivexregedit is not installed");
        return;
    }
    let into = tempfile::tempdir().unwrap();
    // whose texts are ASCII: in quotation marks it takes each byte for a character
    for name in ["regipy/NTUSER.DAT", "regipy/BCD", "dfwinreg/NTUSER.DAT"] {
        let hive = open(&folder, name);
        let (tree, _) = Tree::load(&hive, upcase()).unwrap();
        let mut bytes = Vec::new();
        let mut file = RegFile::begin(&mut bytes).unwrap();
        file.tree(&tree, tree.root(), "HKEY_LOCAL_MACHINE\\X").unwrap();
        let (keys, values) = count(&tree);
        let counts = file.counts();
        assert_eq!((counts.keys, counts.values, counts.left_out), (keys as u64, values as u64, 0), "{name}");
        // it takes UTF-8 and plain line ends only
        let units: Vec<u16> =
            bytes[2..].chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        let text = String::from_utf16(&units).unwrap().replace("\r\n", "\n");
        let (reg, target) = (into.path().join("x.reg"), into.path().join("x.hive"));
        std::fs::write(&reg, text).unwrap();
        let empty = Tree::new(upcase(), 5, Name::from("ROOT"), vec![1; 20]);
        std::fs::write(&target, empty.write().unwrap()).unwrap();
        let merge = ["--merge", "--prefix", "HKEY_LOCAL_MACHINE\\X"];
        output(Command::new("hivexregedit").args(merge).arg(&target).arg(&reg)).unwrap();
        let merged = hive::Hive::open(std::fs::read(&target).unwrap(), &[]).unwrap();
        let (merged, _) = Tree::load(&merged, upcase()).unwrap();
        let (before, after) = (contents(&tree), contents(&merged));
        let differing = before.iter().zip(&after).find(|(a, b)| a != b);
        assert!(differing.is_none() && before.len() == after.len(), "{name}: {differing:?}");
    }
}
